"""SIGTERM at any moment: what is in flight gets its answer, nobody holds the node, and impatience is heard."""

import signal
import time
from pathlib import Path

import pytest

from census import listener_pid, processes_of
from listeners import RawPeer, associate_rq, dataset, p_data, pdv, store_rq
from node.demo import TemporaryNode
from nodes import await_that

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
STORE = p_data(pdv(1, 3, store_rq())) + p_data(pdv(1, 0, dataset()[:60])) + p_data(pdv(1, 2, dataset()[60:]))
STUCK_S = 5.0  # peers that are in the middle of nothing that counts
DRAIN_S = 25.0


@pytest.fixture
def node(tmp_path: Path):
    with TemporaryNode({"retention": {"min_free_gb": 0}}, folder=tmp_path / "node") as started:
        yield started


def end(node: TemporaryNode) -> float:
    """Send SIGTERM and wait for the end; return how long the listener took, which has to let go of its peers."""
    listener, started = Path(f"/proc/{listener_pid(node)}/exe"), time.monotonic()
    node.process.send_signal(signal.SIGTERM)
    await_that(lambda: not listener.exists(), "the listener to end")
    took = time.monotonic() - started
    assert node.process.wait(60) == 0
    return took


def test_peers_that_hang_do_not_hold_the_node(node: TemporaryNode) -> None:
    with (
        RawPeer(node.port) as silent,
        RawPeer(node.port) as half_header,
        RawPeer(node.port) as half_request,
        RawPeer(node.port) as idle,
        RawPeer(node.port) as half_answered,
    ):
        half_header.send(b"\1\0\0")
        half_request.send(associate_rq()[:-10])
        assert [idle.associate(), half_answered.associate()] == ["AC", "AC"]
        half_answered.send(b"\4\0\0")
        assert end(node) < STUCK_S
        assert all(peer.ended() for peer in (silent, half_header, half_request, idle, half_answered))


def test_an_object_in_flight_is_answered_and_kept_when_the_node_is_told_to_stop(node: TemporaryNode) -> None:
    with RawPeer(node.port, timeout_s=30) as peer:
        assert peer.associate() == "AC"
        peer.send(STORE[:250])
        await_that(lambda: list((node.data_dir / "spool" / "tmp").iterdir()), "the object to be begun")
        node.process.send_signal(signal.SIGTERM)
        await_that(lambda: _refuses(node.port), "the port to close")
        peer.send(STORE[250:])
        assert peer.status() == 0x0000
        assert peer.ended()
    assert node.process.wait(DRAIN_S) == 0
    kept = [path for name in ("new", "store") for path in (node.data_dir / "spool" / name).rglob("*.dcm")]
    assert [path.read_bytes().endswith(dataset()) for path in kept] == [True]


def test_a_second_sigterm_ends_the_node_at_once(node: TemporaryNode) -> None:
    with RawPeer(node.port) as peer:
        assert peer.associate() == "AC"
        peer.send(STORE[:250])
        await_that(lambda: list((node.data_dir / "spool" / "tmp").iterdir()), "the object to be begun")
        tree = processes_of(node.process.pid)
        node.process.send_signal(signal.SIGTERM)
        await_that(lambda: _refuses(node.port), "the port to close")
        started = time.monotonic()
        node.process.send_signal(signal.SIGTERM)
        node.process.wait(DRAIN_S)
        assert time.monotonic() - started < DRAIN_S / 2
        await_that(
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in tree), "every process to be gone", 5
        )


def _refuses(port: int) -> bool:
    try:
        with RawPeer(port):
            return False
    except OSError:
        return True
