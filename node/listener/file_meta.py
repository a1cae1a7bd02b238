"""Write the File Meta Information that goes in front of a received data set (PS3.10 section 7.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from node.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

PREAMBLE = bytes(128) + b"DICM"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: the titles of the request, the IP address, the node's id of the association."""

    calling_ae_title: str
    called_ae_title: str
    source_address: str
    association: str


def file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, sender: Sender) -> bytes:
    """Return preamble, "DICM" and group 0002: all that must be in front of the encoded data set."""
    group = b"".join(
        (
            struct.pack("<HH2s2xI", 0x0002, 0x0001, b"OB", 2) + b"\x00\x01",
            _element(0x0002, b"UI", sop_class_uid),
            _element(0x0003, b"UI", sop_instance_uid),
            _element(0x0010, b"UI", transfer_syntax_uid),
            _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
            _element(0x0016, b"AE", sender.calling_ae_title),
            _element(0x0017, b"AE", sender.calling_ae_title),
            _element(0x0018, b"AE", sender.called_ae_title),
        )
    )
    return PREAMBLE + struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(group)) + group


def _element(element: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii", "replace")
    if len(value) % 2:
        value += b"\0" if vr == b"UI" else b" "
    return struct.pack("<HH2sH", 0x0002, element, vr, len(value)) + value
