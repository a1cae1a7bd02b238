"""Walk over P-DATA-TF PDUs as their bytes arrive: nothing is copied, and nothing waits for a whole PDU.

A PDU is a header of 6 bytes and presentation data values; each of those is a header of 6
bytes (length, presentation context id, message control header) and a fragment of a message.
Source: PS3.8 sections 9.3.1 and 9.3.5, annex E.
"""

from __future__ import annotations

import struct
from typing import Protocol

P_DATA_TF = 0x04
HEADER_BYTES = 6  # of a PDU; of a presentation data value too, with context id and control header
COUNTED_IN_LENGTH = 2  # context id and control header are part of the length of a presentation data value
IS_COMMAND, IS_LAST = 1, 2  # bits of the message control header

_PDU = struct.Struct(">BxI")
_PDV = struct.Struct(">IBB")


class ProtocolError(Exception):
    """The peer sent what has no place here; the association ends with an A-P-ABORT."""


class PDUTooLongError(ProtocolError):
    """A P-DATA-TF PDU claims more bytes than were agreed."""


class Sink(Protocol):
    """Takes the fragments."""

    def take(self, context_id: int, control: int, data: memoryview, *, is_end: bool) -> bool:
        """Take a part of a fragment, its last one with `is_end`; return False to have the walk pause."""


class Walker:
    """Walks over the bytes that one peer sends, in pieces of any size.

    `limit` is the longest PDU that is accepted, in bytes after its header. `begun` counts
    the PDUs that have begun, and `length` is that of the last one.
    """

    def __init__(self, sink: Sink, *, limit: int) -> None:
        self.begun = 0
        self.length = 0
        self.is_at_other = False
        self._sink = sink
        self._limit = limit
        self._pdu_left = 0
        self._pdv_left = 0
        self._context_id = 0
        self._control = 0

    @property
    def is_inside(self) -> bool:
        """Whether the rest of a PDU is due."""
        return self._pdu_left > 0

    def feed(self, data: memoryview) -> int:
        """Walk over `data`; return how many bytes are done with.

        What is left is the beginning of a header and has to be fed again with what follows;
        or a PDU of another type, which `is_at_other` says; or what follows a pause.

        Raises:
            ProtocolError: lengths contradict one another, or the sink says so.
            PDUTooLongError: a PDU is longer than the limit; nothing of it was taken.
        """
        self.is_at_other = False
        at, end = 0, len(data)
        while at < end:
            if self._pdv_left:
                stop = min(at + self._pdv_left, end)
                self._pdu_left -= stop - at
                self._pdv_left -= stop - at
                piece, at = data[at:stop], stop
                if not self._sink.take(self._context_id, self._control, piece, is_end=not self._pdv_left):
                    return at
            elif not self._pdu_left and data[at] != P_DATA_TF:
                self.is_at_other = True
                return at
            elif 0 < self._pdu_left < HEADER_BYTES:
                raise ProtocolError("a PDU ends inside the header of a presentation data value")
            elif end - at < HEADER_BYTES:
                return at
            elif self._pdu_left:
                is_empty = self._begin_pdv(data, at)
                at += HEADER_BYTES
                if is_empty and not self._sink.take(self._context_id, self._control, data[:0], is_end=True):
                    return at
            else:
                self._begin_pdu(data, at)
                at += HEADER_BYTES
        return at

    def _begin_pdu(self, data: memoryview, at: int) -> None:
        _, length = _PDU.unpack_from(data, at)
        if length > self._limit:
            raise PDUTooLongError(f"a P-DATA-TF PDU of {length} bytes; {self._limit} are allowed")
        if length < HEADER_BYTES:
            raise ProtocolError("a P-DATA-TF PDU without a presentation data value")
        self.begun += 1
        self.length = self._pdu_left = length

    def _begin_pdv(self, data: memoryview, at: int) -> bool:
        """Read the header of a presentation data value; return whether its fragment is empty."""
        length, self._context_id, self._control = _PDV.unpack_from(data, at)
        if length < COUNTED_IN_LENGTH:
            raise ProtocolError("a fragment without a message control header")
        self._pdu_left -= HEADER_BYTES
        self._pdv_left = length - COUNTED_IN_LENGTH
        if self._pdv_left > self._pdu_left:
            raise ProtocolError("a presentation data value is longer than its PDU")
        return self._pdv_left == 0


def p_data_tf(context_id: int, control: int, fragment: bytes) -> bytes:
    """Encode one P-DATA-TF PDU with one presentation data value."""
    length = len(fragment) + COUNTED_IN_LENGTH
    return _PDU.pack(P_DATA_TF, length + 4) + _PDV.pack(length, context_id, control) + fragment


def message(context_id: int, command: bytes, max_pdu: int) -> bytes:
    """Encode a command set without a data set as the P-DATA-TF PDUs that a peer takes; 0 is no limit."""
    room = max_pdu - HEADER_BYTES if max_pdu else len(command)
    if len(command) <= room:
        return p_data_tf(context_id, IS_COMMAND | IS_LAST, command)
    parts = [command[at : at + room] for at in range(0, len(command), room)]
    controls = [IS_COMMAND] * (len(parts) - 1) + [IS_COMMAND | IS_LAST]
    return b"".join(p_data_tf(context_id, *each) for each in zip(controls, parts, strict=True))
