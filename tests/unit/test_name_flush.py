"""One flush of a folder serves all who wait for it, and never one who came too late for it."""

import errno
import os
import threading

import pytest

from node.incoming import NameFlush
from nodes import await_that


class Disk:
    """Stands in for fsync: holds each flush until it is let go, and fails it on demand."""

    def __init__(self, monkeypatch):
        self.begun, self.fails = [], False
        self._let_go = threading.Semaphore(0)
        monkeypatch.setattr(os, "fsync", self._fsync)

    def let_go(self, *, fails=False):
        self.fails = fails
        self._let_go.release()

    def _fsync(self, folder):
        self.begun.append(folder)
        assert self._let_go.acquire(timeout=20)
        if self.fails:
            raise OSError(errno.EIO, "input/output error")


class Waiting(threading.Thread):
    def __init__(self, flush):
        super().__init__()
        self._flush, self.error = flush, None
        self.start()

    def run(self):
        try:
            self._flush()
        except OSError as error:
            self.error = error


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


def asked(flush, count):
    await_that(lambda: flush._asked == count, f"{count} to have asked", 20)


def test_who_comes_while_a_flush_runs_shares_the_next_one(disk):
    flush = NameFlush(7)
    first = Waiting(flush)
    asked(flush, 1)
    later = [Waiting(flush) for _ in range(5)]
    asked(flush, 6)
    disk.let_go()
    first.join(20)
    assert not first.is_alive()
    await_that(lambda: len(disk.begun) == 2, "the second flush", 20)
    assert all(each.is_alive() for each in later), "their names came after the first flush had begun"
    disk.let_go()
    for each in later:
        each.join(20)
        assert not each.is_alive()
    assert disk.begun == [7, 7]
    assert [each.error for each in (first, *later)] == [None] * 6


def test_a_flush_that_fails_fails_for_all_whom_it_was_to_serve_and_for_nobody_else(disk):
    flush = NameFlush(7)
    first = Waiting(flush)
    asked(flush, 1)
    later = [Waiting(flush) for _ in range(3)]
    asked(flush, 4)
    disk.let_go(fails=True)
    first.join(20)
    assert first.error.errno == errno.EIO
    await_that(lambda: len(disk.begun) == 2, "the second flush", 20)
    disk.let_go()
    for each in later:
        each.join(20)
        assert each.error is None


def test_one_alone_flushes_at_once(disk):
    disk.let_go()
    NameFlush(7)()
    assert disk.begun == [7]
