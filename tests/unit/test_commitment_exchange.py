"""The files between listener and worker: durable before they are acknowledged, whole, and taken once."""

import errno
import os
import stat

import pytest

from commitments import CT
from node.commitment.dataset import Request
from node.commitment.exchange import Asked, Exchange, Result
from node.errors import DiskFullError, SpoolError

RESULT = Result(Request("1.2.77", ((CT, "1.2.3"),)), (0x0112,))


@pytest.fixture
def exchange(tmp_path):
    return Exchange(tmp_path / "spool" / "commitment")


def asked(token: str = "a" * 32) -> Asked:
    return Asked(token, "1.2.77", ((CT, "1.2.3"),), "SCANNER", "PREPNODE", "10.0.0.7", "host-0:1", 1000.5)


def names(exchange) -> list[str]:
    return sorted(path.name for path in exchange.folder.iterdir())


def test_a_request_is_read_as_it_was_asked(exchange):
    exchange.ask(asked())
    assert exchange.backlog() == 1
    assert exchange.requests(10) == [asked()]
    exchange.done(asked().token)
    assert exchange.requests(10) == []


def test_a_request_is_flushed_renamed_and_its_name_flushed_in_this_order(exchange, monkeypatch):
    calls = []
    fsync, rename = os.fsync, os.rename

    def noting_fsync(fd):
        calls.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        fsync(fd)

    def noting_rename(source, target, **options):
        calls.append("rename")
        rename(source, target, **options)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "rename", noting_rename)
    exchange.ask(asked())
    assert calls == ["file", "rename", "folder"]


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, DiskFullError), (errno.EIO, SpoolError)])
@pytest.mark.parametrize("failing", [1, 2])
def test_a_request_that_cannot_be_flushed_leaves_no_trace(exchange, monkeypatch, number, error, failing):
    calls = []

    def fail(fd):
        calls.append(fd)
        if len(calls) == failing:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(error):
        exchange.ask(asked())
    assert names(exchange) == []


def test_only_one_takes_an_answer(exchange):
    exchange.answer("t", RESULT)
    assert exchange.take("t") == RESULT
    assert exchange.take("t") is None
    exchange.forget("t")
    assert names(exchange) == []


def test_signs_count_once_the_request_was_taken_and_reported_comes_first(exchange):
    exchange.ask(asked("a"))
    for token in ("a", "b"):
        exchange.sign(token, "closed")
    exchange.sign("b", "reported")
    assert exchange.signs() == [("b", "reported"), ("b", "closed")]
    exchange.done("a")
    assert ("a", "closed") in exchange.signs()


def test_a_damaged_request_is_set_aside_and_the_others_are_read(exchange):
    exchange.ask(asked("a"))
    exchange.ask(asked("b"))
    (exchange.folder / "a.request").write_bytes(b'{"token": "a"')
    assert [each.token for each in exchange.requests(10)] == ["b"]
    assert names(exchange) == ["a.unreadable", "b.request"]


def test_what_a_process_that_died_left_is_removed_but_never_a_request(exchange):
    exchange.ask(asked("a"))
    for name in ("a.request.12.tmp", "b.answer", "c.taken"):
        (exchange.folder / name).touch()
    (exchange.folder / "d.answer").touch()
    for name in names(exchange):
        if name != "d.answer":
            os.utime(exchange.folder / name, (1000, 1000))
    exchange.clear()
    assert names(exchange) == ["a.request", "d.answer"]
