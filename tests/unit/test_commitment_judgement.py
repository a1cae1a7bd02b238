"""What is committed, and with which reason what is not."""

import hashlib
import os
from pathlib import Path

from commitments import CT, MR
from node.commitment.judgement import Stored, is_caught_up, judge

UID = "1.2.3.4"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stored(path: Path, content: bytes = b"bytes", *, sop_class: str = CT) -> Stored:
    path.write_bytes(content)
    return Stored(sop_class, path, hashlib.sha256(content).hexdigest())


def test_what_is_as_it_was_received_is_committed(tmp_path):
    assert judge((CT, UID), [stored(tmp_path / "a")], digest) == 0x0000


def test_what_is_not_registered_is_no_such_object():
    assert judge((CT, UID), [], digest) == 0x0112


def test_a_file_that_is_gone_is_no_such_object(tmp_path):
    found = stored(tmp_path / "a")
    found.path.unlink()
    assert judge((CT, UID), [found], digest) == 0x0112


def test_another_class_is_a_conflict(tmp_path):
    assert judge((CT, UID), [stored(tmp_path / "a", sop_class=MR)], digest) == 0x0119


def test_a_single_changed_bit_is_a_failure(tmp_path):
    found = stored(tmp_path / "a", b"\x00" * 1000)
    found.path.write_bytes(b"\x00" * 999 + b"\x01")
    assert judge((CT, UID), [found], digest) == 0x0110


def test_a_file_that_cannot_be_read_is_a_failure(tmp_path):
    def unreadable(path):
        raise OSError(5, os.strerror(5))

    assert judge((CT, UID), [stored(tmp_path / "a")], unreadable) == 0x0110


def test_of_two_objects_under_one_uid_both_have_to_be_whole(tmp_path):
    one, other = stored(tmp_path / "a", b"one"), stored(tmp_path / "b", b"other")
    assert judge((CT, UID), [one, other], digest) == 0x0000
    other.path.write_bytes(b"othex")
    assert judge((CT, UID), [one, other], digest) == 0x0110


def test_the_registry_has_caught_up_when_nothing_older_than_the_request_waits(tmp_path):
    assert is_caught_up(tmp_path / "none", 1000.0)
    waiting = tmp_path / "a.dcm"
    waiting.touch()
    os.utime(waiting, (1000, 1000))
    assert not is_caught_up(tmp_path, 1000.0)
    assert not is_caught_up(tmp_path, 999.5)
    assert is_caught_up(tmp_path, 900.0)
    waiting.unlink()
    assert is_caught_up(tmp_path, 1000.0)
