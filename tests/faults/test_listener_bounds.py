"""What the listener may use is bounded: memory, descriptors, threads, processor time, disk, and trust in the clock."""

import os
import resource
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from listeners import RawPeer, dataset, echo_rq, impatient, listening, memory_mb, p_data, pdv, store_rq, works
from node.errors import DiskFullError
from node.spool import Spool
from nodes import await_that

HOUR_S, YEAR_S = 3600, 366 * 86400


@pytest.fixture
def node(tmp_path: Path, monkeypatch):
    """Return a listener with short patience; whatever a test does to it, it must come to rest."""
    impatient(monkeypatch)
    with listening(
        tmp_path, listener={"network_timeout_s": 5, "acse_timeout_s": 5, "max_associations": 10}
    ) as made:
        yield made
        made.await_rest()


@pytest.mark.parametrize("count", [60, pytest.param(300, marks=pytest.mark.soak)])
def test_pipelined_requests_wait_in_the_network_and_not_in_memory(node, count: int) -> None:
    begun, going = threading.Event(), threading.Event()
    submit, size = node.registrar.submit, 1_000_000

    def slow(*arrived) -> None:
        begun.set()
        going.wait(20)
        submit(*arrived)

    node.registrar.submit = slow
    content = dataset(pixels=size)
    one = p_data(pdv(1, 3, store_rq())) + b"".join(
        p_data(pdv(1, 0 if at + 16000 < len(content) else 2, content[at : at + 16000]))
        for at in range(0, len(content), 16000)
    )
    with RawPeer(node.port, timeout_s=30) as peer:
        assert peer.associate() == "AC"
        sender = threading.Thread(target=lambda: [peer.try_send(one) for _ in range(count)])
        before = memory_mb()
        sender.start()
        assert begun.wait(20)
        assert not _ends_within(sender, 0.5)
        assert len(node.temporary_files()) <= 2
        assert memory_mb() - before < 20
        going.set()
        assert [peer.status() for _ in range(count)] == [0] * count
        sender.join()
        peer.release()


def test_a_long_object_streams_through(node) -> None:
    fragment, count = bytes(16000), 12_500
    size = len(dataset()) + 8 + len(fragment) * count
    before = memory_mb()
    with RawPeer(node.port, timeout_s=60) as peer:
        assert peer.associate() == "AC"
        pixels = struct.pack("<HHI", 0x7FE0, 0x0010, len(fragment) * count)
        peer.send(p_data(pdv(1, 3, store_rq())) + p_data(pdv(1, 0, dataset() + pixels)))
        one = p_data(pdv(1, 0, fragment))
        for _ in range(count - 1):
            peer.send(one)
        peer.send(p_data(pdv(1, 2, fragment)))
        assert peer.status() == 0x0000
        peer.release()
    assert memory_mb() - before < 20
    assert node.arrivals[0].path.stat().st_size - size < 1000


def test_a_peer_that_never_reads_its_answers_is_given_up(node) -> None:
    with RawPeer(node.port) as peer:
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        assert peer.associate() == "AC"
        stop = threading.Event()

        def flood() -> None:
            while not stop.is_set():
                try:
                    peer.socket.sendall(p_data(pdv(3, 3, echo_rq())) * 500)
                except OSError:
                    return

        sender = threading.Thread(target=flood)
        sender.start()
        await_that(lambda: node.registrar.closed, "the association to be given up", 60)
        stop.set()
        peer.socket.close()
        sender.join()


def test_descriptors_over_1024_are_served(node) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2000:
        pytest.skip("the limit of open files is below 2000")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2000, hard))
    taken = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        works(node)
        with RawPeer(node.port) as peer:
            assert peer.associate() == "AC"
            assert peer.store(dataset()) == 0
            peer.release()
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_descriptors_left_is_survived(node) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with RawPeer(node.port) as waiting:
        assert waiting.associate() == "AC"
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
        taken = _take_all_descriptors()
        try:
            assert waiting.store(dataset()) == 0xA700
        finally:
            for descriptor in taken:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert waiting.store(dataset()) == 0x0000
        waiting.release()


def test_a_full_disk_is_a700_and_the_next_object_is_taken(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", "test", durability="flush")
    room = [40_000]

    class Filling:
        owner = spool.owner
        recover = spool.recover

        @staticmethod
        def open(*arguments):
            incoming = spool.open(*arguments)
            append = incoming.append

            def limited(buffers):
                room[0] -= sum(map(len, buffers))
                if room[0] < 0:
                    incoming.discard()
                    raise DiskFullError("no space left")
                append(buffers)

            incoming.append = limited
            return incoming

    with listening(tmp_path, spool=Filling()) as node:
        with RawPeer(node.port) as peer:
            assert peer.associate() == "AC"
            assert peer.store(dataset(pixels=500_000)) == 0xA700
            assert node.temporary_files() == []
            room[0] = 1_000_000
            assert peer.store(dataset(pixels=500_000)) == 0x0000
            peer.release()
        node.await_rest()
    spool.close()


def test_a_wall_clock_that_jumps_ends_no_association(node, monkeypatch) -> None:
    with RawPeer(node.port) as peer:
        assert peer.associate() == "AC"
        wall = time.time
        for jump_s in (HOUR_S, -HOUR_S, YEAR_S, -YEAR_S):
            monkeypatch.setattr(time, "time", lambda jump_s=jump_s: wall() + jump_s)
            started = time.monotonic()
            await_that(lambda started=started: time.monotonic() - started > 1.2, "the timers to be looked at")
            assert peer.echo() == 0x0000
        monkeypatch.setattr(time, "time", wall)
        peer.release()


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
def test_a_wall_clock_that_jumps_stops_no_timer(tmp_path: Path, monkeypatch, jump_s: int) -> None:
    impatient(monkeypatch)
    with listening(tmp_path, listener={"network_timeout_s": 1, "acse_timeout_s": 1}) as node:
        with RawPeer(node.port) as silent, RawPeer(node.port) as half, RawPeer(node.port) as idle:
            assert idle.associate() == "AC"
            half.send(b"\1\0\0")
            wall = time.time
            monkeypatch.setattr(time, "time", lambda: wall() + jump_s)
            assert all(peer.ended() for peer in (silent, half, idle))
        node.await_rest()


def test_idle_associations_cost_little(tmp_path: Path) -> None:
    with listening(tmp_path) as node:
        peers = [RawPeer(node.port) for _ in range(20)]
        assert [peer.associate() for peer in peers] == ["AC"] * 20
        started, used = time.monotonic(), time.process_time()
        await_that(lambda: time.monotonic() - started > 1.5, "a while")
        assert (time.process_time() - used) / (time.monotonic() - started) < 0.2
        for peer in peers:
            peer.socket.close()
        node.await_rest()


def _take_all_descriptors() -> list[int]:
    taken = []
    while True:
        try:
            taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            return taken


def _ends_within(thread: threading.Thread, seconds: float) -> bool:
    thread.join(seconds)
    return not thread.is_alive()
