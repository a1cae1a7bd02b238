"""What the header says about the pixel cells of an instance, refused when it cannot be true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from handlers import attributes
from handlers.errors import PixelDataError
from handlers.model import Instance

# Transfer syntaxes whose pixel data are cells, not codestreams; "" is one that is not stated.
UNCOMPRESSED = frozenset(
    {"", ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian}
)
FLOAT_BITS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}
INTEGER_CELLS = (
    8,
    16,
    32,
)  # bits; 1 is bit-packed, all else is not allowed for pixel data (PS3.5 section 8.1.1)
GREY = ("MONOCHROME1", "MONOCHROME2", "")  # "" is read as MONOCHROME2, as every viewer does
PALETTE = "PALETTE COLOR"
YBR_422 = "YBR_FULL_422"
COLOURS = ("RGB", "YBR_FULL", YBR_422, "YBR_ICT", "YBR_RCT")  # three samples; PS3.3 C.7.6.3.1.2
COLOUR_BITS = 8


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """Shape and coding of the stored values of one instance.

    `stored_range` is what `bits_stored` bits can hold, whether or not the values reach it.
    `photometric` is "" for grey; a frame of colour has `samples` 3, of a palette 1. `cells_per_pixel` is
    that of pixel data that are not compressed: chrominance may be stored for every other pixel only.
    """

    rows: int
    columns: int
    frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    is_float: bool
    photometric: str = ""
    samples: int = 1
    planar: int = 0
    cells_per_pixel: int = 1

    @property
    def is_colour(self) -> bool:
        """Whether a pixel becomes red, green and blue."""
        return bool(self.photometric)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the values of one frame: (rows, columns), with 3 for colour."""
        return (self.rows, self.columns, 3) if self.is_colour else (self.rows, self.columns)

    @property
    def frame_cells(self) -> int:
        """Number of pixel cells in one frame that is not compressed."""
        return self.rows * self.columns * self.cells_per_pixel

    @property
    def native_bytes(self) -> int:
        """Bytes of all frames when not compressed, without the pad byte."""
        return (self.frame_cells * self.frames * self.bits_allocated + 7) // 8

    @property
    def stored_range(self) -> tuple[int, int]:
        """Smallest and largest value that the stored bits can hold."""
        if self.is_signed:
            return -(1 << (self.bits_stored - 1)), (1 << (self.bits_stored - 1)) - 1
        return 0, (1 << self.bits_stored) - 1

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The smallest of int16, uint16, int32, int64 (or float32, float64) that holds every stored value.

        For colour uint8.
        """
        if self.is_colour:
            return np.dtype(np.uint8)
        if self.is_float:
            return np.dtype(f"f{self.bits_allocated // 8}")
        low, high = self.stored_range
        kinds = (np.int16, np.uint16, np.int32, np.int64)
        return np.dtype(next(k for k in kinds if np.iinfo(k).min <= low and high <= np.iinfo(k).max))


def pixel_layout(instance: Instance) -> PixelLayout:
    """Read and check the Image Pixel module of one instance.

    Raises:
        PixelDataError: no pixel data or an impossible shape (ING-004), illegal bits (PIX-001),
            colour in a form that is not turned into red, green and blue (PIX-006).
        MalformedAttributeError: an attribute is no number.

    Source: PS3.3 C.7.6.3, PS3.5 section 8.
    """
    if not instance.pixel_keyword:
        raise _wrong(instance, "it holds no pixel data", "ING-004")
    frames = attributes.integer(instance, "NumberOfFrames")
    is_float = instance.pixel_keyword in FLOAT_BITS
    allocated, stored, high, is_signed = _float_bits(instance) if is_float else _integer_bits(instance)
    layout = PixelLayout(
        rows=_one(instance, "Rows"),
        columns=_one(instance, "Columns"),
        frames=1 if frames is None else frames,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high,
        is_signed=is_signed,
        is_float=is_float,
        **_colour(instance),
    )
    _refuse_colour(instance, layout)
    if min(layout.rows, layout.columns, layout.frames) < 1:
        shape = f"{layout.frames} frames of {layout.rows} rows and {layout.columns} columns"
        raise _wrong(instance, f"its header claims {shape}", "ING-004")
    return layout


def _colour(instance: Instance) -> dict[str, Any]:
    """Return what the header says of colour, as arguments of `PixelLayout`; nothing for grey."""
    photometric = (attributes.text(instance, "PhotometricInterpretation") or "").upper()
    samples = attributes.integer(instance, "SamplesPerPixel") or 1
    if samples == 1 and photometric in GREY:
        return {}
    is_halved = photometric == YBR_422 and instance.transfer_syntax_uid in UNCOMPRESSED
    return {
        "photometric": photometric or f"{samples} samples per pixel",
        "samples": samples,
        "planar": attributes.integer(instance, "PlanarConfiguration") or 0,
        "cells_per_pixel": samples - 1 if is_halved else samples,
    }


def _refuse_colour(instance: Instance, layout: PixelLayout) -> None:
    """Refuse colour that is no red, green and blue of 8 bits, and none that becomes it."""
    is_palette = layout.photometric == PALETTE and layout.samples == 1 and not layout.is_signed
    if not layout.is_colour or is_palette:
        return
    bits = (layout.bits_allocated, layout.bits_stored, layout.is_signed)
    if layout.photometric in COLOURS and layout.samples == 3 and bits == (COLOUR_BITS, COLOUR_BITS, False):
        return
    what = f"{layout.photometric}, {layout.samples} samples of {layout.bits_stored} bits"
    reason = f"colour in a form that is not decoded ({what}); send it as RGB or YBR_FULL of 8 bits"
    raise _wrong(instance, reason, "PIX-006")


def _float_bits(instance: Instance) -> tuple[int, int, int, bool]:
    bits = FLOAT_BITS[instance.pixel_keyword]
    return bits, bits, bits - 1, True


def _integer_bits(instance: Instance) -> tuple[int, int, int, bool]:
    """Return BitsAllocated, BitsStored, HighBit and whether values are signed."""
    allocated, stored = _one(instance, "BitsAllocated"), _one(instance, "BitsStored")
    high = attributes.integer(instance, "HighBit")
    high = stored - 1 if high is None else high
    sign = _one(instance, "PixelRepresentation")
    is_cell = allocated in INTEGER_CELLS or allocated == stored == 1
    if not is_cell or not 0 < stored <= allocated or not stored - 1 <= high < allocated or sign not in (0, 1):
        bits = f"BitsAllocated {allocated}, BitsStored {stored}, HighBit {high}, PixelRepresentation {sign}"
        raise _wrong(instance, f"illegal bits: {bits}", "PIX-001")
    return allocated, stored, high, sign == 1


def _one(instance: Instance, keyword: str) -> int:
    values = attributes.texts(instance, keyword)
    if values is None or len(values) != 1:
        what = "absent" if values is None else f"{len(values)} values"
        raise _wrong(instance, f"{keyword} must have one value, found: {what}", "PIX-001")
    value = attributes.integer(instance, keyword)
    if value is None:
        raise _wrong(instance, f"{keyword} is empty", "PIX-001")
    return value


def _wrong(instance: Instance, reason: str, code: str) -> PixelDataError:
    return PixelDataError(f"instance {instance.sop_instance_uid}: {reason}", code=code)
