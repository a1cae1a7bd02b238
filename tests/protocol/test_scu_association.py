"""An association as SCU ends in bounded time, whatever the peer does, and sends bytes as they are."""

import shutil
import socket
import struct
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

import data
from listeners import CT, IMPLICIT, MR, listening, p_data, pdu, pdv
from node import command_set as cs
from node.errors import DeliveryError
from node.forwarding.association import VERIFICATION_CONTEXT, Association, Target, batches
from node.forwarding.negotiation import MAX_CONTEXTS, agreement, rejection, request
from node.forwarding.sendable import Sendable, sendable
from nodes import StoreSCP, free_port

TIMEOUT_S = 0.5
BIG = 20_000_000


@contextmanager
def faulty(behaviour):
    """Serve one connection by a function, on a port of its own; yield the target."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(20)
                behaviour(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Target(
            "127.0.0.1", server.getsockname()[1], "FAULTY", timeout_s=TIMEOUT_S, connect_timeout_s=TIMEOUT_S
        )
        thread.join(20)
        assert not thread.is_alive()


def read_pdu(connection: socket.socket) -> bytes:
    head = connection.recv(6, socket.MSG_WAITALL)
    length = struct.unpack(">I", head[2:])[0] if len(head) == 6 else 0
    return connection.recv(length, socket.MSG_WAITALL) if length else b""


def accept(connection: socket.socket, *, max_pdu: int = 16384, identifiers=(1,), result: int = 0) -> None:
    read_pdu(connection)
    variable = b"".join(
        struct.pack(">BBH", 0x21, 0, 8 + len(IMPLICIT)) + bytes((identifier, 0, result, 0))
        + struct.pack(">BBH", 0x40, 0, len(IMPLICIT)) + IMPLICIT.encode()
        for identifier in identifiers
    )  # fmt: skip
    variable += struct.pack(">BBHBBHI", 0x50, 0, 8, 0x51, 0, 4, max_pdu)
    connection.sendall(pdu(2, struct.pack(">HH64x", 1, 0) + variable))


def response(kind: int, status: int, *, message_id: int = 1, comment: str = "") -> bytes:
    elements = {
        cs.COMMAND_FIELD: kind,
        cs.MESSAGE_ID_RESPONDED_TO: message_id,
        cs.DATA_SET_TYPE: 0x0101,
        cs.STATUS: status,
    }
    return cs.encode(elements | ({cs.ERROR_COMMENT: comment} if comment else {}))


def wait_for_end(connection: socket.socket) -> None:
    """Hold the connection until the peer gives up."""
    try:
        while connection.recv(65536):
            pass
    except OSError:
        return


def fails(target: Target, action, match: str, within_s: float = 5.0) -> DeliveryError:
    started = time.monotonic()
    with pytest.raises(DeliveryError, match=match) as caught:
        action(target)
    assert time.monotonic() - started < within_s
    assert caught.value.retryable
    return caught.value


def echo(target: Target):
    with Association(target, [VERIFICATION_CONTEXT]) as association:
        return association.echo()


def store_big(target: Target):
    item = Sendable(Path("/dev/zero"), CT, "1.2.3", IMPLICIT, 0, BIG)
    with Association(target, [item.context]) as association:
        return association.store(item)


def test_nobody_listening_is_told() -> None:
    fails(
        Target("127.0.0.1", free_port(), "X", connect_timeout_s=TIMEOUT_S), echo, "no connection to 127.0.0.1"
    )


def test_an_unknown_host_is_told() -> None:
    fails(Target("no-such-host.invalid", 104, "X", connect_timeout_s=TIMEOUT_S), echo, "no connection to", 30)


def test_a_peer_that_never_answers_the_request_is_left() -> None:
    with faulty(wait_for_end) as target:
        fails(target, echo, "did not answer")


def test_a_peer_that_drips_its_answer_is_left() -> None:
    def drip(connection: socket.socket) -> None:
        read_pdu(connection)
        for byte in b"\x02\x00\x00\x00\x01\x00" + bytes(100):
            try:
                connection.sendall(bytes((byte,)))
            except OSError:
                return
            time.sleep(0.05)

    with faulty(drip) as target:
        fails(target, echo, "did not answer")


def test_a_peer_that_stops_reading_is_left() -> None:
    released = threading.Event()

    def deaf(connection: socket.socket) -> None:
        accept(connection)
        released.wait(20)

    with faulty(deaf) as target:
        fails(target, store_big, "takes no data for", 10)
        released.set()


def test_a_peer_that_answers_by_half_is_left() -> None:
    def half(connection: socket.socket) -> None:
        accept(connection)
        connection.sendall(p_data(pdv(1, 3, response(cs.C_ECHO_RSP, 0)))[:20])
        wait_for_end(connection)

    with faulty(half) as target:
        fails(target, echo, "did not answer")


def test_a_peer_that_resets_is_told() -> None:
    def reset(connection: socket.socket) -> None:
        accept(connection)
        connection.recv(10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with faulty(reset) as target:
        fails(target, store_big, "closed the connection")


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (pdu(7, b"\0\0\2\0"), "A-ABORT"),
        (pdu(4, b"", length=0xFFFFFFFF), "announces a PDU of 4294967295 bytes"),
        (p_data(pdv(1, 3, b"\0\0\0")), "malformed"),
        (p_data(pdv(1, 3, response(cs.C_STORE_RSP, 0))), "something else"),
        (p_data(pdv(1, 3, response(cs.C_ECHO_RSP, 0, message_id=9))), "another message"),
        (b"", "without an answer"),
    ],
)
def test_a_wrong_answer_is_told(answer: bytes, match: str) -> None:
    def wrong(connection: socket.socket) -> None:
        accept(connection)
        read_pdu(connection)
        connection.sendall(answer)
        if answer:
            wait_for_end(connection)

    with faulty(wrong) as target:
        fails(target, echo, match)


def test_an_answer_in_fragments_is_put_together() -> None:
    whole = response(cs.C_ECHO_RSP, 0x0122, comment="SOP class not supported")

    def fragments(connection: socket.socket) -> None:
        accept(connection)
        read_pdu(connection)
        connection.sendall(
            p_data(pdv(1, 1, whole[:9])) + p_data(pdv(1, 1, whole[9:40]), pdv(1, 3, whole[40:]))
        )
        read_pdu(connection)
        connection.sendall(pdu(6, bytes(4)))

    with faulty(fragments) as target:
        answer = echo(target)
        assert (answer.status, answer.comment) == (0x0122, "SOP class not supported")
        assert str(answer) == "0x0122 (SOP class not supported)"


@pytest.mark.parametrize(
    ("code", "words"),
    [((2, 3, 2), "limit of associations is reached (for now)"), ((1, 1, 7), "not its own (permanently)")],
)
def test_a_rejection_is_told_in_words(code: tuple[int, int, int], words: str) -> None:
    assert words in rejection(bytes((0, *code)))

    def reject(connection: socket.socket) -> None:
        read_pdu(connection)
        connection.sendall(pdu(3, bytes((0, *code))))
        wait_for_end(connection)

    with faulty(reject) as target:
        fails(target, echo, "refused the association")


def test_a_context_that_is_refused_is_told_and_does_not_stop_others() -> None:
    def partly(connection: socket.socket) -> None:
        accept(connection, identifiers=(3,), result=4)
        wait_for_end(connection)

    with faulty(partly) as target:
        association = Association(target, [(CT, IMPLICIT), (MR, IMPLICIT)])
        assert not association.accepts((MR, IMPLICIT))
        assert association.why_not((MR, IMPLICIT)) == "transfer syntax not supported"
        assert association.why_not((CT, IMPLICIT)) == "not answered"
        with pytest.raises(DeliveryError, match="transfer syntax not supported") as caught:
            association.store(Sendable(Path("/dev/zero"), MR, "1.2.3", IMPLICIT, 0, 10))
        assert not caught.value.retryable
        association.abort()


@pytest.mark.parametrize("max_pdu", [1, 127])
def test_a_peer_that_takes_tiny_pdus_is_not_used(max_pdu: int) -> None:
    def tiny(connection: socket.socket) -> None:
        accept(connection, max_pdu=max_pdu)
        wait_for_end(connection)

    with faulty(tiny) as target:
        fails(target, echo, "too short to use")


def test_contexts_are_divided_over_associations() -> None:
    contexts = [(f"1.2.{number}", IMPLICIT) for number in range(300)]
    assert [len(batch) for batch in batches(contexts * 2)] == [128, 128, 44]
    assert len(request("A", "B", contexts[:MAX_CONTEXTS])) > 128
    with pytest.raises(ValueError, match="129 presentation contexts"):
        request("A", "B", contexts[: MAX_CONTEXTS + 1])


def test_an_answer_with_contexts_nobody_proposed_is_malformed() -> None:
    stranger = struct.pack(">BBHBBBB", 0x21, 0, 4, 99, 0, 0, 0)
    with pytest.raises(DeliveryError, match="malformed"):
        agreement(bytes(68) + stranger, [(CT, IMPLICIT)])


def test_progress_is_told_every_byte_and_may_end_the_sending(tmp_path: Path) -> None:
    path = data.write(data.ct_series(slices=1, rows=256, columns=256), tmp_path / "ct")[0]
    item = sendable(path)
    with listening(tmp_path / "node", listener={"max_pdu": 4096}) as node:
        target = Target("127.0.0.1", node.port, "PREPNODE")
        told: list[int] = []
        with Association(target, [item.context]) as association:
            assert association.store(item, progress=told.append).status == 0
        assert sum(told) == item.size
        assert max(told) == 4096 - 6

        def too_late(_count: int) -> None:
            raise DeliveryError("given up")

        with (
            pytest.raises(DeliveryError, match="given up"),
            Association(target, [item.context]) as association,
        ):
            association.store(item, progress=too_late)
        node.await_rest()
        assert len(node.arrivals) == 1


def test_a_file_that_became_shorter_is_told(tmp_path: Path) -> None:
    path = data.write(data.ct_series(slices=1), tmp_path / "ct")[0]
    item = sendable(path)
    path.write_bytes(path.read_bytes()[:-100])
    with (
        listening(tmp_path / "node") as node,
        pytest.raises(DeliveryError, match="shorter"),
        Association(Target("127.0.0.1", node.port, "PREPNODE"), [item.context]) as association,
    ):
        association.store(item)


@pytest.mark.servers
def test_storescp_receives_the_same_data_sets(tmp_path: Path) -> None:
    if shutil.which("storescp") is None:
        pytest.skip("dcmtk is not installed")
    datasets = data.ct_series(slices=3)
    items = [sendable(path) for path in data.write(datasets, tmp_path / "ct")]
    with StoreSCP(tmp_path / "scp", free_port()) as scp:
        target = Target("127.0.0.1", scp.port, "STORESCP")
        with Association(target, [items[0].context, VERIFICATION_CONTEXT]) as association:
            assert [association.store(item).status for item in items] == [0, 0, 0]
            assert association.echo().status == 0
        assert scp.datasets() == {each.SOPInstanceUID: each for each in datasets}


def test_what_can_be_sent_is_seen_with_and_without_file_meta(tmp_path: Path) -> None:
    original = data.ct_series(slices=1)[0]
    whole = data.file_bytes(original)
    item = sendable(data.write([original], tmp_path / "ct")[0])
    bare = tmp_path / "bare"
    bare.write_bytes(whole[item.offset :])
    assert sendable(bare) == Sendable(
        bare, item.sop_class_uid, item.sop_instance_uid, item.transfer_syntax_uid, 0, item.size
    )
    for name, content in (("empty", b""), ("text", b"hello" * 100), ("meta", whole[: item.offset])):
        (tmp_path / name).write_bytes(content)
        assert sendable(tmp_path / name) is None


def test_the_data_set_says_which_instance_it_is_when_file_meta_lies(tmp_path: Path) -> None:
    original = data.ct_series(slices=1)[0]
    original.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5.6"
    path = tmp_path / "lie.dcm"
    original.save_as(path)
    assert sendable(path).sop_instance_uid == original.SOPInstanceUID
