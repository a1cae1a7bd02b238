"""A CT volume on a coarse grid whose axes follow the body, small enough to search in bounded time."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.model import Geometry, Volume

AIR_HU = -1000.0
AXIAL = 0.95  # cosine between a plane's axis and the body's
HU_RANGE = (-1024.0, 3071.0)


@dataclass(frozen=True, slots=True)
class Coarse:
    """Values in HU, shape (slices, rows, columns): up, to the back, to the left; `spacing_mm` likewise."""

    values: NDArray[np.float32]
    spacing_mm: tuple[float, float, float]


def is_axial(geometry: Geometry) -> bool:
    """Say whether columns, rows and slices run nearly along the left, back and up axes of the body."""
    along = (geometry.row_cosine[0], geometry.column_cosine[1], geometry.normal[2])
    return all(abs(each) >= AXIAL for each in along)


def coarse(volume: Volume, step_mm: float) -> Coarse | None:
    """Return the means over cells of about `step_mm`; None without values or geometry.

    A cell is a whole number of voxels, so that nothing is interpolated and each voxel counts once; an
    axis that is coarser already stays as it is. Padding counts as air.
    """
    geometry, values = volume.geometry, volume.values
    if geometry is None or values is None or values.ndim != 3:
        return None
    columns_mm, rows_mm, slices_mm = geometry.spacing_mm
    row_cells, column_cells = (
        _starts(values.shape[1], rows_mm, step_mm),
        _starts(values.shape[2], columns_mm, step_mm),
    )
    slice_cells = _starts(values.shape[0], slices_mm, step_mm)
    made = np.empty((len(slice_cells), len(row_cells), len(column_cells)), np.float32)
    ends = [*slice_cells[1:].tolist(), values.shape[0]]
    for index, (start, end) in enumerate(zip(slice_cells.tolist(), ends, strict=True)):
        planes = np.stack([_plane(volume, k) for k in range(start, end)])
        plane = np.asarray(planes.mean(axis=0, dtype=np.float32), np.float32)
        made[index] = _means(_means(plane, row_cells, 0), column_cells, 1)
    signs = (geometry.normal[2], geometry.column_cosine[1], geometry.row_cosine[0])
    turned = made[tuple(slice(None, None, 1 if sign > 0 else -1) for sign in signs)]
    spacing = tuple(
        full * size / len(cells)
        for full, size, cells in zip(
            (slices_mm, rows_mm, columns_mm),
            values.shape,
            (slice_cells, row_cells, column_cells),
            strict=True,
        )
    )
    return Coarse(np.ascontiguousarray(turned), (spacing[0], spacing[1], spacing[2]))


def smoothed(
    values: NDArray[np.float32], spacing_mm: tuple[float, float, float], sigma_mm: float
) -> NDArray[np.float32]:
    """Return each slice after a Gaussian of `sigma_mm` in its plane."""
    sitk: Any = import_module("SimpleITK")  # large, and needed only when values are looked at

    image = sitk.GetImageFromArray(values)
    image.SetSpacing((spacing_mm[2], spacing_mm[1], spacing_mm[0]))
    image = sitk.RecursiveGaussian(image, sigma_mm, False, sitk.RecursiveGaussianImageFilter.ZeroOrder, 0)
    image = sitk.RecursiveGaussian(image, sigma_mm, False, sitk.RecursiveGaussianImageFilter.ZeroOrder, 1)
    return np.asarray(sitk.GetArrayFromImage(image), np.float32)


def box(values: NDArray[np.float32], half: tuple[int, int]) -> NDArray[np.float32]:
    """Return the means over squares of 2 * half + 1 (rows, columns) in each slice; edges are repeated."""
    rows, columns = half
    padded = np.pad(values, ((0, 0), (rows + 1, rows), (columns + 1, columns)), mode="edge").astype(
        np.float64
    )
    summed = padded.cumsum(1).cumsum(2)
    high, wide = 2 * rows + 1, 2 * columns + 1
    total = (
        summed[:, high:, wide:]
        - summed[:, :-high, wide:]
        - summed[:, high:, :-wide]
        + summed[:, :-high, :-wide]
    )
    return np.asarray(total / (high * wide), np.float32)


def local_sigma(values: NDArray[np.float32], half: tuple[int, int]) -> NDArray[np.float32]:
    """Return the standard deviations over the same squares as `box`."""
    mean = box(values, half)
    return np.asarray(np.sqrt(np.maximum(box(values * values, half) - mean * mean, 0.0)), np.float32)


def _starts(size: int, spacing_mm: float, step_mm: float) -> NDArray[np.intp]:
    """Return the first index of each cell."""
    cells = max(1, min(size, round(size * spacing_mm / step_mm)))
    return np.unique(np.floor(np.arange(cells) * size / cells).astype(np.intp))


def _plane(volume: Volume, index: int) -> NDArray[np.float32]:
    assert volume.values is not None  # noqa: S101 - for the type checker; `coarse` has looked
    plane = np.asarray(np.clip(volume.values[index], *HU_RANGE), np.float32)
    if volume.padding is not None:
        plane[volume.padding[index]] = AIR_HU
    return plane


def _means(plane: NDArray[np.float32], starts: NDArray[np.intp], axis: int) -> NDArray[np.float32]:
    counts = np.diff([*starts.tolist(), plane.shape[axis]]).astype(np.float32)
    shape = (-1, 1) if axis == 0 else (1, -1)
    summed = np.add.reduceat(plane, starts, axis=axis, dtype=np.float32)
    return np.asarray(summed / counts.reshape(shape), np.float32)
