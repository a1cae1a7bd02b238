"""The command set of a DIMSE message: group 0000 in Implicit VR Little Endian, to and from plain values.

Source: PS3.7 section 6.3 and annex E.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

AFFECTED_SOP_CLASS_UID = 0x0002
REQUESTED_SOP_CLASS_UID = 0x0003
COMMAND_FIELD = 0x0100
MESSAGE_ID = 0x0110
MESSAGE_ID_RESPONDED_TO = 0x0120
PRIORITY = 0x0700
DATA_SET_TYPE = 0x0800
STATUS = 0x0900
ERROR_COMMENT = 0x0902
AFFECTED_SOP_INSTANCE_UID = 0x1000
REQUESTED_SOP_INSTANCE_UID = 0x1001
EVENT_TYPE_ID = 0x1002
ACTION_TYPE_ID = 0x1008

C_STORE_RQ, C_STORE_RSP = 0x0001, 0x8001
C_ECHO_RQ, C_ECHO_RSP = 0x0030, 0x8030
C_CANCEL_RQ = 0x0FFF
N_EVENT_REPORT_RQ, N_EVENT_REPORT_RSP = 0x0100, 0x8100
N_ACTION_RQ, N_ACTION_RSP = 0x0130, 0x8130

HAS_DATA_SET = 0x0001  # any value but the next
NO_DATA_SET = 0x0101
MEDIUM_PRIORITY = 0x0000
VERIFICATION = "1.2.840.10008.1.1"
ERROR_COMMENT_LENGTH = 64  # LO, PS3.7 table E.1-1

_HEADER = struct.Struct("<HHI")
_US = struct.Struct("<H")


def encode(elements: Mapping[int, int | str]) -> bytes:
    """Encode the elements of group 0000, with its group length in front; int is US, str is UI, AE or LO."""
    body = bytearray()
    for element, value in sorted(elements.items()):
        if isinstance(value, int):
            encoded = _US.pack(value)
        else:
            encoded = value.encode("ascii", "replace")
            if len(encoded) % 2:
                encoded += b" " if element == ERROR_COMMENT else b"\0"
        body += _HEADER.pack(0, element, len(encoded)) + encoded
    return _HEADER.pack(0, 0, 4) + struct.pack("<I", len(body)) + bytes(body)


def decode(encoded: bytes | bytearray) -> dict[int, bytes]:
    """Return element -> value as it is encoded, up to the first that is not of group 0000.

    Raises:
        ValueError: an element is cut short.
    """
    elements: dict[int, bytes] = {}
    at = 0
    while at < len(encoded):
        if at + _HEADER.size > len(encoded):
            raise ValueError("the command set ends inside an element")
        group, element, length = _HEADER.unpack_from(encoded, at)
        if group != 0:
            break
        at += _HEADER.size
        if at + length > len(encoded):
            raise ValueError(f"element (0000,{element:04X}) of the command set is cut short")
        elements[element] = bytes(encoded[at : at + length])
        at += length
    return elements


def number(elements: Mapping[int, bytes], element: int) -> int | None:
    """Return a US element; None when it is absent or not two bytes long."""
    value = elements.get(element, b"")
    return int(_US.unpack(value)[0]) if len(value) == _US.size else None


def text(elements: Mapping[int, bytes], element: int) -> str:
    """Return a text element without its padding; "" when it is absent."""
    return elements.get(element, b"").decode("latin_1").rstrip(" \0")
