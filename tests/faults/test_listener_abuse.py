"""Peers that break every rule: each gets its answer or its end, and the listener is at rest afterwards."""

import os
import socket
import struct
import time
from pathlib import Path

import pytest

from listeners import (
    CT,
    UID,
    RawPeer,
    associate_rq,
    cancel_rq,
    command,
    dataset,
    echo_rq,
    element,
    item,
    listening,
    memory_mb,
    p_data,
    pdu,
    pdv,
    store_rq,
    us,
    works,
)
from node.listener import guards
from nodes import await_that

STORE = p_data(pdv(1, 3, store_rq())) + p_data(pdv(1, 2, dataset()))


@pytest.fixture
def node(tmp_path: Path, monkeypatch):
    """Return a listener with short patience; whatever a test does to it, it must come to rest."""
    monkeypatch.setattr(guards, "HEADER_TIMEOUT_S", 0.5)
    monkeypatch.setattr(guards, "PDU_TIMEOUT_S", 0.5)
    monkeypatch.setattr(guards, "SEND_TIMEOUT_S", 0.5)
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
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    "bytes_",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes.fromhex("160301020001") + b"\1" * 200,
        pdu(1, bytes(10)),
        pdu(9, b"x" * 10),
        pdu(4, b""),
        STORE,
        pdu(5, bytes(4)),
        pdu(2, bytes(68)),
        pdu(7, bytes(4)),
        associate_rq(contexts=()),
        associate_rq(called=b"A\nB"),
        associate_rq(calling=b"\xff\xfe"),
        pdu(1, struct.pack(">HH", 1, 0) + b"N".ljust(16) + b"E".ljust(16) + bytes(32) + b"\x10\0\xea\x601"),
    ],
)
def test_what_is_no_association_request_is_ended(node, bytes_: bytes) -> None:
    with RawPeer(node.port) as peer:
        peer.send(bytes_)
        ended = peer.receive()[0]
        assert ended in ("ABORT", "CLOSED", "RJ", "AC")
        if ended == "AC":  # a request without contexts, or with an odd title, is legal enough
            peer.abort()
        works(node)


def test_protocol_version_two_is_rejected(node) -> None:
    with RawPeer(node.port) as peer:
        assert peer.associate(version=2) == "RJ"


# in an association


@pytest.mark.parametrize(
    "bytes_",
    [
        pytest.param(pdu(4, struct.pack(">IB", 1, 1)), id="no control header"),
        pytest.param(pdu(4, struct.pack(">I", 0)), id="PDV of length 0"),
        pytest.param(pdu(4, struct.pack(">IBB", 5000, 1, 3) + b"abc"), id="PDV longer than its PDU"),
        pytest.param(p_data(pdv(1, 3, store_rq()[:-10])), id="command cut short"),
        pytest.param(p_data(pdv(1, 3, os.urandom(200))), id="garbage command"),
        pytest.param(p_data(pdv(1, 3, command(element(0, 2, CT.encode())))), id="no command field"),
        pytest.param(p_data(pdv(1, 3, echo_rq())), id="C-ECHO in a storage context"),
        pytest.param(p_data(pdv(3, 3, store_rq())), id="C-STORE in the verification context"),
        pytest.param(p_data(pdv(99, 3, store_rq())), id="unknown context"),
        pytest.param(p_data(pdv(1, 2, dataset())), id="data set without command"),
        pytest.param(p_data(pdv(1, 3, store_rq())) * 2, id="command instead of data set"),
        pytest.param(p_data(pdv(1, 1, store_rq()[:20]), pdv(3, 3, echo_rq())), id="mixed contexts"),
        pytest.param(pdu(9, b"x" * 10), id="unknown PDU"),
        pytest.param(associate_rq(), id="second request"),
        pytest.param(pdu(2, bytes(68)), id="A-ASSOCIATE-AC"),
        pytest.param(pdu(6, bytes(4)), id="A-RELEASE-RP"),
        pytest.param(b"GET / HTTP/1.0\r\n\r\n", id="HTTP"),
    ],
)
def test_what_breaks_the_protocol_ends_the_association(node, bytes_: bytes) -> None:
    with RawPeer(node.port) as peer:
        assert peer.associate() == "AC"
        peer.send(bytes_)
        assert peer.ended()
        works(node)


@pytest.mark.parametrize("field", [0x0020, 0x0021, 0x0010, 0x0100, 0x0130, 0x0140, 0x7777, 0x8001])
def test_other_commands_end_the_association(node, field: int) -> None:
    other = command(
        element(0, 2, CT.encode()),
        element(0, 0x100, us(field)),
        element(0, 0x110, us(1)),
        element(0, 0x800, us(0x101)),
    )
    with RawPeer(node.port) as peer:
        assert peer.associate() == "AC"
        peer.send(p_data(pdv(1, 3, other)))
        assert peer.ended()


@pytest.mark.parametrize("missing", [0x0110, 0x1000])
def test_a_store_without_message_id_or_instance_uid_ends_the_association_at_once(node, missing: int) -> None:
    elements = {2: CT.encode(), 0x100: us(1), 0x110: us(1), 0x700: us(0), 0x800: us(1), 0x1000: UID.encode()}
    del elements[missing]
    with RawPeer(node.port) as peer:
        assert peer.associate() == "AC"
        peer.send(p_data(pdv(1, 3, command(*(element(0, tag, value) for tag, value in elements.items())))))
        assert peer.ended()


def test_thirty_cancels_are_ignored(node) -> None:
    with RawPeer(node.port) as peer:
        assert peer.associate() == "AC"
        peer.send(b"".join(p_data(pdv(1, 3, cancel_rq(number))) for number in range(30)))
        assert peer.echo() == 0x0000
        assert peer.store(dataset()) == 0x0000
        peer.release()


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


@pytest.mark.parametrize("max_pdu", [1, 5, 6, 7, 8, 12, 100])
def test_a_peer_with_tiny_pdus_is_rejected(node, max_pdu: int) -> None:
    with RawPeer(node.port) as peer:
        assert peer.associate(max_pdu=max_pdu) == "RJ"


def test_no_limit_of_pdus_is_served(node) -> None:
    with RawPeer(node.port) as peer:
        assert peer.associate(max_pdu=0) == "AC"
        assert peer.store(dataset()) == 0x0000


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


def test_duplicate_message_ids_and_objects_are_all_answered(node) -> None:
    with RawPeer(node.port) as peer:
        assert peer.associate() == "AC"
        peer.send(STORE * 3)
        assert [peer.status() for _ in range(3)] == [0, 0, 0]
        peer.release()
    assert len({arrival.sha256 for arrival in node.arrivals}) == 1
    assert len(node.arrivals) == 3


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
