"""Whole sessions with damage in them: the listener ends each, keeps nothing of it, and serves the next."""

import contextlib
import socket
from pathlib import Path
from random import Random

import pytest

from census import Usage, listener_pid
from fuzz.mutations import mutate
from listeners import RawPeer, associate_rq, cancel_rq, dataset, echo_rq, p_data, pdu, pdv, store_rq
from node.demo import TemporaryNode
from nodes import await_that

GROWTH_MB = 20
LOG_BYTES_PER_SESSION = 1500  # accepted, what was wrong, the end: a line each
REQUEST = associate_rq()
SESSION = b"".join(
    (
        p_data(pdv(3, 3, echo_rq())),
        p_data(pdv(1, 3, store_rq())),
        p_data(pdv(1, 0, dataset(pixels=1024)[:500])),
        p_data(pdv(1, 2, dataset(pixels=1024)[500:])),
        p_data(pdv(1, 3, cancel_rq())),
        p_data(pdv(1, 3, store_rq(message_id=2)), pdv(1, 2, dataset())),
        pdu(5, bytes(4)),
    )
)


def session(port: int, random: Random) -> None:
    """Send one damaged session, and hear how it is ended; one that is not ended is a timeout."""
    seeds = [SESSION, REQUEST]
    with RawPeer(port, timeout_s=10) as peer:
        if random.random() < 0.25:
            peer.try_send(mutate(REQUEST, seeds, random) + SESSION)
        else:
            assert peer.associate() == "AC"
            peer.try_send(mutate(SESSION, seeds, random))
        with contextlib.suppress(OSError):
            peer.socket.shutdown(socket.SHUT_WR)
        while peer.receive()[0] != "CLOSED":
            pass


def sessions(node: TemporaryNode, count: int, seed: int) -> None:
    random, pid = Random(seed), listener_pid(node)
    for _ in range(50):
        session(node.port, random)
    base, log_before = Usage.of(pid), node.log_file.stat().st_size
    for number in range(count):
        session(node.port, random)
        if number % 300 == 0:
            with RawPeer(node.port) as good:
                assert good.associate(calling=b"GOOD") == "AC"
                assert good.echo() == 0x0000
                good.release()
    await_that(lambda: Usage.of(pid).is_within(base), f"threads and descriptors as in {base}", 15)
    assert Usage.of(pid).resident_mb - base.resident_mb < GROWTH_MB
    assert node.log_file.stat().st_size - log_before < LOG_BYTES_PER_SESSION * count
    assert b"Traceback" not in node.log_file.read_bytes()
    assert list((node.data_dir / "spool" / "tmp").iterdir()) == []


@pytest.fixture
def node(tmp_path: Path):
    with TemporaryNode({"retention": {"min_free_gb": 0}}, folder=tmp_path / "node") as started:
        yield started
        assert started.stop() == 0


@pytest.mark.slow
def test_some_hundred_damaged_sessions_leave_nothing(node: TemporaryNode) -> None:
    sessions(node, 600, seed=1)


@pytest.mark.soak
def test_twenty_thousand_damaged_sessions_leave_nothing(node: TemporaryNode) -> None:
    sessions(node, 20_000, seed=2)
