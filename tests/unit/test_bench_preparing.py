"""`prepnode bench process --files`: what it runs, in turns, and what it makes of the figures."""

from __future__ import annotations

import sys

import pytest

from node.benchmark import preparing, tasks
from node.benchmark.figures import Spread
from node.benchmark.preparing import Preparing, Row
from node.demo import write_series
from node.errors import NodeError
from node.phantom import ct_slices


@pytest.fixture
def series(tmp_path):
    folder = tmp_path / "series"
    write_series(ct_slices("bench", slices=4, size=32, spacing_mm=0.7), folder)
    return folder


def test_ratios_are_taken_run_by_run():
    rows = preparing._rows("a series", {"ours": [2.0, 3.0, 4.0], "theirs": [1.0, 3.0, 8.0]}, reference="ours")
    assert rows == [
        Row("a series", "ours", Spread(3.0, 2.0, 4.0)),
        Row("a series", "theirs", Spread(3.0, 1.0, 8.0)),
        Row("a series", "ours to theirs", Spread(1.0, 0.5, 2.0), "x"),
    ]
    assert rows[2].as_row() == {
        "series": "a series", "figure": "ours to theirs", "unit": "x", "median": 1.0, "low": 0.5, "high": 2.0,
    }  # fmt: skip


def test_programs_take_turns_and_the_first_round_is_not_counted(tmp_path):
    order, steps = [], []
    programs = {name: lambda name=name: order.append(name) or {name: float(len(order))} for name in "AB"}
    figures = Preparing(tmp_path, 4, 32, 2)._alternate(programs, lambda: steps.append(1))
    assert order == ["A", "B"] * 3
    assert figures == {"A": [3.0, 5.0], "B": [4.0, 6.0]}
    assert len(steps) == 3


def test_time_and_memory_are_those_of_the_program():
    seconds, peak = preparing._timed(
        [sys.executable, "-c", "b = bytearray(200_000_000); b[::4096] = b'x' * len(b[::4096])"]
    )
    assert seconds > 0
    assert 200e6 < peak < 2e9
    with pytest.raises(NodeError, match="ended with 3"):
        preparing._timed([sys.executable, "-c", "raise SystemExit(3)"])


def test_prepnode_run_is_measured_and_leaves_nothing(tmp_path, series):
    figures = Preparing(tmp_path, 4, 32, 1)._run(series)
    assert set(figures) == {"prepnode run", "prepnode run peak"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["series"]


def test_a_run_without_a_volume_is_no_figure(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NodeError):
        Preparing(tmp_path, 4, 32, 1)._run(tmp_path / "empty")


def test_tasks_measure_what_they_say(series):
    assert tasks.triage(series)["triage"] > 0
    assert tasks.decode(series) == {}
    found = tasks.resample(series)
    assert set(found) == {"ours", "SimpleITK", "its Resample alone"}
    assert min(found.values()) > 0


@pytest.mark.parametrize(("syntax", "is_complete"), [(None, True), (preparing.COMPRESSED["JPEG-LS"], False)])
def test_series_are_written_as_they_are_asked_for(tmp_path, syntax, is_complete):
    from pydicom import dcmread

    folder = Preparing(tmp_path, 4, 32, 1)._series(
        "x", slices=2, size=32, syntax=syntax, is_complete=is_complete
    )
    headers = [dcmread(path, stop_before_pixels=True) for path in sorted(folder.iterdir())]
    assert len(headers) == 2
    assert (headers[0].file_meta.TransferSyntaxUID == syntax) is (syntax is not None)
    assert ("RequestAttributesSequence" in headers[0]) is is_complete


@pytest.mark.parametrize(("installed", "told"), [(False, "not installed"), (True, "dcm2niix")])
def test_the_peer_is_named(monkeypatch, installed, told):
    if not installed:
        monkeypatch.setattr(preparing.shutil, "which", lambda _: None)
    elif preparing.shutil.which(preparing.PEER) is None:
        pytest.skip("dcm2niix is not installed")
    assert told in preparing.peer()
