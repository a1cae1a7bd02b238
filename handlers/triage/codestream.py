"""Whether a codestream was made by a method that loses information, by its first bytes."""

from __future__ import annotations

from pydicom.dataset import Dataset

from handlers.model import Instance
from handlers.triage import header

PREFIX = "1.2.840.10008.1.2.4."
JPEG_LS = frozenset({PREFIX + "80", PREFIX + "81"})
JPEG_2000 = frozenset(PREFIX + tail for tail in ("90", "91", "92", "93", "201", "202", "203"))
# PixelData, OB, undefined length: compressed syntaxes are all Explicit VR Little Endian (PS3.5 A.4)
PIXEL_DATA = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff"
ITEM = b"\xfe\xff\x00\xe0"
WINDOW = 1 << 18  # bytes; nearly every header is shorter
MAX_HEADER = 1 << 25  # bytes; beyond, the answer is "unknown"
STREAM = 1 << 12  # bytes of a codestream that hold its main header


def is_irreversible(instance: Instance) -> bool | None:
    """Say whether the codestream of the first frame loses information; None when that cannot be told.

    JPEG 2000: the wavelet of the coding style, 0 is the irreversible 9-7 (ISO 15444-1 A.6.1). A
    reversible wavelet may still be cut short, so False is evidence, not proof. JPEG-LS: NEAR of
    the first scan (ISO 14495-1 C.2.3).
    """
    syntax = instance.transfer_syntax_uid
    if syntax not in JPEG_LS | JPEG_2000:
        return None
    try:
        stream = _first_fragment(instance)
    except OSError:
        return None
    return _near_is_set(stream) if syntax in JPEG_LS else _wavelet_is_irreversible(stream)


def _first_fragment(instance: Instance) -> bytes:
    """Return the first bytes of the first fragment; b"" when the pixel data are not found."""
    icons = sum(_is_compressed(item) for item in header.items(instance, "IconImageSequence"))
    with instance.path.open("rb") as file:
        content = file.read(WINDOW)
        at = _nth(content, icons)
        while at < 0 and len(content) < MAX_HEADER:
            more = file.read(len(content))
            if not more:
                return b""
            content += more
            at = _nth(content, icons)
        if at < 0:
            return b""
        start = at + len(PIXEL_DATA)
        file.seek(start)
        table = file.read(8)
        if table[:4] != ITEM:
            return b""
        file.seek(start + 8 + int.from_bytes(table[4:], "little"))  # past the basic offset table
        fragment = file.read(8)
        length = int.from_bytes(fragment[4:], "little")
        return file.read(min(length, STREAM)) if fragment[:4] == ITEM else b""


def _is_compressed(icon: Dataset) -> bool:
    return "PixelData" in icon and bool(icon["PixelData"].is_undefined_length)


def _nth(content: bytes, skipped: int) -> int:
    at = content.find(PIXEL_DATA)
    for _ in range(skipped):
        if at < 0:
            break
        at = content.find(PIXEL_DATA, at + 1)
    return at


def _wavelet_is_irreversible(stream: bytes) -> bool | None:
    start = stream.find(b"\xff\x4f\xff\x51")  # SOC, SIZ; some writers put a JP2 box in front
    at = start + 2
    while start >= 0 and at + 14 <= len(stream):
        marker, length = stream[at : at + 2], int.from_bytes(stream[at + 2 : at + 4], "big")
        if marker == b"\xff\x52":  # COD: Lcod 2, Scod 1, SGcod 4, levels 1, block 2, style 1, transformation
            return stream[at + 13] == 0
        if marker[:1] != b"\xff" or marker == b"\xff\x90" or length < 2:  # SOT: the main header has ended
            return None
        at += 2 + length
    return None


def _near_is_set(stream: bytes) -> bool | None:
    if not stream.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 4 < len(stream):
        marker, length = stream[at : at + 2], int.from_bytes(stream[at + 2 : at + 4], "big")
        if marker == b"\xff\xda":  # SOS: length 2, components 1, two bytes for each, NEAR
            near = at + 5 + 2 * stream[at + 4]
            return stream[near] > 0 if near < len(stream) else None
        if marker[:1] != b"\xff" or length < 2:
            return None
        at += 2 + length
    return None
