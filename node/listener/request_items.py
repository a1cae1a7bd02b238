"""Leave the items of an association request out that nobody here knows, as the standard has it.

pynetdicom fails at the first unknown item. A request of a later edition of the standard, or
with a vendor's own item, is to be negotiated by what is known of it. Source: PS3.8 section
9.3.1 (items of unrecognized types are ignored), table 9-11; PS3.7 annex D.3.3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

A_ASSOCIATE_RQ = 0x01
FIXED_BYTES = 74  # PDU header, protocol version, titles, reserved: what is in front of the items
USER_INFORMATION = 0x50
ITEMS = frozenset((0x10, 0x20, USER_INFORMATION))
USER_ITEMS = frozenset(range(0x51, 0x5A))

_ITEM = struct.Struct(">BxH")
_LENGTH = struct.Struct(">I")


def known_items_only(pdu: bytes) -> bytes:
    """Return an A-ASSOCIATE-RQ without its unknown items; what is malformed is left to the decoder."""
    if not pdu or pdu[0] != A_ASSOCIATE_RQ or len(pdu) < FIXED_BYTES:
        return pdu
    try:
        body = b"".join(_known(pdu[FIXED_BYTES:], ITEMS))
    except ValueError:
        return pdu
    kept = pdu[6:FIXED_BYTES] + body
    return pdu[:2] + _LENGTH.pack(len(kept)) + kept


def _known(items: bytes, known: frozenset[int]) -> Iterator[bytes]:
    at = 0
    while at < len(items):
        if at + _ITEM.size > len(items):
            raise ValueError("the items end inside a header")
        kind, length = _ITEM.unpack_from(items, at)
        value = items[at + _ITEM.size : at + _ITEM.size + length]
        if len(value) < length:
            raise ValueError("an item is longer than what holds it")
        at += _ITEM.size + length
        if kind not in known:
            continue
        if kind == USER_INFORMATION:
            value = b"".join(_known(value, USER_ITEMS))
        yield struct.pack(">BBH", kind, 0, len(value)) + value
