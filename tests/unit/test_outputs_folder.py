"""A results folder appears whole or not at all."""

import multiprocessing
import os
import signal

import pytest

from handlers.outputs import folder as room
from handlers.outputs.folder import published


class BrokenError(Exception):
    pass


def names(parent):
    return sorted(entry.name for entry in parent.iterdir())


def write_and_fail(out):
    with published(out) as folder:
        (folder / "a").write_text("new")
        raise BrokenError


def test_folder_appears_when_the_work_is_done(tmp_path):
    with published(tmp_path / "deep" / "out") as folder:
        (folder / "a").write_text("new")
        assert not (tmp_path / "deep" / "out").exists()
        assert folder.parent == tmp_path / "deep"
    assert names(tmp_path / "deep") == ["out"]
    assert (tmp_path / "deep" / "out" / "a").read_text() == "new"


def test_failure_leaves_the_old_folder_as_it_was(tmp_path):
    with published(tmp_path / "out") as folder:
        (folder / "a").write_text("old")
    with pytest.raises(BrokenError):
        write_and_fail(tmp_path / "out")
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out" / "a").read_text() == "old"


@pytest.mark.parametrize("can_exchange", [True, False])
def test_old_folder_is_replaced_with_all_that_was_in_it(tmp_path, monkeypatch, can_exchange):
    if not can_exchange:
        monkeypatch.setattr(room, "_exchange", lambda *_: False)
    for content in ("old", "new"):
        with published(tmp_path / "out") as folder:
            (folder / content).write_text(content)
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["new"]


def test_a_reader_who_has_the_old_folder_open_still_finds_it_whole(tmp_path):
    with published(tmp_path / "out") as folder:
        (folder / "a").write_text("old")
    with published(tmp_path / "out") as folder, (tmp_path / "out" / "a").open() as old:
        (folder / "a").write_text("new")
        assert old.read() == "old"
    assert (tmp_path / "out" / "a").read_text() == "new"


def killed_while_writing(parent):
    with published(parent / "out") as folder:
        (folder / "half").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=killed_while_writing, args=(tmp_path,))
    process.start()
    process.join()
    assert names(tmp_path) == [f".out.tmp-{process.pid}"]
    with published(tmp_path / "out") as folder:
        (folder / "a").write_text("whole")
    assert names(tmp_path) == ["out"]


def test_a_folder_that_is_being_written_is_left_alone(tmp_path, monkeypatch):
    with published(tmp_path / "out") as first:
        monkeypatch.setattr(room.os, "getpid", lambda: 1)
        with published(tmp_path / "out") as second:
            assert first.exists()
            (second / "a").write_text("second")
        (first / "a").write_text("first")
    assert (tmp_path / "out" / "a").read_text() == "first"


def test_a_folder_set_aside_comes_back_when_its_writer_died_between_two_renames(tmp_path):
    (tmp_path / ".out.tmp-99-old").mkdir()
    (tmp_path / ".out.tmp-99-old" / "a").write_text("old")
    with pytest.raises(BrokenError):
        write_and_fail(tmp_path / "out")
    assert (tmp_path / "out" / "a").read_text() == "old"


def test_names_with_pattern_characters_match_only_themselves(tmp_path):
    (tmp_path / ".ab.tmp-1").mkdir()
    with published(tmp_path / "a?"):
        pass
    assert names(tmp_path) == [".ab.tmp-1", "a?"]
