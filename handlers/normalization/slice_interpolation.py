"""Slices at new positions along the normal, by linear interpolation between the two nearest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.tables import table

SAME_MM: float = table("geometry")["repair"]["same_mm"]  # a slice this near is the slice


def interpolate_slices(
    values: NDArray[Any],
    padding: NDArray[np.bool_] | None,
    positions: NDArray[np.float64],
    targets: NDArray[np.float64],
    *,
    background: float,
) -> tuple[NDArray[Any], NDArray[np.bool_] | None, NDArray[np.bool_]]:
    """Return values and padding (slices, rows, columns) at `targets`, and which slices are new.

    `positions` (mm, ascending) are those of the given slices. Where one of two neighbours is
    padding the other stands alone; where both are, so is the result. Whole numbers are
    rounded to the nearest.
    """
    result = np.empty((len(targets), *values.shape[1:]), values.dtype)
    masked = None if padding is None else np.empty(result.shape, np.bool_)
    is_new = np.zeros(len(targets), np.bool_)
    for index, target in enumerate(targets):
        nearest = int(np.abs(positions - target).argmin())
        if abs(positions[nearest] - target) <= SAME_MM:
            result[index] = values[nearest]
            if masked is not None and padding is not None:
                masked[index] = padding[nearest]
            continue
        is_new[index] = True
        above = int(np.clip(np.searchsorted(positions, target), 1, len(positions) - 1))
        share = (target - positions[above - 1]) / (positions[above] - positions[above - 1])
        pair = values[above - 1].astype(np.float64), values[above].astype(np.float64)
        mixed = (1 - share) * pair[0] + share * pair[1]
        if masked is not None and padding is not None:
            lower, upper = padding[above - 1], padding[above]
            mixed = np.where(lower, pair[1], np.where(upper, pair[0], mixed))
            masked[index] = lower & upper
            mixed[masked[index]] = background
        result[index] = np.rint(mixed) if values.dtype.kind in "iu" else mixed
    return result, masked, is_new
