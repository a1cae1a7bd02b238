"""The pixel cells of the wanted frames of one instance, each read or decoded once."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import generate_frames

from handlers import attributes
from handlers.errors import PixelDataError
from handlers.model import Instance
from handlers.normalization.codestream import Codestream
from handlers.normalization.decoding import decode_frame, native_colour
from handlers.normalization.pixel_layout import UNCOMPRESSED, PixelLayout
from handlers.normalization.pixel_source import PixelSource, open_pixels

MOST_PADDING = 8  # bytes behind the last cell that some writers add, whatever the size of a row
MOST_LOOKED_AT = 1 << 20  # bytes behind the last cell that are looked at


@dataclass(frozen=True, slots=True)
class PixelCells:
    """Cells (rows, columns) of one frame as stored; unsigned, or float for float pixel data.

    Of colour with three samples (rows, columns, 3): red, green and blue.

    `decoder` is "native" when nothing was compressed; then `stream` is None.
    """

    cells: NDArray[Any]
    decoder: str = "native"
    stream: Codestream | None = None


def pixel_cells(instance: Instance, layout: PixelLayout, numbers: Sequence[int]) -> Iterator[PixelCells]:
    """Yield the frames of these numbers (ascending, from 1).

    Raises:
        PixelDataError: the file is cut short, damaged, or not decodable (ING-004).
    """
    with open_pixels(instance, native_bytes=layout.native_bytes) as source:
        if instance.transfer_syntax_uid in UNCOMPRESSED:
            yield from _native(instance, layout, numbers, source)
        else:
            yield from _compressed(instance, layout, numbers, source)


def _native(
    instance: Instance, layout: PixelLayout, numbers: Sequence[int], source: PixelSource
) -> Iterator[PixelCells]:
    if source.length < layout.native_bytes:
        stated = "no length" if source.length < 0 else f"{source.length} bytes"
        raise _failure(instance, f"pixel data has {stated}, its header claims {layout.native_bytes}")
    row_bytes = max(layout.columns * layout.bits_allocated // 8, MOST_PADDING)
    excess = source.length - layout.native_bytes
    # Some writers add zeros; anything else is part of the image, so the size in the header is wrong.
    if excess >= row_bytes and any(source.read(layout.native_bytes, min(excess, MOST_LOOKED_AT))):
        claimed = f"{layout.native_bytes} that its header claims"
        raise _failure(instance, f"pixel data has {source.length} bytes, a row or more than the {claimed}")
    for number in numbers:
        first = (number - 1) * layout.frame_cells
        if layout.bits_allocated == 1:
            cells = _unpacked_bits(source, first, layout.frame_cells)
        elif layout.bits_allocated == 8 and not source.is_little_endian and source.vr == "OW":
            cells = _swapped_words(source, first, layout.frame_cells)
        else:
            size = layout.bits_allocated // 8
            kind = f"{'<' if source.is_little_endian else '>'}{'f' if layout.is_float else 'u'}{size}"
            read = np.frombuffer(source.read(first * size, layout.frame_cells * size), dtype=kind)
            cells = read.astype(read.dtype.newbyteorder("="), copy=False)
        if layout.samples > 1:
            yield PixelCells(_colour(cells, instance, layout))
        else:
            yield PixelCells(cells.reshape(layout.rows, layout.columns))


def _colour(cells: NDArray[Any], instance: Instance, layout: PixelLayout) -> NDArray[np.uint8]:
    try:
        return native_colour(cells.tobytes(), layout)
    except (ValueError, AttributeError) as error:
        raise _failure(instance, f"its colour cannot be decoded: {error}") from error


def _unpacked_bits(source: PixelSource, first: int, count: int) -> NDArray[Any]:
    """Bit-packed cells: frames follow one another without padding between them (PS3.5 section 8.1.1)."""
    start, end = first // 8, (first + count + 7) // 8
    packed = np.frombuffer(source.read(start, end - start), dtype=np.uint8)
    return np.unpackbits(packed, bitorder="little")[first % 8 : first % 8 + count]


def _swapped_words(source: PixelSource, first: int, count: int) -> NDArray[Any]:
    """8-bit cells in big-endian 16-bit words: the bytes of each word change places (PS3.5 section A.3)."""
    start, end = first - first % 2, first + count + (first + count) % 2
    words = np.frombuffer(source.read(start, end - start), dtype=np.uint16)
    return words.byteswap().view(np.uint8)[first - start : first - start + count]


def _compressed(
    instance: Instance, layout: PixelLayout, numbers: Sequence[int], source: PixelSource
) -> Iterator[PixelCells]:
    wanted, found = set(numbers), 0
    offsets = _extended_offsets(instance)
    try:
        # Mapped, because reading from a file would allocate whatever length an item claims.
        with mmap(source.stream.fileno(), 0, access=ACCESS_READ) as mapped:
            mapped.seek(source.offset)
            frames = generate_frames(
                cast("Any", mapped), number_of_frames=layout.frames, extended_offsets=offsets
            )
            for number, encoded in enumerate(frames, start=1):
                if number in wanted:
                    decoded = decode_frame(encoded, layout, instance.transfer_syntax_uid)
                    yield PixelCells(decoded.cells, decoded.decoder, decoded.stream)
                    found += 1
                if found == len(wanted):
                    return
    except PixelDataError as error:
        raise _failure(instance, str(error)) from error
    except (ValueError, EOFError, IndexError, OverflowError, struct.error) as error:
        raise _failure(instance, f"its encapsulated pixel data is damaged: {error}") from error
    raise _failure(instance, f"{found} of {len(wanted)} frames are present")


def _extended_offsets(instance: Instance) -> tuple[bytes, bytes] | None:
    keywords = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
    if not all(attributes.has(instance, keyword) for keyword in keywords):
        return None
    offsets, lengths = (instance.header[keyword].value for keyword in keywords)
    return (offsets, lengths) if offsets and len(offsets) == len(lengths) else None


def _failure(instance: Instance, reason: str) -> PixelDataError:
    return PixelDataError(f"instance {instance.sop_instance_uid}: {reason}", code="ING-004")
