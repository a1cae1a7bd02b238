"""Peers that break every rule: each gets its answer or its end, and the listener is at rest afterwards."""

import socket
import struct
import time
from pathlib import Path

import pytest

from listeners import (
    RawPeer,
    associate_rq,
    dataset,
    impatient,
    item,
    listening,
    memory_mb,
    p_data,
    pdu,
    pdv,
    store_rq,
    works,
)
from node.listener import guards
from nodes import await_that

STORE = p_data(pdv(1, 3, store_rq())) + p_data(pdv(1, 2, dataset()))


@pytest.fixture
def node(tmp_path: Path, monkeypatch):
    """Return a listener with short patience; whatever a test does to it, it must come to rest."""
    impatient(monkeypatch)
    with listening(
        tmp_path, listener={"network_timeout_s": 5, "acse_timeout_s": 5, "max_associations": 10}
    ) as made:
        yield made
        made.await_rest()


# before an association


def test_silent_connections_delay_nobody(node) -> None:
    silent = [RawPeer(node.port) for _ in range(100)]
    works(node)
    for peer in silent:
        peer.socket.close()


@pytest.mark.parametrize(
    "proposed",
    [
        b"",
        item(0x30, b"1.2.840.10008.1.1"),
        item(0x40, b"1.2.840.10008.1.2"),
        item(0x30, b"") + item(0x40, b"1.2.840.10008.1.2"),
        item(0x30, b"1.2.840.10008.1.1") + item(0x40, b""),
    ],
    ids=["nothing", "no transfer syntax", "no abstract syntax", "empty abstract", "empty transfer"],
)
def test_a_context_that_proposes_nothing_ends_the_request_with_a_line(node, proposed: bytes, capsys) -> None:
    request = associate_rq()
    context = item(0x20, bytes((7, 0, 0, 0)) + proposed)
    with RawPeer(node.port) as peer:
        peer.send(pdu(1, request[6:74] + context + request[74:]))
        assert peer.receive()[0] == "ABORT"
    works(node)
    told = capsys.readouterr()
    assert "Traceback" not in told.out + told.err


def test_half_a_header_is_given_up(node) -> None:
    peers = [RawPeer(node.port) for _ in range(20)]
    for peer in peers:
        peer.send(b"\x01\x00\x00")
    works(node)
    assert all(peer.receive()[0] == "CLOSED" for peer in peers)
    for peer in peers:
        peer.socket.close()


def test_half_a_pdu_is_given_up(node) -> None:
    with RawPeer(node.port) as peer:
        peer.send(associate_rq()[:-10])
        works(node)
        assert peer.receive()[0] == "CLOSED"


def test_a_drip_of_bytes_is_given_up(node) -> None:
    with RawPeer(node.port) as peer:
        started = time.monotonic()
        for byte in associate_rq():
            try:
                peer.send(bytes((byte,)))
            except OSError:
                break
            if _is_closed_within(peer.socket, 0.05):
                break
        assert time.monotonic() - started < 4


@pytest.mark.parametrize("length", [0xFFFFFFFF, 1 << 24, guards.ASSOCIATE_LIMIT_BYTES + 1])
def test_an_association_request_that_is_too_long_is_cut_unread(node, length: int) -> None:
    before = memory_mb()
    with RawPeer(node.port) as peer:
        peer.send(pdu(1, b"\0\1", length=length))
        peer.try_send(bytes(1 << 20))
        assert peer.receive()[0] == "CLOSED"
    assert memory_mb() - before < 20


def test_the_longest_association_request_costs_little(node) -> None:
    items = b"".join(item(0x54, struct.pack(">H", 5) + b"1.2.3" + b"\1\1") for _ in range(4000))
    started = time.process_time()
    with RawPeer(node.port) as peer:
        peer.send(associate_rq(user=items))
        assert peer.receive()[0] in ("AC", "ABORT", "CLOSED", "RJ")
    assert time.process_time() - started < 2  # of both sides; 0.2 s of it the listener's, on a quiet machine


# in an association


def test_a_command_set_without_end_is_cut(node) -> None:
    before = memory_mb()
    with RawPeer(node.port) as peer:
        assert peer.associate() == "AC"
        for _ in range(200):
            peer.try_send(p_data(pdv(1, 1, bytes(60_000))))
        assert peer.ended()
    assert memory_mb() - before < 30


@pytest.mark.parametrize("length", [0xFFFFFFFF, 100_000_000, 131072 + guards.PDU_SLACK_BYTES + 1])
def test_a_pdu_longer_than_was_agreed_is_cut_unread(node, length: int) -> None:
    before = memory_mb()
    with RawPeer(node.port) as peer:
        assert peer.associate() == "AC"
        peer.send(pdu(4, b"", length=length))
        peer.try_send(bytes(1 << 20))
        assert peer.ended()
    assert memory_mb() - before < 20


def test_half_a_pdu_in_an_association_is_given_up(node) -> None:
    with RawPeer(node.port) as peer:
        assert peer.associate() == "AC"
        peer.send(STORE[:-10])
        works(node)
        assert peer.ended()


def test_an_abort_in_the_middle_of_an_object_leaves_nothing(node) -> None:
    for number in range(10):
        with RawPeer(node.port) as peer:
            assert peer.associate() == "AC"
            peer.send(p_data(pdv(1, 3, store_rq())) + p_data(pdv(1, 0, dataset(pixels=50_000)[:50_000])))
            await_that(node.temporary_files, "the object to be begun")
            if number % 2:
                peer.abort()
        await_that(lambda: not node.temporary_files(), "the object to be dropped")
    assert node.arrivals == []


def test_a_hundred_associations_leave_nothing(node) -> None:
    for number in range(100):
        with RawPeer(node.port) as peer:
            assert peer.associate() == "AC"
            if number % 3 == 0:
                peer.release()
            elif number % 3 == 1:
                peer.abort()


def _is_closed_within(connection: socket.socket, seconds: float) -> bool:
    connection.settimeout(seconds)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True
