"""The ledger of a whole node: balanced after kill -9 of the tree under load, unbalanced when an object is taken away."""

import json
import random
import sqlite3
import threading
from collections import Counter
from pathlib import Path

import pytest

from listeners import RawPeer, dataset
from node.demo import TemporaryNode
from nodes import await_that, run_cli

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
KEYS = {"completion": {"quiet_s": 600, "settle_s": 600}, "jobs": {"workers": 1}}
ROUNDS = 3
OBJECTS = 5000  # more than are sent before the kill
DIFFERENT = 40
PEERS = ("PACS1", "PACS2")


class Sender(threading.Thread):
    """Sends over one association until the node is gone; counts what was answered with success."""

    def __init__(self, port: int, title: str, prefix: str) -> None:
        super().__init__()
        self._title, self._prefix = title, prefix
        self._peer = RawPeer(port, timeout_s=30)
        assert self._peer.associate(calling=title.encode()) == "AC"
        self.answered = 0

    def run(self) -> None:
        with self._peer as peer:
            try:
                for number in range(OBJECTS):
                    uid = f"{self._prefix}.{number % DIFFERENT}"  # then the same again
                    assert peer.store(dataset(uid, series=self._prefix, pixels=4096), uid=uid) == 0x0000
                    self.answered += 1
            except (OSError, AssertionError):
                return  # it was killed


def lines(node: TemporaryNode, expect: int = 0) -> dict[str, dict]:
    """Return the sums of the ledger for each peer, whatever day it is."""
    done = run_cli("ledger", "--json", "-c", str(node.config_file), expect=expect)
    found: dict[str, dict] = {}
    for line in json.loads(done.stdout):
        sums = found.setdefault(line["calling_ae_title"], {})
        for name, value in line.items():
            if isinstance(value, int):
                sums[name] = sums.get(name, 0) + value
    return found


def waiting(node: TemporaryNode) -> list[Path]:
    return sorted((node.data_dir / "spool" / "new").iterdir())


def send_until_killed(node: TemporaryNode, turn: int, enough: int) -> dict[str, int]:
    """Have two peers send, kill the tree in the middle of it; return what each had an answer for."""
    senders = {title: Sender(node.port, title, f"1.2.{turn}.{n}") for n, title in enumerate(PEERS)}
    for sender in senders.values():
        sender.start()
    await_that(lambda: all(sender.answered > enough for sender in senders.values()), "objects to be sent")
    node.kill()
    for sender in senders.values():
        sender.join()
    return {title: sender.answered for title, sender in senders.items()}


def test_the_ledger_balances_after_every_kill_and_tells_a_loss(tmp_path: Path) -> None:
    answered: Counter[str] = Counter()
    choose = random.Random(20260301)
    with TemporaryNode(KEYS, folder=tmp_path / "node") as node:
        for turn in range(ROUNDS):
            answered.update(send_until_killed(node, turn, choose.randrange(DIFFERENT, 3 * DIFFERENT)))
            down = lines(node)  # what the kill left waits in new/
            node.start()
            found = lines(node)
            for title, n_answered in answered.items():
                sums = found[title]
                assert sums["acknowledged"] == down[title]["acknowledged"]
                assert 0 <= sums["acknowledged"] - n_answered <= turn + 1  # the answer was cut off
                assert sums["acknowledged"] == sums["registered"] - sums["unanswered"]
                assert sums["unanswered"] <= turn + 1
                assert sums["pending"] == sums["lost"] == 0
                assert sums["receiving"] == sums["new"] <= DIFFERENT * (turn + 1)
                assert sums["duplicates"] > 0
        assert_a_loss_is_told(node)
        run_cli("registry", "verify", "-c", str(node.config_file))


def assert_a_loss_is_told(node: TemporaryNode) -> None:
    registry = sqlite3.connect(node.data_dir / "registry.db", isolation_level=None)
    registry.execute("BEGIN IMMEDIATE")  # so that what comes now waits in new/
    with RawPeer(node.port) as peer:
        assert peer.associate(calling=b"PACS3") == "AC"
        for uid in ("1.2.9.1", "1.2.9.2"):
            assert peer.store(dataset(uid), uid=uid) == 0x0000
    assert lines(node)["PACS3"]["pending"] == 2
    waiting(node)[0].unlink()
    registry.execute("ROLLBACK")
    registry.close()
    await_that(lambda: not waiting(node), "what is left to be registered")
    sums = lines(node, expect=1)["PACS3"]
    assert (sums["acknowledged"], sums["registered"], sums["lost"]) == (2, 1, 1)
    told = run_cli("ledger", "-c", str(node.config_file), expect=1).stderr
    assert "PACS3: 1 acknowledged objects are lost" in told
