"""What a compressed frame says about itself: size, precision and sign, before anything decodes it."""

from __future__ import annotations

from dataclasses import dataclass

JPEG_START = b"\xff\xd8"
JPEG2000_START = b"\xff\x4f\xff\x51"  # SOC, SIZ; ISO 15444-1 table A.2
JP2_BOX = b"\x00\x00\x00\x0cjP"  # some writers wrap the codestream in a file format, against PS3.5 A.4.4
STANDALONE = {0x01, *range(0xD0, 0xD8)}  # JPEG markers without a length
FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {
    0xC4,
    0xC8,
    0xCC,
}  # SOF0-15 and JPEG-LS SOF55; not DHT, JPG, DAC


@dataclass(frozen=True, slots=True)
class Codestream:
    """Facts of one codestream; `is_signed` is None where the format cannot say (JPEG, JPEG-LS)."""

    rows: int
    columns: int
    precision: int
    is_signed: bool | None
    is_jpeg_ls: bool = False


def codestream(frame: bytes) -> Codestream | None:
    """Read the header of a JPEG, JPEG-LS or JPEG 2000 codestream; None for anything else.

    Source: ISO 10918-1 B.2.2, ISO 14495-1 C.2.2, ISO 15444-1 A.5.1.
    """
    if frame.startswith(JP2_BOX):
        frame = frame[max(frame.find(JPEG2000_START), 0) :]
    if frame.startswith(JPEG2000_START):
        return _jpeg_2000(frame)
    return _jpeg(frame) if frame.startswith(JPEG_START) else None


def _jpeg_2000(frame: bytes) -> Codestream | None:
    if len(frame) < 43:  # bytes up to and with the first component's Ssiz
        return None
    right, bottom, left, top = (int.from_bytes(frame[at : at + 4], "big") for at in (8, 12, 16, 20))
    depth = frame[42]
    return Codestream(bottom - top, right - left, (depth & 0x7F) + 1, is_signed=bool(depth & 0x80))


def _jpeg(frame: bytes) -> Codestream | None:
    at = 2
    while at + 9 < len(frame):
        if frame[at] != 0xFF:
            return None
        marker = frame[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in STANDALONE:
            at += 2
        elif marker in FRAME_HEADERS:
            rows, columns = (int.from_bytes(frame[i : i + 2], "big") for i in (at + 5, at + 7))
            return Codestream(rows, columns, frame[at + 4], is_signed=None, is_jpeg_ls=marker == 0xF7)
        else:
            at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None
