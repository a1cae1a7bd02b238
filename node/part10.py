"""Read the File Meta Information in front of a data set, and say where the data set begins.

A file of the spool is: 128 bytes preamble, "DICM", group 0002 in Explicit VR Little Endian
that begins with its own length, and then the encoded data set exactly as it was received.
Source: PS3.10 section 7.1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

PREAMBLE_BYTES = 128
GROUP_LENGTH_END = 144  # preamble, "DICM", and the 12 bytes of element (0002,0000)
META_LIMIT_BYTES = 65536  # ours are under 400 bytes; a longer claim is not believed
LONG_VR = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)

_GROUP_LENGTH = struct.Struct("<HH2sHI")
_ELEMENT = struct.Struct("<HH2sH")
_LONG = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class FileMeta:
    """What group 0002 says; "" where it is silent. `dataset_offset` is where the data set begins."""

    dataset_offset: int = 0
    values: dict[int, str] = field(default_factory=dict)

    @property
    def sop_class_uid(self) -> str:
        """Media Storage SOP Class UID (0002,0002)."""
        return self.values.get(0x0002, "")

    @property
    def sop_instance_uid(self) -> str:
        """Media Storage SOP Instance UID (0002,0003)."""
        return self.values.get(0x0003, "")

    @property
    def transfer_syntax_uid(self) -> str:
        """Transfer Syntax UID (0002,0010)."""
        return self.values.get(0x0010, "")

    @property
    def calling_ae_title(self) -> str:
        """Source Application Entity Title (0002,0016), or Sending (0002,0017)."""
        return self.values.get(0x0016) or self.values.get(0x0017, "")

    @property
    def called_ae_title(self) -> str:
        """Receiving Application Entity Title (0002,0018)."""
        return self.values.get(0x0018, "")


def dataset_offset(head: bytes | bytearray | memoryview) -> int:
    """Return where the data set begins, by the group length alone; 0 when `head` shows no file meta.

    `head` holds the first 144 bytes or more. A claim beyond 64 KiB is not believed.
    """
    if len(head) < GROUP_LENGTH_END or bytes(head[PREAMBLE_BYTES:132]) != b"DICM":
        return 0
    group, element, vr, length, value = _GROUP_LENGTH.unpack_from(head, 132)
    if (group, element, vr, length) != (0x0002, 0x0000, b"UL", 4) or value > META_LIMIT_BYTES:
        return 0
    return GROUP_LENGTH_END + int(value)


def read_file_meta(head: bytes) -> FileMeta:
    """Read group 0002 from the first bytes of a file, element by element; the group length is not needed.

    Bytes without a preamble, or that end early, give what could be read.
    """
    if head[PREAMBLE_BYTES:132] != b"DICM":
        return FileMeta()
    at, values = 132, {}
    while at + 8 <= len(head):
        group, element, vr, length = _ELEMENT.unpack_from(head, at)
        if group != 0x0002:
            break
        start = at + 8
        if vr in LONG_VR:
            if start + 4 > len(head):
                break
            (length,) = _LONG.unpack_from(head, start)
            start += 4
        if start + length > len(head):
            break
        if vr in (b"UI", b"AE", b"SH"):
            values[element] = head[start : start + length].decode("ascii", "replace").strip(" \0")
        at = start + length
    return FileMeta(at, values)
