"""Frames decoded by several processes: the same values, the same first error, and no process left behind."""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless

import data
import multiframe
from handlers.errors import PixelDataError
from handlers.normalization import parallel_frames
from handlers.normalization.stored_values import decode_stored_values
from handmade import built

SIZE = {"rows": 256, "columns": 256}  # 40 of them are above what is worth a fork


def compressed(datasets, folder: Path, syntax=JPEGLSLossless):
    for dataset in datasets:
        if syntax != ExplicitVRLittleEndian:
            dataset.compress(syntax, generate_instance_uid=False)
    return built(datasets, folder)


@pytest.fixture
def forks(monkeypatch):
    """The processes that are made, and whether each was waited for when the test ends."""
    made: list[int] = []
    fork = os.fork

    def counted() -> int:
        process = fork()
        if process:
            made.append(process)
        return process

    monkeypatch.setattr(parallel_frames.os, "fork", counted)
    yield made
    for process in made:
        with pytest.raises(ChildProcessError):
            os.waitpid(process, os.WNOHANG)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("processes", [2, 3])
def test_instances_have_the_same_values(tmp_path, forks, syntax, processes):
    volume = compressed(data.ct_series(slices=40, shuffled=True, **SIZE), tmp_path, syntax)
    alone = decode_stored_values(volume)
    assert not forks
    together = decode_stored_values(volume, processes=processes)
    assert len(forks) == processes
    assert np.array_equal(together.values, alone.values)
    assert together.steps == alone.steps
    assert together.findings == alone.findings


@pytest.mark.parametrize("processes", [2, 5])
def test_frames_of_one_instance_have_the_same_values(tmp_path, forks, processes):
    volume = compressed([multiframe.enhanced_ct(slices=41, **SIZE)], tmp_path)
    alone = decode_stored_values(volume)
    together = decode_stored_values(volume, processes=processes)
    assert len(forks) == processes
    assert np.array_equal(together.values, alone.values)


def test_there_are_no_more_processes_than_instances(tmp_path, forks):
    volume = compressed(data.ct_series(slices=2, rows=1024, columns=1024), tmp_path)
    assert len(decode_stored_values(volume, processes=8).values) == 2
    assert len(forks) == 2


@pytest.mark.parametrize(
    ("slices", "syntax"), [(4, JPEGLSLossless), (40, ExplicitVRLittleEndian)], ids=["small", "fast"]
)
def test_what_is_small_or_fast_is_decoded_here(tmp_path, forks, slices, syntax):
    volume = compressed(data.ct_series(slices=slices, **SIZE), tmp_path, syntax)
    decode_stored_values(volume, processes=2)
    assert not forks


def test_the_first_error_in_the_order_of_files_is_raised(tmp_path, forks):
    volume = compressed(data.ct_series(slices=40, **SIZE), tmp_path)
    for number in (30, 7, 12):
        path = volume.frames[number].instance.path
        path.write_bytes(path.read_bytes()[:-3000])
    messages = []
    for processes in (1, 2, 3):
        with pytest.raises(PixelDataError, match=volume.frames[7].instance.sop_instance_uid) as raised:
            decode_stored_values(volume, processes=processes)
        messages.append((str(raised.value), raised.value.code))
    assert len(set(messages)) == 1
    assert len(forks) == 5


def dying(how: signal.Signals, uid: str):
    def cells(instance, layout, numbers):
        if instance.sop_instance_uid == uid:
            faulthandler.disable()
            os.kill(os.getpid(), how)
        yield from REAL(instance, layout, numbers)

    return cells


REAL = parallel_frames.pixel_cells


def test_a_decoder_that_crashes_is_told_with_its_instance(tmp_path, forks, monkeypatch):
    volume = compressed(data.ct_series(slices=40, **SIZE), tmp_path)
    uid = volume.frames[9].instance.sop_instance_uid
    monkeypatch.setattr(parallel_frames, "pixel_cells", dying(signal.SIGSEGV, uid))
    with pytest.raises(PixelDataError, match=rf"{uid}: frame 1: its decoder crashed \(signal SIGSEGV\)"):
        decode_stored_values(volume, processes=2)
    assert len(forks) == 2


def test_a_process_that_was_killed_is_no_fault_of_the_file(tmp_path, forks, monkeypatch):
    volume = compressed(data.ct_series(slices=40, **SIZE), tmp_path)
    uid = volume.frames[9].instance.sop_instance_uid
    monkeypatch.setattr(parallel_frames, "pixel_cells", dying(signal.SIGKILL, uid))
    with pytest.raises(MemoryError, match=f"{uid}: frame 1: the process that decoded it was killed"):
        decode_stored_values(volume, processes=2)
    assert len(forks) == 2


def test_any_other_error_arrives_as_it_is(tmp_path, forks, monkeypatch):
    def failing(*_):
        raise ZeroDivisionError("a mistake of ours")
        yield

    volume = compressed(data.ct_series(slices=40, **SIZE), tmp_path)
    monkeypatch.setattr(parallel_frames, "pixel_cells", failing)
    with pytest.raises(ZeroDivisionError, match="a mistake of ours"):
        decode_stored_values(volume, processes=2)
    assert len(forks) == 2


def test_processes_end_with_the_one_that_made_them(tmp_path, monkeypatch):
    notes = tmp_path / "notes"
    notes.mkdir()

    def endless(*_):
        (notes / str(os.getpid())).touch()
        time.sleep(60)
        yield

    volume = compressed(data.ct_series(slices=40, **SIZE), tmp_path)
    monkeypatch.setattr(parallel_frames, "pixel_cells", endless)
    parent = os.fork()
    if parent == 0:
        try:
            decode_stored_values(volume, processes=2)
        finally:
            os._exit(1)
    until(lambda: len(list(notes.iterdir())) == 2)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    until(lambda: not any(is_running(int(note.name)) for note in notes.iterdir()))


def until(is_so) -> None:
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
