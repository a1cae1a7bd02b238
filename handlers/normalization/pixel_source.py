"""Where the pixel bytes of an instance lie in its file, checked against the bytes that are there."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info, read_partial
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from handlers.errors import PixelDataError
from handlers.model import Instance

TAGS = {"FloatPixelData": 0x7FE00008, "DoubleFloatPixelData": 0x7FE00009, "PixelData": 0x7FE00010}
UNDEFINED = 0xFFFFFFFF  # length of an encapsulated value; PS3.5 section A.4
HEADER_ALLOWANCE = 1 << 26  # bytes a deflated data set may hold beside its pixels: 64 MiB of header
DEFER = 1024  # bytes; longer values are skipped, not read, while looking for the pixel data


@dataclass(frozen=True, slots=True)
class PixelSource:
    """The value field of the pixel data element in an open stream.

    `length` is in bytes; -1 for an encapsulated value, whose end is not stated.
    `is_word_swapped` is true for 8-bit cells in big-endian 16-bit words (PS3.5 section A.3).
    """

    stream: BinaryIO
    offset: int
    length: int
    is_little_endian: bool
    vr: str

    def read(self, start: int, count: int) -> bytes:
        """Read `count` bytes at `start` of the value field; the range was checked before."""
        self.stream.seek(self.offset + start)
        return self.stream.read(count)


@contextmanager
def open_pixels(instance: Instance, *, native_bytes: int) -> Iterator[PixelSource]:
    """Open the file of an instance at its pixel data.

    `native_bytes` is the size of all frames uncompressed: a deflated data set is not inflated
    beyond it (and an allowance for the header).

    Raises:
        PixelDataError: the file holds no pixel data, is cut short, or inflates to more (ING-004).
    """
    try:
        with instance.path.open("rb") as file:
            stream: BinaryIO = file
            if instance.transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
                stream = _inflated(instance, file, native_bytes + HEADER_ALLOWANCE)
            size = stream.seek(0, 2)
            found = _at_the_end(instance, stream, size, native_bytes) or _by_walking(instance, stream)
            if found.length >= 0 and found.offset + found.length > size:
                present = max(size - found.offset, 0)
                raise _failure(instance, f"claims {found.length} bytes of pixel data, {present} are present")
            yield found
    except OSError as error:
        raise _failure(instance, f"its file cannot be read: {error.strerror}") from error


def _at_the_end(instance: Instance, stream: BinaryIO, size: int, native_bytes: int) -> PixelSource | None:
    """Find an uncompressed value that ends the file, as it nearly always does, without parsing."""
    length = native_bytes + native_bytes % 2
    start = size - length
    if start < 12:  # bytes of the longest element header
        return None
    stream.seek(start - 12)
    head = stream.read(12)
    tag = TAGS[instance.pixel_keyword]
    little = b"".join(part.to_bytes(2, "little") for part in divmod(tag, 1 << 16))
    big = tag.to_bytes(4, "big")
    if head[4:8] == little and head[8:] == length.to_bytes(4, "little"):
        return PixelSource(stream, start, length, is_little_endian=True, vr="OW")
    if (
        head[:4] == little
        and head[4:6] in (b"OW", b"OB", b"OF", b"OD")
        and head[8:] == length.to_bytes(4, "little")
    ):
        return PixelSource(stream, start, length, is_little_endian=True, vr=head[4:6].decode())
    if (
        head[:4] == big
        and head[4:6] in (b"OW", b"OB", b"OF", b"OD")
        and head[8:] == length.to_bytes(4, "big")
    ):
        return PixelSource(stream, start, length, is_little_endian=False, vr=head[4:6].decode())
    return None


def _by_walking(instance: Instance, stream: BinaryIO) -> PixelSource:
    """Find the value by walking the elements of the data set."""
    seen: list[PixelSource] = []
    is_little_endian = instance.transfer_syntax_uid != ExplicitVRBigEndian

    def is_pixel_data(tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag == TAGS[instance.pixel_keyword]:
            known = -1 if length == UNDEFINED else length
            seen.append(PixelSource(stream, stream.tell(), known, is_little_endian, vr or "OW"))
        return bool(seen)

    stream.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the header was judged when it was read
            read_partial(stream, stop_when=is_pixel_data, defer_size=DEFER, force=True)
    except (EOFError, InvalidDicomError, ValueError, NotImplementedError, KeyError) as error:
        raise _failure(instance, f"its data set cannot be parsed: {error}") from error
    if not seen:
        raise _failure(instance, "the pixel data announced by the header is not there")
    return seen[0]


def _inflated(instance: Instance, file: BinaryIO, limit: int) -> BytesIO:
    """Inflate the data set of a deflated file, without its file meta (PS3.5 section A.5)."""
    try:
        meta = read_file_meta_info(str(instance.path))
        file.seek(128 + 4 + 12 + int(meta.FileMetaInformationGroupLength))  # preamble, DICM, group length
    except (InvalidDicomError, AttributeError, EOFError) as error:
        raise _failure(instance, f"its file meta information cannot be read: {error}") from error
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(file.read(), limit)
    except zlib.error as error:
        raise _failure(instance, f"its deflated data set is damaged: {error}") from error
    if inflater.unconsumed_tail:
        raise _failure(instance, f"its data set inflates beyond {limit} bytes")
    return BytesIO(data)


def _failure(instance: Instance, reason: str) -> PixelDataError:
    return PixelDataError(f"instance {instance.sop_instance_uid}: {reason}", code="ING-004")
