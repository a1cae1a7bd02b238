"""The two data sets of the Storage Commitment Push Model: Action Information in, Event Information out.

    (0008,1195) Transaction UID
    (0008,1198) Failed SOP Sequence        items of 1150, 1155 and (0008,1197) Failure Reason
    (0008,1199) Referenced SOP Sequence    items of (0008,1150) class and (0008,1155) instance

A request for ten thousand objects is 1.6 MB of elements, which as objects in memory would be
fifty times that; so it is walked over, by its lengths, and nothing is allocated by a length
that it claims. Source: PS3.4 sections J.3.2 and J.3.3, PS3.5 section 7.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from node.errors import CommitmentRequestError, TooManyReferencesError
from node.part10 import LONG_VR
from node.spool import valid_uid

PUSH_MODEL = "1.2.840.10008.1.20.1"
PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"  # the well-known SOP Instance, PS3.4 J.3.5
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
TRANSFER_SYNTAXES = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)

REQUEST_STORAGE_COMMITMENT = 1  # Action Type ID, PS3.4 table J.3.2.1-1
ALL_COMMITTED, FAILURES_EXIST = 1, 2  # Event Type ID, PS3.4 table J.3.3.1-1

MAX_REFERENCES = 10_000  # of one request: an examination with a few thousand slices, three times over
NESTING_LIMIT = 64  # sequences, one in the other; as `header_facts`

TRANSACTION_UID, FAILED_SOP_SEQUENCE, REFERENCED_SOP_SEQUENCE = 0x00081195, 0x00081198, 0x00081199
REFERENCED_SOP_CLASS_UID, REFERENCED_SOP_INSTANCE_UID, FAILURE_REASON = 0x00081150, 0x00081155, 0x00081197
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF

_TAG = struct.Struct("<HH")
_SHORT = struct.Struct("<H")
_LONG = struct.Struct("<I")
_TAG_AND_LENGTH = struct.Struct("<HHI")

Reference = tuple[str, str]  # SOP Class UID, SOP Instance UID


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be committed: a transaction, and the objects in the order of the request, each once."""

    transaction_uid: str
    references: tuple[Reference, ...]


def read_request(encoded: bytes | bytearray, *, transfer_syntax_uid: str) -> Request:
    """Read the Action Information of an N-ACTION-RQ.

    Raises:
        CommitmentRequestError: it cannot be walked over, or transaction or references are missing or no UIDs.
        TooManyReferencesError: over `MAX_REFERENCES`.
    """
    is_implicit = transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN
    data = bytes(encoded)
    transaction_uid, references = "", dict[Reference, None]()
    try:
        for tag, start, end in _elements(data, 0, len(data), is_implicit=is_implicit):
            if tag == TRANSACTION_UID:
                transaction_uid = _uid(data[start:end])
            elif tag == REFERENCED_SOP_SEQUENCE:
                for reference in _references(data, start, end, is_implicit=is_implicit):
                    references[reference] = None
                    if len(references) > MAX_REFERENCES:
                        raise TooManyReferencesError(
                            f"over {MAX_REFERENCES} objects in one request; ask in several transactions"
                        )
    except struct.error:
        raise CommitmentRequestError("the data set ends inside an element") from None
    if not transaction_uid:
        raise CommitmentRequestError("no Transaction UID (0008,1195)")
    if not references:
        raise CommitmentRequestError("no object in Referenced SOP Sequence (0008,1199)")
    return Request(transaction_uid, tuple(references))


def event_type(outcomes: Sequence[int]) -> int:
    """Return the Event Type ID: whether every outcome is 0."""
    return FAILURES_EXIST if any(outcomes) else ALL_COMMITTED


def write_report(request: Request, outcomes: Sequence[int], *, transfer_syntax_uid: str) -> bytes:
    """Encode the Event Information; `outcomes` holds a Failure Reason for each reference, 0: committed."""
    is_implicit = transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN
    committed, failed = bytearray(), bytearray()
    for (sop_class, sop_instance), reason in zip(request.references, outcomes, strict=True):
        item = _element(REFERENCED_SOP_CLASS_UID, b"UI", _padded(sop_class), is_implicit=is_implicit)
        item += _element(REFERENCED_SOP_INSTANCE_UID, b"UI", _padded(sop_instance), is_implicit=is_implicit)
        if reason:
            item += _element(FAILURE_REASON, b"US", _SHORT.pack(reason), is_implicit=is_implicit)
        sequence = failed if reason else committed
        sequence += _TAG_AND_LENGTH.pack(ITEM >> 16, ITEM & 0xFFFF, len(item)) + item
    encoded = _element(TRANSACTION_UID, b"UI", _padded(request.transaction_uid), is_implicit=is_implicit)
    for tag, items in ((FAILED_SOP_SEQUENCE, failed), (REFERENCED_SOP_SEQUENCE, committed)):
        if items:
            encoded += _element(tag, b"SQ", bytes(items), is_implicit=is_implicit)
    return encoded


def _references(data: bytes, at: int, end: int, *, is_implicit: bool) -> Iterator[Reference]:
    """Yield what each item of a Referenced SOP Sequence refers to."""
    while at < end:
        tag, start, length = _header(data, at, is_implicit=is_implicit)
        if tag == SEQUENCE_END:
            return
        if tag != ITEM:
            raise CommitmentRequestError("something else than an item in Referenced SOP Sequence (0008,1199)")
        item_end = end if length == UNDEFINED else start + length
        if item_end > end:
            raise CommitmentRequestError("an item is longer than its sequence")
        values = {REFERENCED_SOP_CLASS_UID: "", REFERENCED_SOP_INSTANCE_UID: ""}
        at = start
        for inner, value_start, value_end in _elements(data, start, item_end, is_implicit=is_implicit):
            at = value_end
            if inner in values:
                values[inner] = _uid(data[value_start:value_end])
        at = item_end if length != UNDEFINED else _skip_delimiter(data, at, is_implicit=is_implicit)
        if not all(values.values()):
            raise CommitmentRequestError("an object without class or instance UID (0008,1150), (0008,1155)")
        yield values[REFERENCED_SOP_CLASS_UID], values[REFERENCED_SOP_INSTANCE_UID]


def _elements(data: bytes, at: int, end: int, *, is_implicit: bool) -> Iterator[tuple[int, int, int]]:
    """Yield tag, start and end of each value in data[at:end], up to the delimiter of an item.

    The value of a sequence of undefined length ends behind its delimiter.
    """
    while at < end:
        tag, start, length = _header(data, at, is_implicit=is_implicit)
        if tag == ITEM_END:
            return
        is_open = length == UNDEFINED
        at = _after_undefined(data, start, is_implicit=is_implicit) if is_open else start + length
        if at > end:
            raise CommitmentRequestError(f"element ({tag >> 16:04X},{tag & 0xFFFF:04X}) is cut short")
        yield tag, start, at


def _after_undefined(data: bytes, at: int, *, is_implicit: bool) -> int:
    """Return where a sequence of undefined length, and its delimiter, end."""
    depth = 1
    while depth:
        tag, start, length = _header(data, at, is_implicit=is_implicit)
        at = start
        if tag in (ITEM_END, SEQUENCE_END):
            depth -= 1
        elif length == UNDEFINED:
            depth += 1
        else:
            at += length
        if depth > 2 * NESTING_LIMIT:
            raise CommitmentRequestError(f"sequences nested deeper than {NESTING_LIMIT}")
    return at


def _skip_delimiter(data: bytes, at: int, *, is_implicit: bool) -> int:
    tag, start, _ = _header(data, at, is_implicit=is_implicit)
    if tag != ITEM_END:
        raise CommitmentRequestError("an item of undefined length without its delimiter")
    return start


def _header(data: bytes, at: int, *, is_implicit: bool) -> tuple[int, int, int]:
    """Return tag, start of the value, and length of the element at `at`."""
    group, element = _TAG.unpack_from(data, at)
    tag = group << 16 | element
    if is_implicit or group == 0xFFFE:
        return tag, at + 8, _LONG.unpack_from(data, at + 4)[0]
    if data[at + 4 : at + 6] in LONG_VR:
        return tag, at + 12, _LONG.unpack_from(data, at + 8)[0]
    return tag, at + 8, _SHORT.unpack_from(data, at + 6)[0]


def _uid(value: bytes) -> str:
    uid = value.decode("latin_1").rstrip(" \0")
    if not valid_uid(uid):
        raise CommitmentRequestError("a UID that is none: digits and dots, at most 64 (PS3.5 9.1)")
    return uid


def _padded(uid: str) -> bytes:
    encoded = uid.encode("ascii")
    return encoded + b"\0" * (len(encoded) % 2)


def _element(tag: int, vr: bytes, value: bytes, *, is_implicit: bool) -> bytes:
    head = _TAG.pack(tag >> 16, tag & 0xFFFF)
    if is_implicit:
        return head + _LONG.pack(len(value)) + value
    if vr in LONG_VR:
        return head + vr + bytes(2) + _LONG.pack(len(value)) + value
    return head + vr + _SHORT.pack(len(value)) + value
