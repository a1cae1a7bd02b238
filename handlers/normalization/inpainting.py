"""Padding replaced by the nearest measured value, so that interpolation at its border sees tissue only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from handlers.model import Volume
from handlers.normalization.decoded import values_of


def without_padding(volume: Volume, *, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """Return values (slices, rows, columns) with padding filled from the nearest measured pixel.

    Nearest along the row; along the column for rows that are all padding; from the next
    slice for slices that are. With `dtype` always a copy of that type; without, the values
    themselves when nothing is padded.
    """
    values = values_of(volume)
    if volume.padding is None or not volume.padding.any() or volume.padding.all():
        return values if dtype is None else values.astype(dtype)
    filled = values.astype(values.dtype if dtype is None else dtype)
    is_empty = np.asarray(volume.padding.all(axis=(1, 2)))
    for index in np.flatnonzero(~is_empty):
        padded = volume.padding[index]
        if padded.any():
            filled[index] = _filled_plane(filled[index], padded)
    filled[is_empty] = filled[_nearest_index(~is_empty)[is_empty]]
    return filled


def _filled_plane(plane: NDArray[Any], padded: NDArray[np.bool_]) -> NDArray[Any]:
    columns = padded.shape[1]
    across = np.arange(columns)
    left = np.maximum.accumulate(np.where(padded, -columns, across), axis=1)
    right = np.minimum.accumulate(np.where(padded, 2 * columns, across)[:, ::-1], axis=1)[:, ::-1]
    source = np.clip(np.where(across - left <= right - across, left, right), 0, columns - 1)
    filled = np.take_along_axis(plane, source, axis=1)
    has_values = np.asarray(~padded.all(axis=1))
    return filled if has_values.all() else filled[_nearest_index(has_values)]


def _nearest_index(is_given: NDArray[np.bool_]) -> NDArray[np.intp]:
    """For every place the nearest one that is given; ties to the lower."""
    given = np.flatnonzero(is_given)
    places = np.arange(len(is_given))
    return np.asarray(given[np.abs(places[:, None] - given).argmin(axis=1)], np.intp)
