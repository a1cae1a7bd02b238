"""Peers that take their time, all at once, against a running node: nobody else notices, and each is cut."""

import contextlib
import statistics
import threading
import time

import pytest

from census import Usage, listener_pid
from listeners import RawPeer, associate_rq, dataset, echo_rq, p_data, pdv, store_rq
from node.demo import TemporaryNode
from nodes import await_that

SILENT, HALF_HEADERS, HALF_PDUS, DRIPS, UNREADING = 200, 20, 5, 3, 3
CUT_S = 15.0
P99_S = 0.1


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with TemporaryNode(folder=tmp_path_factory.mktemp("slow")) as started:
        yield started


def drip(port: int, lasted: list[float]) -> None:
    """Send a request one byte every two seconds; note how long the listener stands it."""
    with RawPeer(port, timeout_s=2) as peer:
        started = time.monotonic()
        with contextlib.suppress(OSError):
            for byte in associate_rq():
                peer.send(bytes((byte,)))
                with contextlib.suppress(TimeoutError):
                    if not peer.socket.recv(1):
                        break
        lasted.append(time.monotonic() - started)


def flood(peer: RawPeer) -> None:
    """Send C-ECHO without reading an answer until the listener has had enough."""
    with contextlib.suppress(OSError):
        while True:
            peer.socket.sendall(p_data(pdv(3, 3, echo_rq())) * 500)


def echo_s(port: int) -> float:
    started = time.monotonic()
    with RawPeer(port) as peer:
        assert peer.associate(calling=b"GOOD") == "AC"
        assert peer.echo() == 0x0000
        peer.release()
    return time.monotonic() - started


def one_round(node: TemporaryNode) -> list[float]:
    """Let all slow peers loose; return how long C-ECHO of a good peer took meanwhile."""
    pid, lasted, took = listener_pid(node), [], []
    base = Usage.of(pid)
    with contextlib.ExitStack() as stack:

        def peers(count: int) -> list[RawPeer]:
            return [stack.enter_context(RawPeer(node.port)) for _ in range(count)]

        held = peers(SILENT)
        for each in peers(HALF_HEADERS):
            each.send(b"\1\0\0")
            held.append(each)
        for each in peers(HALF_PDUS):
            assert each.associate() == "AC"
            each.send((p_data(pdv(1, 3, store_rq())) + p_data(pdv(1, 2, dataset())))[:-10])
            held.append(each)
        unread = peers(UNREADING)
        for each in unread:
            each.socket.setsockopt(1, 8, 2048)  # SO_RCVBUF
            assert each.associate() == "AC"
            each.socket.settimeout(60)
        threads = [threading.Thread(target=drip, args=(node.port, lasted)) for _ in range(DRIPS)]
        threads += [threading.Thread(target=flood, args=(each,)) for each in unread]
        for thread in threads:
            thread.start()
        until = time.monotonic() + CUT_S
        while time.monotonic() < until:
            took.append(echo_s(node.port))
            threads[0].join(0.05)
        for each in held:
            each.socket.settimeout(1)
            assert each.ended(), "a slow peer is still there"
        for each in unread:
            each.socket.shutdown(2)
        for thread in threads:
            thread.join(30)
    assert max(lasted) <= CUT_S
    await_that(lambda: Usage.of(pid).is_within(base), f"threads and descriptors as in {base}")
    return took


@pytest.mark.slow
def test_slow_peers_delay_nobody_and_are_cut(node: TemporaryNode) -> None:
    echo_s(node.port)
    took = one_round(node)
    assert statistics.quantiles(took, n=100)[-1] < P99_S


@pytest.mark.soak
def test_slow_peers_delay_nobody_round_after_round(node: TemporaryNode) -> None:
    one_round(node)
    before = Usage.of(listener_pid(node)).resident_mb
    took = [each for _ in range(30) for each in one_round(node)]
    assert statistics.quantiles(took, n=100)[-1] < P99_S
    assert Usage.of(listener_pid(node)).resident_mb - before < 20
