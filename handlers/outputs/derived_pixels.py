"""Values of a volume as 16-bit stored values, with the slope that gives the values back."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.errors import VolumeError
from handlers.model import Companion, Volume

HU = "[hnsf'U]"
UNITS_COMPANION = "units"  # `keep_units`: values as they were before they were scaled
NOT_WRITTEN = "OUT-006"
SLOPE_DIGITS = 6  # significant; a Decimal String has 16 characters (PS3.5 section 6.2)
_LIMITS = np.iinfo(np.int16)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How values become stored values: value = stored * slope, intercept 0, signed 16 bits.

    `slope` is a Decimal String. `largest_error` is the distance between a value and what is read back,
    in `units`, over all voxels. `padding` is the stored value of the background, where there is any.
    """

    slope: str
    rescale_type: str
    units: str
    largest_error: float
    padding: int | None

    def stored(self, values: NDArray[Any]) -> NDArray[np.int16]:
        """Turn values of any shape into stored values of the same shape."""
        whole: NDArray[np.int16] = np.rint(np.asarray(values, np.float64) / float(self.slope)).astype(
            np.int16
        )
        return whole


def values_of(volume: Volume) -> tuple[NDArray[Any], str, float]:
    """Return the array (slices, rows, columns) that goes into the images, its units in UCUM, its background.

    CT images hold HU: where `intensity` changed the values, those that `keep_units` kept are taken.

    Raises:
        VolumeError: there are no such values (OUT-006).
    """
    values, units, background = volume.values, volume.units, volume.background
    kept = next((each for each in volume.companions if each.name == UNITS_COMPANION), None)
    if volume.modality == "CT" and units != HU and isinstance(kept, Companion):
        values, units = kept.values, kept.units
        background = float(kept.facts.get("background_value", background))
    if values is None or values.ndim != 3 or not values.size:
        raise VolumeError("only grey values of shape (slices, rows, columns) are written", code=NOT_WRITTEN)
    if volume.modality == "CT" and units != HU:
        message = f"a CT image holds HU, and these values have the unit {units!r}"
        raise VolumeError(message, code=NOT_WRITTEN)
    return values, units, background


def encoding(values: NDArray[Any], units: str, padding: float | None = None) -> Encoding:
    """Choose slope and intercept: 1 and 0 for HU and for whole numbers that fit, else a slope for MR.

    HU are rounded to whole numbers, which is an error of 0.5 HU at most. The slope of MR is written
    with few digits, so that reading it gives the number that was used; zero stays zero. `padding` is the
    value that stands where nothing was measured, None where there is no such voxel.

    Raises:
        VolumeError: a value is no finite number, or HU do not fit 16 bits (OUT-006).
    """
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise VolumeError("the values hold what is no number", code=NOT_WRITTEN)
    fits = _LIMITS.min <= low <= high <= _LIMITS.max
    is_whole = values.dtype.kind in "iub" or all(bool((plane == np.rint(plane)).all()) for plane in values)
    if units == HU and not fits:
        message = f"values from {low:g} to {high:g} HU do not fit 16 bits"
        raise VolumeError(message, code=NOT_WRITTEN)
    slope = "1" if units == HU or (fits and is_whole) else _slope(max(-low, high))
    trial = Encoding(slope, "HU" if units == HU else "US", units, 0.0, None)
    error = max(
        float(np.abs(trial.stored(plane) * float(slope) - plane.astype(np.float64)).max()) for plane in values
    )
    return Encoding(slope, trial.rescale_type, units, error, _padding(padding, trial))


def _slope(largest: float) -> str:
    """Return the smallest slope of few digits by which the largest value fits 16 bits."""
    wanted = Decimal(largest) / Decimal(_LIMITS.max)
    step = Decimal(1).scaleb(wanted.adjusted() - SLOPE_DIGITS + 1)
    return f"{wanted.quantize(step, rounding=ROUND_UP):.{SLOPE_DIGITS - 1}E}"


def _padding(value: float | None, trial: Encoding) -> int | None:
    """Return the stored value of the background; None where it has none."""
    if value is None or not np.isfinite(value):
        return None
    wanted = round(value / float(trial.slope))
    return wanted if _LIMITS.min <= wanted <= _LIMITS.max else None
