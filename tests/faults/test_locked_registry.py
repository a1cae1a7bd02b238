"""The registry is locked by another process while instances come: they are kept or refused as retryable, and none is lost."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from node.demo import TemporaryNode
from nodes import await_that
from storms import RECEIVING, Storm, assert_kept, files_in, pids, processes, registered, storm_node

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@contextmanager
def locked(node: TemporaryNode) -> Iterator[None]:
    """Hold the registry as another process may: nobody writes meanwhile."""
    with closing(sqlite3.connect(node.data_dir / "registry.db", isolation_level=None)) as registry:
        registry.execute("PRAGMA busy_timeout=20000")
        registry.execute("BEGIN IMMEDIATE")
        yield
        registry.execute("ROLLBACK")


def told(node: TemporaryNode, words: str) -> bool:
    """Say whether the log has these words."""
    return words in node.log_file.read_text()


def test_what_comes_while_the_registry_is_locked_waits_or_is_refused(tmp_path: Path) -> None:
    storm = Storm(storm_node(tmp_path / "node", only=RECEIVING), seed=20260501)
    with storm.node:
        with storm.sending():
            storm.await_acknowledged(20)
            await_that(lambda: registered(storm.node), "the first instances to be registered")
            with locked(storm.node):
                await_that(lambda: told(storm.node, "registration.stuck"), "the lock to be told")
                assert files_in(storm.node, "new"), "what was acknowledged before waits in new/"
            storm.await_acknowledged(20)
        assert set(storm.statuses) <= {0x0000, 0xA701}
        assert_kept(storm.node, storm.acknowledged)
        assert told(storm.node, "registration.resumed")


def test_a_listener_that_dies_while_the_registry_is_locked_loses_nothing(tmp_path: Path) -> None:
    storm = Storm(storm_node(tmp_path / "node", only=RECEIVING), seed=20260502)
    with storm.node:
        with storm.sending():
            storm.await_acknowledged(20)
            await_that(lambda: registered(storm.node), "the first instances to be registered")
            with locked(storm.node):
                before = files_in(storm.node, "new")
                await_that(lambda: files_in(storm.node, "new") - before, "instances to wait in new/")
                victims = [each for each in processes(storm.node) if each.part == "listener"]
                for victim in victims:
                    victim.die()
                await_that(
                    lambda: pids(storm.node, ["listener"]) not in ([], [v.pid for v in victims]),
                    "another listener",
                )
            storm.await_acknowledged(20)
        assert_kept(storm.node, storm.acknowledged)
