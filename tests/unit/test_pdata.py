"""P-DATA-TF PDUs are walked over as their bytes come, in whatever pieces."""

import pytest

from listeners import p_data, pdu, pdv
from node.listener.pdata import PDUTooLongError, ProtocolError, Walker, message, p_data_tf

LIMIT = 1000


class Fragments:
    """Joins the parts of fragments; pauses the walk after a fragment whose context is in `pauses`."""

    def __init__(self, *, pauses=()):
        self.whole, self._part, self._pauses = [], b"", pauses

    def take(self, context_id, control, data, *, is_end):
        self._part += bytes(data)
        if is_end:
            self.whole.append((context_id, control, self._part))
            self._part = b""
        return not (is_end and context_id in self._pauses)


def walk(data: bytes, size: int, sink=None) -> tuple[list, bytes]:
    """Feed `data` in pieces of `size`, as a receive loop does; return the fragments and what is left."""
    sink = sink or Fragments()
    walker, waiting = Walker(sink, limit=LIMIT), b""
    for at in range(0, len(data), size):
        waiting += data[at : at + size]
        waiting = waiting[walker.feed(memoryview(waiting)) :]
        if walker.is_at_other:
            break
    return sink.whole, waiting


TWO = p_data(pdv(1, 3, b"command"), pdv(1, 0, b"x" * 300)) + p_data(pdv(1, 2, b""))
EXPECTED = [(1, 3, b"command"), (1, 0, b"x" * 300), (1, 2, b"")]


@pytest.mark.parametrize("size", [1, 2, 5, 6, 7, 13, 100, 10_000])
def test_fragments_do_not_depend_on_how_the_bytes_come(size):
    assert walk(TWO, size) == (EXPECTED, b"")


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_pdu_of_another_type_is_left_whole(size):
    release = pdu(5, bytes(4))
    whole, left = walk(TWO + release, size)
    assert whole == EXPECTED
    assert release.startswith(left)
    assert left


def test_a_pause_leaves_what_follows():
    sink = Fragments(pauses=(1,))
    walker = Walker(sink, limit=LIMIT)
    data = memoryview(TWO)
    at = walker.feed(data)
    assert sink.whole == EXPECTED[:1]
    at += walker.feed(data[at:])
    at += walker.feed(data[at:])
    assert sink.whole == EXPECTED
    assert at == len(data)


def test_it_knows_what_is_due():
    walker = Walker(Fragments(), limit=LIMIT)
    at = walker.feed(memoryview(TWO[:20]))
    assert walker.is_inside
    assert (walker.begun, walker.length) == (1, len(TWO) - 12 - 6)
    walker.feed(memoryview(TWO[at:]))
    assert not walker.is_inside
    assert walker.begun == 2


@pytest.mark.parametrize("length", [LIMIT + 1, 0xFFFFFFFF])
def test_a_pdu_over_the_limit_is_refused_before_any_of_it_is_taken(length):
    sink = Fragments()
    with pytest.raises(PDUTooLongError):
        Walker(sink, limit=LIMIT).feed(memoryview(pdu(4, pdv(1, 3, b"x"), length=length)))
    assert sink.whole == []


@pytest.mark.parametrize(
    "data",
    [
        pdu(4, b""),
        pdu(4, b"\0\0\0"),
        p_data(b"\0\0\0\0\1\3"),
        p_data(b"\0\0\0\1\1\3"),
        p_data(b"\0\0\0\x09\1\3" + b"short"),
        p_data(b"\xff\xff\xff\xff\1\3" + b"long"),
        p_data(pdv(1, 3, b"fits"), b"\0\0\0"),
    ],
    ids=["empty", "too short", "length 0", "length 1", "beyond the PDU", "4 GiB", "half a header"],
)
@pytest.mark.parametrize("size", [1, 10_000])
def test_lengths_that_lie_are_refused(data, size):
    with pytest.raises(ProtocolError):
        walk(data, size)


@pytest.mark.parametrize("longest", [0, 128, 131072])
def test_a_message_is_cut_to_what_the_peer_takes(longest):
    command = bytes(range(256)) * 2
    encoded = message(7, command, longest)
    whole, left = walk(encoded, 10_000)
    assert left == b""
    assert b"".join(data for _, _, data in whole) == command
    assert {context for context, _, _ in whole} == {7}
    assert [control for _, control, _ in whole] == [1] * (len(whole) - 1) + [3]
    at = 0
    while at < len(encoded):
        length = int.from_bytes(encoded[at + 2 : at + 6], "big")
        assert not longest or length <= longest
        at += 6 + length


def test_a_pdu_is_encoded_as_peers_encode_it():
    assert p_data_tf(1, 3, b"command") == p_data(pdv(1, 3, b"command"))
