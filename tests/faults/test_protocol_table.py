"""The protocol, case by case: what a peer sends, and what it hears within three seconds, without help of any timeout."""

import os
import struct
from pathlib import Path

import pytest

from listeners import (
    CT,
    IMPLICIT,
    MR,
    UID,
    VERIFICATION,
    RawPeer,
    associate_rq,
    cancel_rq,
    command,
    dataset,
    echo_rq,
    element,
    item,
    listening,
    p_data,
    pdu,
    pdv,
    store_rq,
    us,
    works,
)

ANSWER_S = 3.0
ENDED = "ABORT"  # or the connection closed: an A-ABORT is lost when the peer still sends
ABORT, RELEASE_RQ = pdu(7, bytes(4)), pdu(5, bytes(4))


def store(**over) -> bytes:
    """Return a whole C-STORE whose command says `over`."""
    return p_data(pdv(1, 3, store_rq(**over))) + p_data(pdv(1, 2, dataset()))


def store_with(data: bytes, **over) -> bytes:
    return p_data(pdv(1, 3, store_rq(**over))) + p_data(pdv(1, 2, data))


def one_by_one(context: int, control: int, content: bytes) -> bytes:
    """Return content in PDUs of one byte each."""
    last = len(content) - 1
    return b"".join(
        p_data(pdv(context, control | (2 if at == last else 0), content[at : at + 1]))
        for at in range(len(content))
    )


FIELDS = {2: CT.encode(), 0x100: us(1), 0x110: us(1), 0x700: us(0), 0x800: us(1), 0x1000: UID.encode()}


def command_of(**changes) -> bytes:
    """Return a C-STORE-RQ as `FIELDS` has it; `_0110=None` leaves an element out, `_0110=b".."` replaces it."""
    fields = FIELDS | {int(key[1:], 16): value for key, value in changes.items()}
    return command(*(element(0, tag, value) for tag, value in sorted(fields.items()) if value is not None))


def alone(encoded: bytes) -> bytes:
    return p_data(pdv(1, 3, encoded))


def other(field: int) -> bytes:
    return alone(command_of(_0100=us(field), _0800=us(0x101), _1000=None))


ECHO = p_data(pdv(3, 3, echo_rq()))
WITHOUT_GROUP_LENGTH = store_rq()[12:]
BACKWARDS = b"".join(element(0, tag, FIELDS[tag]) for tag in sorted(FIELDS, reverse=True))
N_EVENT_REPORT = command(
    element(0, 2, b"1.2.840.10008.1.20.1"),
    element(0, 0x100, us(0x100)),
    element(0, 0x110, us(1)),
    element(0, 0x800, us(0x101)),
    element(0, 0x1000, b"1.2.3"),
    element(0, 0x1002, us(1)),
)

# in an association: what is sent, and what is heard. A number is the status of a response.
IN_AN_ASSOCIATION = {
    # legal, if odd
    "a C-STORE": (store(), [0]),
    "command and data set in one PDU": (p_data(pdv(1, 3, store_rq()), pdv(1, 2, dataset())), [0]),
    "fragments of one byte": (one_by_one(1, 1, store_rq()) + one_by_one(1, 0, dataset()), [0]),
    "2000 fragments in one PDU": (
        p_data(*(pdv(1, 1, b"") for _ in range(2000)), pdv(1, 3, store_rq()))
        + p_data(*(pdv(1, 0, dataset()[at : at + 1]) for at in range(len(dataset()))))
        + p_data(*(pdv(1, 0, b"") for _ in range(2000)), pdv(1, 2, b"")),
        [0],
    ),
    "an object in 5000 fragments of one PDU": (
        p_data(pdv(1, 3, store_rq()))
        + p_data(
            pdv(1, 0, dataset() + struct.pack("<HHI", 0x7FE0, 0x10, 5000)),
            *(pdv(1, 2 if n == 4999 else 0, b"\0") for n in range(5000)),
        ),
        [0],
    ),
    "empty fragments": (
        p_data(pdv(1, 1, b""), pdv(1, 3, store_rq()))
        + p_data(pdv(1, 0, b""))
        + p_data(pdv(1, 0, dataset()), pdv(1, 2, b"")),
        [0],
    ),
    "reserved bits of the control header": (
        p_data(pdv(1, 0xFF, store_rq())) + p_data(pdv(1, 0xFE, dataset())),
        [0],
    ),
    "the same message id three times": (store(message_id=7) * 3, [0, 0, 0]),
    "message id 0 and 65535": (store(message_id=0) + store(message_id=65535), [0, 0]),
    "an unknown priority": (
        p_data(pdv(1, 3, command_of(_0700=us(7)))) + p_data(pdv(1, 2, dataset())),
        [0],
    ),
    "any data set type but 0101": (store(data_set=0), [0]),
    "no group length": (p_data(pdv(1, 3, WITHOUT_GROUP_LENGTH), pdv(1, 2, dataset())), [0]),
    "elements in the wrong order": (p_data(pdv(1, 3, BACKWARDS), pdv(1, 2, dataset())), [0]),
    "elements of other groups behind the command": (
        p_data(pdv(1, 3, store_rq() + element(8, 0x18, b"1.2")), pdv(1, 2, dataset())),
        [0],
    ),
    "two C-ECHO at once": (ECHO * 2, [0, 0]),
    "a C-ECHO behind a C-STORE": (store() + ECHO, [0, 0]),
    "one C-CANCEL": (p_data(pdv(1, 3, cancel_rq())) + ECHO, [0]),
    "thirty C-CANCEL": (b"".join(p_data(pdv(1, 3, cancel_rq(n))) for n in range(30)) + ECHO + store(), [0, 0]),
    "a release behind a C-STORE": (store() + RELEASE_RQ, [0, "RELEASE-RP", "CLOSED"]),
    "a release at once": (RELEASE_RQ, ["RELEASE-RP", "CLOSED"]),
    "an abort at once": (ABORT, ["CLOSED"]),
    # an object that cannot be kept; the association goes on
    "a class that is not that of the context": (store(sop_class=MR), [0xA900]),
    "another instance in the data set": (store_with(dataset("1.2.3")), [0xA900]),
    "another class in the data set": (store_with(dataset(sop_class=MR)), [0xA900]),
    "no data set announced": (alone(store_rq(data_set=0x0101)), [0xC000]),
    "an empty data set": (store_with(b""), [0xC000]),
    "a data set of zeros": (store_with(bytes(100)), [0xC000]),
    "a UID that leads out of a folder": (store(uid="../../../etc/x"), [0x0117]),
    "a UID of 80 characters": (store(uid=b"1." + b"2" * 78), [0x0117]),
    "a UID with a line end and a NUL": (store(uid=b"1.2\n3\x004"), [0x0117]),
    "an empty UID": (store(uid=b""), [0x0117]),
    "a series UID that leads out of a folder": (store_with(dataset(series="../../x")), [0x0117]),
    # what breaks the protocol
    "no PDV in a PDU": (p_data(), [ENDED]),
    "a PDU too short for a PDV": (pdu(4, b"\0\0\0"), [ENDED]),
    "a PDV of length 0": (pdu(4, struct.pack(">I", 0)), [ENDED]),
    "a PDV without control header": (pdu(4, struct.pack(">IB", 1, 1)), [ENDED]),
    "a PDV longer than its PDU": (pdu(4, struct.pack(">IBB", 5000, 1, 3) + b"abc"), [ENDED]),
    "a PDV of 4 GiB": (pdu(4, struct.pack(">IBB", 0xFFFFFFFF, 1, 3) + b"abc"), [ENDED]),
    "bytes behind the last PDV": (pdu(4, pdv(1, 1, b"") + b"\0"), [ENDED]),
    "an unknown command": (other(0x7777), [ENDED]),
    "C-FIND": (other(0x0020), [ENDED]),
    "C-MOVE": (other(0x0021), [ENDED]),
    "C-GET": (other(0x0010), [ENDED]),
    "N-GET": (other(0x0110), [ENDED]),
    "N-ACTION": (other(0x0130), [ENDED]),
    "N-CREATE": (other(0x0140), [ENDED]),
    "N-EVENT-REPORT": (alone(N_EVENT_REPORT), [ENDED]),
    "a C-STORE response": (other(0x8001), [ENDED]),
    "a C-CANCEL with data set": (alone(command_of(_0100=us(0xFFF), _0110=None)), [ENDED]),
    "a command set without command field": (alone(command(element(0, 2, CT.encode()))), [ENDED]),
    "an empty command set": (alone(b""), [ENDED]),
    "a command set of noise": (alone(os.urandom(200)), [ENDED]),
    "a command set cut short": (alone(store_rq()[:-10]), [ENDED]),
    "an element of 4 GiB in the command set": (alone(struct.pack("<HHI", 0, 2, 0xFFFFFFFF)), [ENDED]),
    "no message id": (alone(command_of(_0110=None)), [ENDED]),
    "no instance UID": (alone(command_of(_1000=None)), [ENDED]),
    "a message id of four bytes": (alone(command_of(_0110=bytes(4))), [ENDED]),
    "a context that was never proposed": (p_data(pdv(99, 3, store_rq()), pdv(99, 2, dataset())), [ENDED]),
    "an even context": (p_data(pdv(2, 3, store_rq())), [ENDED]),
    "a context that was not accepted": (p_data(pdv(5, 3, store_rq())), [ENDED]),
    "C-ECHO in a context of storage": (alone(echo_rq()), [ENDED]),
    "C-STORE in the context of verification": (p_data(pdv(3, 3, store_rq())), [ENDED]),
    "C-ECHO with a data set": (
        p_data(pdv(3, 3, command(element(0, 2, VERIFICATION.encode()), element(0, 0x100, us(0x30)),
                                 element(0, 0x110, us(1)), element(0, 0x800, us(1))))),
        [ENDED],
    ),
    "a data set before its command": (p_data(pdv(1, 2, dataset())), [ENDED]),
    "a command instead of the data set": (alone(store_rq()) * 2, [ENDED]),
    "two messages interleaved": (p_data(pdv(1, 1, store_rq()[:20]), pdv(3, 3, echo_rq())), [ENDED]),
    "the data set in another context": (p_data(pdv(1, 3, store_rq()), pdv(3, 2, dataset())), [ENDED]),
    "an unknown PDU": (pdu(9, b"x" * 10), [ENDED]),
    "PDU type 0": (pdu(0, bytes(4)), [ENDED]),
    "a second association request": (associate_rq(), [ENDED]),
    "an association acceptance": (pdu(2, bytes(68)), [ENDED]),
    "an association rejection": (pdu(3, bytes(4)), [ENDED]),
    "a release response": (pdu(6, bytes(4)), [ENDED]),
    "a release in the middle of an object": (
        p_data(pdv(1, 3, store_rq()), pdv(1, 0, dataset()[:50])) + RELEASE_RQ,
        ["RELEASE-RP", "CLOSED"],
    ),
    "HTTP": (b"GET / HTTP/1.0\r\n\r\n", [ENDED]),
}  # fmt: skip

LONG_TITLE = pdu(
    1, struct.pack(">HH", 1, 0) + b"N".ljust(16) + b"E".ljust(16) + bytes(32) + b"\x10\0\xea\x601"
)

# instead of an association request
BEFORE_AN_ASSOCIATION = {
    "HTTP": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", [ENDED]),
    "a TLS hello on the plain port": (bytes.fromhex("160301020001") + b"\1" * 512, [ENDED]),
    "a request of ten bytes": (pdu(1, bytes(10)), [ENDED]),
    "an empty request": (pdu(1, b""), [ENDED]),
    "an unknown PDU": (pdu(9, b"x" * 10), [ENDED]),
    "an empty P-DATA": (pdu(4, b""), [ENDED]),
    "a C-STORE": (store(), [ENDED]),
    "a release": (RELEASE_RQ, [ENDED]),
    "an acceptance": (pdu(2, bytes(68)), [ENDED]),
    "an abort": (ABORT, [ENDED]),
    "an item longer than its PDU": (LONG_TITLE, [ENDED]),
    "protocol version 2": (associate_rq(version=2), ["RJ", "CLOSED"]),
    "no contexts": (associate_rq(contexts=()), ["AC"]),
    "a called title with a line end": (associate_rq(called=b"A\nB"), [ENDED]),
    "a calling title that is not ASCII": (associate_rq(calling=b"\xff\xfe"), [ENDED]),
    "an empty calling title": (associate_rq(calling=b""), [ENDED]),
    "a calling title that leads out of a folder": (associate_rq(calling=b"../../etc"), ["AC"]),
    "a context id twice": (associate_rq(contexts=((1, CT, (IMPLICIT,)), (1, VERIFICATION, (IMPLICIT,)))), ["AC"]),
    "an even context id": (associate_rq(contexts=((2, CT, (IMPLICIT,)),)), [ENDED]),
    "a context without transfer syntax": (associate_rq(contexts=((1, CT, ()),)), [ENDED]),
    "an abstract syntax of 4000 characters": (associate_rq(contexts=((1, "1" * 4000, (IMPLICIT,)),)), [ENDED]),
    "128 contexts of 20 transfer syntaxes": (
        associate_rq(contexts=tuple((n, CT, (IMPLICIT,) * 20) for n in range(1, 256, 2))), ["AC"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def listener(tmp_path_factory):
    """Return one listener with the timeouts of every day for all cases."""
    with listening(tmp_path_factory.mktemp("node")) as node:
        yield node


def heard(peer: RawPeer) -> int | str:
    """Return the next answer: a status, or the name of the PDU."""
    name, body = peer.receive()
    if name != "DATA":
        return name
    at = body.index(struct.pack("<HHI", 0, 0x0900, 2))
    return struct.unpack_from("<H", body, at + 8)[0]


def expect(peer: RawPeer, answers: list[int | str]) -> None:
    for answer in answers:
        now = heard(peer)
        if answer == ENDED:
            assert now in ("ABORT", "CLOSED"), now
        else:
            assert now == answer


@pytest.mark.parametrize("case", IN_AN_ASSOCIATION)
def test_what_is_sent_in_an_association_has_its_answer(case: str, listener) -> None:
    sent, answers = IN_AN_ASSOCIATION[case]
    contexts = ((1, CT, (IMPLICIT,)), (3, VERIFICATION, (IMPLICIT,)), (5, "1.2.3.99.4", ("1.2.3",)))
    with RawPeer(listener.port, timeout_s=ANSWER_S) as peer:
        assert peer.associate(contexts=contexts) == "AC"
        peer.try_send(sent)
        expect(peer, answers)
        if isinstance(answers[-1], int):  # the association lives
            assert peer.echo() == 0
            peer.release()
    works(listener)
    assert listener.temporary_files() == []


@pytest.mark.parametrize("case", BEFORE_AN_ASSOCIATION)
def test_what_is_sent_instead_of_a_request_has_its_answer(case: str, listener) -> None:
    sent, answers = BEFORE_AN_ASSOCIATION[case]
    with RawPeer(listener.port, timeout_s=ANSWER_S) as peer:
        peer.try_send(sent)
        expect(peer, answers)
        if answers[-1] == "AC":
            peer.release()
    works(listener)


def test_a_second_data_set_ends_the_association(listener) -> None:
    with RawPeer(listener.port, timeout_s=ANSWER_S) as peer:
        assert peer.associate() == "AC"
        assert peer.store(dataset()) == 0x0000
        peer.send(p_data(pdv(1, 2, dataset())))
        assert peer.ended()


def test_unknown_items_of_a_request_are_ignored(listener) -> None:
    with RawPeer(listener.port, timeout_s=ANSWER_S) as peer:
        assert peer.associate(user=item(0x77, b"x" * 100)) == "AC"
        peer.release()


@pytest.mark.parametrize("max_pdu", [1, 5, 6, 7, 8, 12, 100])
def test_a_peer_with_tiny_pdus_is_rejected(max_pdu: int, listener) -> None:
    with RawPeer(listener.port, timeout_s=ANSWER_S) as peer:
        assert peer.associate(max_pdu=max_pdu) == "RJ"


def test_no_limit_of_pdus_is_served(listener) -> None:
    with RawPeer(listener.port, timeout_s=ANSWER_S) as peer:
        assert peer.associate(max_pdu=0) == "AC"
        assert peer.store(dataset()) == 0x0000
        peer.release()


def test_an_abort_at_any_byte_of_a_message_leaves_nothing(listener, tmp_path: Path) -> None:
    """Every boundary of headers and values of a short C-STORE is among these."""
    whole = store()
    before = len(listener.arrivals)
    for at in range(0, len(whole), 7):
        with RawPeer(listener.port, timeout_s=ANSWER_S) as peer:
            assert peer.associate() == "AC"
            peer.send(whole[:at] + ABORT)
    listener.await_rest()
    assert len(listener.arrivals) == before
