"""What the child makes of an order: the series it builds, the handler it runs, the report it returns."""

import json
from dataclasses import replace

import pytest

import data
from node.child import Order, run
from node.config import Config
from node.errors import ProcessingError
from node.runner import SeriesRunner


@pytest.fixture
def order(tmp_path):
    datasets = data.ct_series(slices=10, rows=16, columns=16)
    files = data.write(datasets, tmp_path / "in")
    return Order(
        series_instance_uid=datasets[0].SeriesInstanceUID,
        study_instance_uid=datasets[0].StudyInstanceUID,
        revision=3,
        files=tuple(files),
        out=tmp_path / "out" / "r3",
        reason="contiguous",
        evidence={"n_positions": 10},
    )


def codes(result):
    return [finding["code"] for finding in result["report"]["findings"]]


def test_a_series_is_processed_and_its_report_comes_back_as_it_was_written(order):
    result = run(order, Config())
    assert result["report"] == json.loads((order.out / "report.json").read_text())
    assert result["report"]["revision"] == 3
    assert result["report"]["completion"] == {"reason": "contiguous", "evidence": {"n_positions": 10}}
    assert result["report"]["verdict"] in ("ACCEPT", "ACCEPT_WARN")
    for product in result["products"]:
        path = order.out / product["path"]
        assert path.stat().st_size == product["size_bytes"]
        assert len(product["sha256"]) == 64
    assert {"nifti", "sidecar", "preview", "report"} <= {product["kind"] for product in result["products"]}


def test_a_finding_of_the_registry_counts_like_any_other(order):
    late = {"code": "ING-009", "severity": "WARN", "message": "2 instances came late", "evidence": {"n": 2}}
    conflict = {"code": "ING-002", "severity": "REVIEW", "message": "other content", "evidence": {}}
    result = run(replace(order, findings=(late, conflict)), Config())
    assert {"ING-009", "ING-002"} <= set(codes(result))
    assert result["report"]["verdict"] == "QUARANTINE"


def test_what_a_person_released_is_accepted_with_a_warning(order):
    conflict = {"code": "ING-002", "severity": "REVIEW", "message": "other content", "evidence": {}}
    result = run(replace(order, findings=(conflict,), release=True), Config())
    assert result["report"]["verdict"] == "ACCEPT_WARN"


def test_a_file_that_is_gone_is_told_in_the_report(order):
    order.files[0].unlink()
    result = run(order, Config())
    assert "ING-001" in codes(result)


def test_a_series_of_which_every_file_is_gone_still_gets_a_report(order):
    for path in order.files:
        path.unlink()
    result = run(order, Config())
    assert result["report"]["verdict"] in ("REJECT", "QUARANTINE")
    assert result["report"]["SeriesInstanceUID"] == order.series_instance_uid


def test_siblings_are_known_to_the_rules(order, tmp_path, plug_in):
    siblings = {"1.2.3.4": {"Modality": "CT", "SeriesNumber": 2}}
    run(replace(order, siblings=siblings, profile="site"), Config(profile={"site": {"handler": "spy"}}))
    assert json.loads((order.out / "seen.json").read_text()) == {
        "study": {"1.2.3.4": {"Modality": "CT", "SeriesNumber": 2}},
        "instances": 10,
        "name": "site-handler",
    }


PLUG_IN = """
import json
from handlers.model import Outcome, Product, Verdict


def spy(series, folder):
    seen = {
        "study": {each.series_instance_uid: dict(each.facts) for each in series.study},
        "instances": len(series.instances),
        "name": "site-handler",
    }
    (folder / "seen.json").write_text(json.dumps(seen))
    return Outcome(series, Verdict.ACCEPT, (), (), ())
"""


@pytest.fixture
def plug_in(tmp_path, monkeypatch):
    site = tmp_path / "site"
    (site / "spying-1.0.dist-info").mkdir(parents=True)
    (site / "spying.py").write_text(PLUG_IN)
    (site / "spying-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: spying\nVersion: 1.0\n"
    )
    (site / "spying-1.0.dist-info" / "entry_points.txt").write_text("[prepnode.handlers]\nspy = spying:spy\n")
    monkeypatch.syspath_prepend(site)


def test_a_sites_own_handler_gets_a_report_if_it_wrote_none(order, plug_in):
    result = run(replace(order, profile="site"), Config(profile={"site": {"handler": "spy"}}))
    assert result["report"]["verdict"] == "ACCEPT"
    assert json.loads((order.out / "report.json").read_text()) == result["report"]
    assert [product["kind"] for product in result["products"]] == ["report"]
    assert [path.name for path in order.out.parent.iterdir()] == ["r3"]


@pytest.mark.slow
def test_the_whole_science_fits_beside_a_small_memory_limit(order, tmp_path):
    config = Config(node={"data_dir": tmp_path}, jobs={"memory_mb": 256, "workers": 1})
    runner = SeriesRunner(config)
    try:
        assert runner.run(order)["report"]["revision"] == 3
    finally:
        runner.stop()


@pytest.mark.slow
def test_a_volume_larger_than_the_memory_limit_fails_with_advice(tmp_path):
    datasets = data.ct_series(slices=100, rows=1024, columns=1024)
    files = data.write(datasets, tmp_path / "in")
    big = Order(
        datasets[0].SeriesInstanceUID, datasets[0].StudyInstanceUID, 1, tuple(files), tmp_path / "out" / "r1"
    )
    config = Config(node={"data_dir": tmp_path}, jobs={"memory_mb": 256, "workers": 1})
    runner = SeriesRunner(config)
    try:
        with pytest.raises(ProcessingError, match=r"more than 256 MB; raise jobs\.memory_mb"):
            runner.run(big)
    finally:
        runner.stop()
    assert list((tmp_path / "out").iterdir()) == []
