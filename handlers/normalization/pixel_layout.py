"""What the header says about the pixel cells of an instance, refused when it cannot be true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handlers import attributes
from handlers.errors import PixelDataError
from handlers.model import Instance

FLOAT_BITS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}
INTEGER_CELLS = (
    8,
    16,
    32,
)  # bits; 1 is bit-packed, all else is not allowed for pixel data (PS3.5 section 8.1.1)
GREY = ("MONOCHROME1", "MONOCHROME2", "")  # "" is read as MONOCHROME2, as every viewer does


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """Shape and coding of the stored values of one instance.

    `stored_range` is what `bits_stored` bits can hold, whether or not the values reach it.
    """

    rows: int
    columns: int
    frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    is_float: bool

    @property
    def frame_cells(self) -> int:
        """Number of pixel cells in one frame."""
        return self.rows * self.columns

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
        """The smallest of int16, uint16, int32, int64 (or float32, float64) that holds every stored value."""
        if self.is_float:
            return np.dtype(f"f{self.bits_allocated // 8}")
        low, high = self.stored_range
        kinds = (np.int16, np.uint16, np.int32, np.int64)
        return np.dtype(next(k for k in kinds if np.iinfo(k).min <= low and high <= np.iinfo(k).max))


def pixel_layout(instance: Instance) -> PixelLayout:
    """Read and check the Image Pixel module of one instance.

    Raises:
        PixelDataError: no pixel data or an impossible shape (ING-004), illegal bits (PIX-001),
            colour (PIX-006).
        MalformedAttributeError: an attribute is no number.

    Source: PS3.3 C.7.6.3, PS3.5 section 8.
    """
    if not instance.pixel_keyword:
        raise _wrong(instance, "it holds no pixel data", "ING-004")
    _refuse_colour(instance)
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
    )
    if min(layout.rows, layout.columns, layout.frames) < 1:
        shape = f"{layout.frames} frames of {layout.rows} rows and {layout.columns} columns"
        raise _wrong(instance, f"its header claims {shape}", "ING-004")
    return layout


def _refuse_colour(instance: Instance) -> None:
    samples = attributes.integer(instance, "SamplesPerPixel")
    photometric = (attributes.text(instance, "PhotometricInterpretation") or "").upper()
    if (samples or 1) != 1 or photometric not in GREY:
        kind = photometric or f"{samples} samples per pixel"
        raise _wrong(instance, f"colour image ({kind}): not turned into a volume", "PIX-006")


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
