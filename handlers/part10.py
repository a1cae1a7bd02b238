"""Parse the header of a DICOM file from its first bytes: file meta, encoding, elements before the pixels.

A header is parsed from a first piece of the file, from a larger one only when that does not
hold it, and a deflated data set is inflated only as far as that. Nothing is allocated by a
length that the file merely claims.
"""

from __future__ import annotations

import warnings
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from pydicom.charset import convert_encodings, python_encoding
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from handlers.elements import UNDEFINED, ElementError, ShortError, Walk

PIECES = (1 << 17, 1 << 20, 1 << 23, 1 << 26)  # bytes tried in turn; most headers have 4-100 KB
HEADER_LIMIT = PIECES[-1]  # 64 MiB: what lies behind is not read (encapsulated documents, raw data)
INFLATED_LIMIT = 1 << 26  # bytes that a deflated data set may hold however small it is
INFLATED_RATIO = 100  # and beyond that per deflated byte: images reach 2-20, a bomb 1,000
CHUNK = 1 << 16  # deflated bytes taken at a time
DEFLATED = (  # and JPIP Referenced Deflate, JPIP HTJ2K Referenced Deflate
    DeflatedExplicitVRLittleEndian,
    "1.2.840.10008.1.2.4.95",
    "1.2.840.10008.1.2.4.205",
)
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
FIRST_GROUPS = (b"\x02\0", b"\x08\0", b"\0\x08", b"\0\0")  # of a file without preamble; third: big endian
TRANSFER_SYNTAX_UID, SPECIFIC_CHARACTER_SET = BaseTag(0x00020010), BaseTag(0x00080005)


class HeaderError(ValueError):
    """No header can be made of these bytes; `walk` holds what was found before, or None."""

    def __init__(self, message: str, walk: Walk | None = None) -> None:
        super().__init__(message)
        self.walk = walk


@dataclass(frozen=True, slots=True)
class Header:
    """The elements before the pixel data, the transfer syntax that holds, and what kind of pixels follow."""

    elements: Dataset
    transfer_syntax_uid: str
    pixel_keyword: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """The first bytes of a data set, inflated if need be, and whether there are no more."""

    meta: Walk
    data: bytes
    start: int
    is_whole: bool
    transfer_syntax_uid: str


def parse(file: BinaryIO, size: int) -> Header:
    """Parse the header of a file of `size` bytes, opened at its beginning.

    Raises:
        HeaderError: not DICOM, cut short before the pixel data, nested too deep, or a deflate bomb.
        OSError: the file cannot be read.
    """
    for length in PIECES:
        piece = _piece(file, size, length)
        walk = _begin(piece)
        try:
            is_complete = _run(walk, piece)
            if is_complete or length == HEADER_LIMIT:
                walk.check_nesting()
        except ElementError as error:
            raise HeaderError(str(error), walk) from error
        if is_complete:
            break
    else:
        if piece.transfer_syntax_uid in DEFLATED:
            raise HeaderError(f"the data set inflates beyond {HEADER_LIMIT} bytes without pixel data", walk)
    _refuse_bomb(walk, piece, size)
    return Header(_dataset(walk, piece.meta), _transfer_syntax(walk, piece), walk.pixel_keyword)


def text(walk: Walk, tag: int) -> str | None:
    """Return the ASCII text of an element, without decoding the rest; None when absent or no text."""
    element = walk.elements.get(BaseTag(tag))
    if element is None or not isinstance(element.value, bytes):
        return None if element is None else ""
    return element.value.decode("ascii", "replace").strip(" \0")


def _piece(file: BinaryIO, size: int, length: int) -> _Piece:
    file.seek(0)
    data = file.read(min(size, length))
    start = _after_preamble(data)
    try:
        meta = Walk(data, is_implicit=False).run(start, only_group=2)
    except ElementError as error:
        raise HeaderError(f"the file meta information is damaged: {error}") from error
    syntax = text(meta, TRANSFER_SYNTAX_UID) or ""
    if syntax in DEFLATED:
        inflated, is_whole = _inflate(file, meta.end, length)
        return _Piece(meta, inflated, 0, is_whole, syntax)
    return _Piece(meta, data, meta.end, len(data) == size, syntax)


def _after_preamble(data: bytes) -> int:
    if data[128:132] == b"DICM" and (data[132:134] == b"\x02\0" or data[:2] not in FIRST_GROUPS[1:3]):
        return 132  # a bare data set may hold the same four letters there, in a value
    if data[:4] == b"DICM":  # written without the 128 bytes in front
        return 4
    if data[:2] not in FIRST_GROUPS or len(data) < 8:
        raise HeaderError("not a DICOM file: no DICM prefix, and it does not begin like a data set")
    return 0


def _inflate(file: BinaryIO, offset: int, length: int) -> tuple[bytes, bool]:
    """Inflate at most `length` bytes of what follows `offset`; say whether that was all."""
    file.seek(offset)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    parts, left = [], length
    try:
        while left > 0 and not inflater.eof:
            chunk = inflater.unconsumed_tail or file.read(CHUNK)
            if not chunk:
                break
            parts.append(inflater.decompress(chunk, left))
            left -= len(parts[-1])
    except zlib.error as error:
        raise HeaderError(f"the deflated data set is damaged: {error}") from error
    return b"".join(parts), left > 0


def _begin(piece: _Piece) -> Walk:
    """Make the walk over a data set; its first bytes decide how it is encoded, then the transfer syntax.

    Some senders announce explicit VR and write implicit, or the reverse.
    """
    head = piece.data[piece.start : piece.start + 6]
    is_explicit = head[4:6].isalpha() and head[4:6].isupper()
    is_big = is_explicit and (
        head[:2] == b"\0\x08" or (piece.transfer_syntax_uid == ExplicitVRBigEndian and head[:2] != b"\x08\0")
    )
    return Walk(piece.data, is_implicit=not is_explicit, is_little=not is_big)


def _run(walk: Walk, piece: _Piece) -> bool:
    """Walk; say whether a longer piece would not hold more of the header."""
    try:
        walk.run(piece.start)
    except ShortError:
        if piece.is_whole:
            raise
        return False
    return bool(walk.pixel_keyword) or piece.is_whole


def _refuse_bomb(walk: Walk, piece: _Piece, size: int) -> None:
    """Refuse a deflated data set that inflates to more than an image of this size would."""
    if piece.transfer_syntax_uid not in DEFLATED or walk.pixel_length == UNDEFINED:
        return
    inflated = walk.end + walk.pixel_length
    if inflated > max(INFLATED_LIMIT, INFLATED_RATIO * size):
        raise HeaderError(
            f"{size} deflated bytes inflate to {inflated}, more than {INFLATED_RATIO} times as many", walk
        )


def _transfer_syntax(walk: Walk, piece: _Piece) -> str:
    """Return the transfer syntax: the announced one, unless the bytes contradict it or there is none."""
    if piece.transfer_syntax_uid and piece.transfer_syntax_uid not in NATIVE:
        return piece.transfer_syntax_uid
    if walk.is_implicit:
        return str(ImplicitVRLittleEndian)
    return str(ExplicitVRLittleEndian if walk.is_little else ExplicitVRBigEndian)


def _dataset(walk: Walk, meta: Walk) -> Dataset:
    dataset = Dataset(walk.elements)
    encodings = _encodings(text(walk, SPECIFIC_CHARACTER_SET))
    dataset.set_original_encoding(walk.is_implicit, walk.is_little, encodings)
    dataset.file_meta = FileMetaDataset(meta.elements)
    return dataset


def _encodings(terms: str | None) -> list[str]:
    """Return the Python codecs for SpecificCharacterSet (PS3.3 C.12.1.1.2)."""
    if terms is None or terms in python_encoding:
        return [python_encoding[terms or ""]]
    # Only here does pydicom warn while reading: about a misspelled or unknown term, which it corrects
    # or takes for Latin-1. ING-006 judges the term itself; such files are too rare for a race to matter.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return convert_encodings([term.strip() for term in terms.split("\\")])
