"""Many senders at once, and many associations one after another: nothing is lost, and nothing grows."""

import random
import socket
import sqlite3
import struct
import threading
from contextlib import closing
from pathlib import Path

import pytest

from dcmtk_senders import acknowledged, storescu, write_objects
from exact_senders import instance
from listeners import RawPeer, associate_rq
from node.demo import TemporaryNode
from node.digest import digest
from nodes import await_that
from storms import (
    RECEIVING,
    assert_kept,
    await_settled,
    files_in,
    memory_kb,
    pids,
    registered,
    storm_node,
    threads_and_descriptors,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset
WAYS = ("echo", "store", "abort", "reset", "reset in the request", "silence")
RECEIVERS = ("listener", "registrar")  # the processes that an association may leave something in


def many_at_once(folder: Path, *, senders: int, objects: int) -> None:
    """Have so many dcmtk senders send at the same time; compare what each sent with what is kept."""
    sources = [write_objects(folder / f"{n}", objects, series_uid=f"2.25.4{n:04d}") for n in range(senders)]
    limits = {"listener": {"max_associations": senders + 10}}
    with storm_node(folder / "node", only=RECEIVING, **limits) as node:
        running = [storescu(node.port, list(source.values())) for source in sources]
        for process, source in zip(running, sources, strict=True):
            assert acknowledged(process) == set(source.values())
            assert process.returncode == 0
        await_settled(node)
        found = registered(node)
        assert set(found) == set().union(*sources)
        for source in sources:
            for uid, file in source.items():
                sha256, path = found[uid]
                assert digest(path) == sha256 == digest(file)
        assert len(files_in(node, "store")) == senders * objects


@pytest.mark.servers
def test_twenty_senders_at_once_lose_nothing(tmp_path: Path) -> None:
    many_at_once(tmp_path, senders=20, objects=20)


@pytest.mark.servers
@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_hundred_senders_at_once_lose_nothing(tmp_path: Path) -> None:
    many_at_once(tmp_path, senders=100, objects=100)


class Visitor(threading.Thread):
    """Makes one short association after another, and ends each in one of many ways."""

    def __init__(self, port: int, number: int, count: int) -> None:
        super().__init__(daemon=True)
        self._port, self._number, self._count = port, number, count
        self._chance = random.Random(number)
        self.acknowledged: dict[str, str] = {}
        self.done = 0
        self.accepted = 0

    def run(self) -> None:
        for _ in range(self._count):
            self._visit(self._chance.choice(WAYS))
            self.done += 1

    def _visit(self, way: str) -> None:
        with RawPeer(self._port, timeout_s=30) as peer:
            if way == "silence":
                return
            if way == "reset in the request":
                request = associate_rq()
                peer.send(request[: self._chance.randrange(1, len(request))])
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                return
            assert peer.associate() == "AC"
            self.accepted += 1
            if way == "reset":
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                return
            if way == "abort":
                peer.abort()
                return
            if way == "store":
                series = f"2.25.3.{self._number}"
                uid = f"{series}.{len(self.acknowledged)}"
                assert peer.store(instance(uid, series), uid=uid) == 0x0000
                self.acknowledged[uid] = series
            else:
                assert peer.echo() == 0x0000
            peer.release()


def visits(node: TemporaryNode, first: int, count: int) -> tuple[dict[str, str], int]:
    """Make so many associations, four at a time; return what was acknowledged, and how many were accepted."""
    visitors = [Visitor(node.port, number, count // 4) for number in range(first, first + 4)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
        assert visitor.done == count // 4
    kept = {uid: series for visitor in visitors for uid, series in visitor.acknowledged.items()}
    return kept, sum(visitor.accepted for visitor in visitors)


def await_noted(node: TemporaryNode, accepted: int) -> None:
    """Wait until the registry knows the end of each accepted association: nothing waits any more."""
    await_settled(node)

    def ended() -> int:
        with closing(sqlite3.connect(f"file:{node.data_dir / 'registry.db'}?mode=ro", uri=True)) as registry:
            return registry.execute("SELECT count(*) FROM association WHERE ended_at IS NOT NULL").fetchone()[
                0
            ]

    await_that(lambda: ended() == accepted, f"the end of {accepted} associations to be noted", 300)


def nothing_grows(folder: Path, *, associations: int, growth_kb: int) -> None:
    """Compare threads, descriptors and memory after many associations with those after the first few hundred."""
    with storm_node(folder / "node", only=RECEIVING) as node:
        kept, accepted = visits(node, 0, 200)
        await_noted(node, accepted)
        watched = pids(node, RECEIVERS)
        base = {pid: threads_and_descriptors(pid) for pid in watched}
        memory = {pid: memory_kb(pid) for pid in watched}
        more, accepted_more = visits(node, 10, associations)
        await_noted(node, accepted + accepted_more)
        kept |= more

        def is_back() -> bool:
            now = {pid: threads_and_descriptors(pid) for pid in watched}
            return all(a <= b for pid in watched for a, b in zip(now[pid], base[pid], strict=True))

        await_that(is_back, "threads and descriptors to be back at their number", 30)
        assert pids(node, RECEIVERS) == watched
        grown = {pid: memory_kb(pid) - memory[pid] for pid in watched}
        print(f"{associations} associations: memory grew by {list(grown.values())} KB")  # noqa: T201 - the figures
        assert max(grown.values()) < growth_kb
        assert_kept(node, kept)


def test_five_hundred_short_associations_leave_nothing_behind(tmp_path: Path) -> None:
    nothing_grows(tmp_path, associations=500, growth_kb=8_000)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("associations", [10_000, 20_000])
def test_many_thousand_short_associations_leave_nothing_behind(associations: int, tmp_path: Path) -> None:
    nothing_grows(tmp_path, associations=associations, growth_kb=16_000)
