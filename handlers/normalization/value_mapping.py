"""How stored values of one frame map to modality units: by slope and intercept, or by a look-up table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from handlers import attributes
from handlers.errors import MalformedAttributeError, VolumeError
from handlers.model import Frame
from handlers.normalization.pixel_layout import PixelLayout


@dataclass(frozen=True, slots=True)
class Rescale:
    """value = stored * slope + intercept; `absent` names the attributes that were not there."""

    slope: float
    intercept: float
    absent: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Say whether whole stored values stay whole, shifted at most."""
        return self.slope == 1 and self.intercept == int(self.intercept) and abs(self.intercept) < 2**31

    def __call__(self, stored: NDArray[Any]) -> NDArray[np.float64]:
        """Map stored values, in double precision."""
        return stored.astype(np.float64) * self.slope + self.intercept

    def limits(self, layout: PixelLayout) -> tuple[float, float]:
        """Smallest and largest value that the stored bits can map to."""
        low, high = (bound * self.slope + self.intercept for bound in layout.stored_range)
        return min(low, high), max(low, high)


@dataclass(frozen=True, slots=True)
class LookUpTable:
    """value = table[stored - first]; stored values beyond the table take its first or last entry."""

    first: int
    table: NDArray[np.float64]

    is_whole = False

    def __call__(self, stored: NDArray[Any]) -> NDArray[np.float64]:
        """Map stored values through the table."""
        index = np.clip(stored.astype(np.int64) - self.first, 0, len(self.table) - 1)
        return self.table[index]

    def limits(self, layout: PixelLayout) -> tuple[float, float]:
        """Smallest and largest entry that the stored bits can reach."""
        low, high = (min(max(bound - self.first, 0), len(self.table) - 1) for bound in layout.stored_range)
        reached = self.table[low : high + 1]
        return float(reached.min()), float(reached.max())


ValueMapping = Rescale | LookUpTable


def value_mapping(frame: Frame) -> ValueMapping:
    """Return the modality transformation of one frame.

    The Pixel Value Transformation of the frame wins over the top level's slope and
    intercept, those over the Modality LUT Sequence. Of slope and intercept, one that is
    absent is 1 or 0; when both are and there is no table, values stay as stored.

    Raises:
        VolumeError: the slope is 0 or no number (HU-001 for CT, RSC-003 otherwise), or the table is damaged.

    Source: PS3.3 C.7.6.16.2.9, C.11.1.
    """
    keywords = ("RescaleSlope", "RescaleIntercept")
    stated = [
        attributes.has(frame, keyword) and not attributes.is_empty(frame, keyword) for keyword in keywords
    ]
    tables = attributes.items(frame, "ModalityLUTSequence")
    if tables and not any(stated):
        return _look_up_table(frame, tables[0])
    try:
        slope, intercept = (attributes.number(frame, keyword) for keyword in keywords)
    except MalformedAttributeError as error:
        raise _unusable(frame, str(error)) from error
    if slope == 0:
        raise _unusable(frame, "RescaleSlope is 0")
    absent = tuple(keyword for keyword, is_stated in zip(keywords, stated, strict=True) if not is_stated)
    return Rescale(1.0 if slope is None else slope, 0.0 if intercept is None else intercept, absent)


def _look_up_table(frame: Frame, item: Dataset) -> LookUpTable:
    descriptor = attributes.numbers(item, "LUTDescriptor") or ()
    if len(descriptor) != 3 or "LUTData" not in item:
        raise _unusable(frame, f"its Modality LUT has descriptor {descriptor} and is not usable")
    entries, first, bits = (int(value) for value in descriptor)
    entries = entries % (1 << 16) or 1 << 16  # 0 means 65536; PS3.3 C.11.1.1
    table = _entries(frame, item["LUTData"].value, entries)
    if len(table) < entries or not 8 <= bits <= 16:
        raise _unusable(
            frame, f"its Modality LUT claims {entries} entries of {bits} bits and holds {len(table)}"
        )
    is_signed = attributes.integer(frame, "PixelRepresentation") == 1
    first %= 1 << 16  # the value representation follows PixelRepresentation, whatever the encoder wrote
    first = first - (1 << 16) if is_signed and first >= 1 << 15 else first
    return LookUpTable(first, (table[:entries] & ((1 << bits) - 1)).astype(np.float64))


def _entries(frame: Frame, data: Any, entries: int) -> NDArray[Any]:
    if not isinstance(data, (bytes, bytearray)):
        values = data if isinstance(data, (list, tuple)) or hasattr(data, "__len__") else [data]
        return np.asarray(values, dtype=np.int64) & 0xFFFF
    if entries <= len(data) < 2 * entries:  # 8-bit entries, packed
        return np.frombuffer(data, dtype=np.uint8)
    is_big = frame.instance.transfer_syntax_uid == ExplicitVRBigEndian
    return np.frombuffer(data[: len(data) // 2 * 2], dtype=">u2" if is_big else "<u2").astype(np.int64)


def _unusable(frame: Frame, reason: str) -> VolumeError:
    code = "HU-001" if attributes.text(frame, "Modality") == "CT" else "RSC-003"
    where = f"instance {frame.instance.sop_instance_uid}, frame {frame.number}"
    return VolumeError(f"{where}: {reason}; there is no modality value to compute", code=code)
