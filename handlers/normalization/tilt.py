"""Gantry tilt: a sheared stack resampled once, onto an upright grid of the wanted spacing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from handlers.geometry import TILT_DEG
from handlers.model import AppliedStep, Finding, Scope, Severity, Volume
from handlers.normalization import axes, grids, separable
from handlers.normalization.decoded import affine_of, values_of
from handlers.normalization.grids import Grid, antialias_variance
from handlers.normalization.memory import check_result
from handlers.normalization.separable import AxisWeights

HALF = np.float32(0.5)  # share of a voxel from which it belongs to the image
EXACT = 1e-6  # pixels; less than the precision of a decimal string position
NATIVE_MM = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class CorrectTilt:
    """Resample a sheared stack once to an orthonormal grid that covers the sheared box (NRM-TLT-001).

    Interpolation is linear along rows, columns and the true slice step, so between two slices it
    follows the anatomy that both show. Without `spacing_mm` the planes already lie at the wanted
    distances, and each is only moved within its own plane. What the grid adds is padding and
    holds the background.

    `spacing_mm` (column, row, slice) is that of the axes once they are put into `orientation`;
    0 keeps one.

    Source: PS3.3 C.7.6.2.1.1 for positions; GantryDetectorTilt is not used ("not intended
    for mathematical computations", PS3.3 C.8.2.1).
    """

    spacing_mm: tuple[float, float, float] | None = None
    orientation: str = axes.NATIVE

    def __call__(self, volume: Volume) -> Volume:
        """Return the upright volume; one whose shear is small stays as it is.

        Raises:
            VolumeError: the covering grid would be too large (NRM-RES-003).
        """
        if (
            volume.values is None
            or volume.geometry is None
            or volume.affine is None
            or len(volume.values) < 2
        ):
            return volume
        shear = _Shear.of(volume)
        if shear.degrees <= TILT_DEG:
            return volume
        upright, box = shear.upright(volume)
        grid = grids.grid(upright, box, self._wanted(upright), volume.spacing_mm)
        check_result([int(n) for n in grid.size[::-1]], name=f"the upright grid of volume {volume.name}")
        values, padding = _resampled(volume, grid, shear)
        affine = grid.affine(upright)
        column, row, between = (float(length) for length in np.linalg.norm(affine[:3, :3], axis=0))
        steps, findings = _record(volume, upright, grid, shear.degrees)
        return replace(
            volume,
            values=values,
            padding=padding,
            interpolated=None if volume.interpolated is None else _interpolated(volume.interpolated, grid),
            affine=affine,
            spacing_mm=(column, row, between),
            steps=(*volume.steps, *steps),
            findings=(*volume.findings, *findings),
        )

    def _wanted(self, upright: NDArray[np.float64]) -> tuple[float, ...]:
        """Return the spacing to reach for the axes as they are now."""
        if self.spacing_mm is None or min(self.spacing_mm) < 0:
            return NATIVE_MM
        order, _ = axes.plan(upright, self.orientation)
        return tuple(self.spacing_mm[order.index(axis)] for axis in range(3))


@dataclass(frozen=True, slots=True)
class _Shear:
    """How far each slice lies beside the one before, and the box that covers all, (rows, columns) in pixels.

    `degrees` is the angle of the slice step to the normal.
    """

    per_slice: NDArray[np.float64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    degrees: float

    @classmethod
    def of(cls, volume: Volume) -> Self:
        """Measure it from the affine."""
        affine = affine_of(volume)
        column, row, normal = _axes(affine)
        step = affine[:3, 2]
        degrees = float(np.degrees(np.arctan2(np.hypot(step @ column, step @ row), abs(step @ normal))))
        spacing = np.linalg.norm(affine[:3, :2], axis=0)
        per_slice = np.array([step @ row / spacing[1], step @ column / spacing[0]])
        last = per_slice * (len(values_of(volume)) - 1)
        lowest = np.floor(np.minimum(last, 0) + EXACT)
        return cls(per_slice, lowest, np.ceil(np.maximum(last, 0) - EXACT), degrees)

    def upright(self, volume: Volume) -> tuple[NDArray[np.float64], list[int]]:
        """Return affine and size (columns, rows, slices) of the grid that covers the sheared box."""
        affine = affine_of(volume).copy()
        _, _, normal = _axes(affine)
        affine[:3, 3] += self.lowest[1] * affine[:3, 0] + self.lowest[0] * affine[:3, 1]
        affine[:3, 2] = (affine[:3, 2] @ normal) * normal
        slices, rows, columns = values_of(volume).shape
        grown = (self.highest - self.lowest).astype(int)
        return affine, [columns + int(grown[1]), rows + int(grown[0]), slices]

    def offset(self, place: float) -> NDArray[np.float64]:
        """Return where the plane at `place`, in slices, begins in the upright grid: (row, column), pixels."""
        return np.asarray(self.per_slice * place - self.lowest)


def _axes(
    affine: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    column = affine[:3, 0] / np.linalg.norm(affine[:3, 0])
    row = affine[:3, 1] / np.linalg.norm(affine[:3, 1])
    normal = np.cross(column, row)
    return column, row, normal / np.linalg.norm(normal)


def _resampled(volume: Volume, grid: Grid, shear: _Shear) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return values and padding on the grid: weighted means; what is measured less than half is padding."""
    given = values_of(volume)
    shape = [int(n) for n in grid.size[::-1]]
    values, padding = np.full(shape, volume.background, given.dtype), np.ones(shape, np.bool_)
    places = grid.coordinates(2)
    across = _weights(places, len(given), grid.factors[2])
    for index, place in enumerate(places):
        row, column = shear.offset(place)
        rows = _weights(grid.coordinates(1) - row, given.shape[1], grid.factors[1])
        columns = _weights(grid.coordinates(0) - column, given.shape[2], grid.factors[0])
        plane, measured = _between_slices(volume, across, index)
        total = separable.in_plane(plane, rows, columns)
        covered = _covered(rows, columns) * across.weights[index].sum()
        if measured is not None:
            covered = separable.in_plane(measured, rows, columns)
        inside = covered >= HALF
        mixed = total[inside] / covered[inside]
        values[index][inside] = np.rint(mixed) if values.dtype.kind in "iu" else mixed
        padding[index] = ~inside
    return values, padding


def _covered(rows: AxisWeights, columns: AxisWeights) -> NDArray[np.float32]:
    """Return how much of each pixel a plane covers where all of it was measured."""
    covered: NDArray[np.float32] = np.outer(rows.weights.sum(axis=1), columns.weights.sum(axis=1))
    return covered


def _weights(coordinates: NDArray[np.float64], size: int, factor: float) -> AxisWeights:
    whole = np.rint(coordinates)
    coordinates = np.where(np.abs(coordinates - whole) < EXACT, whole, coordinates)
    if len(coordinates) == size and np.array_equal(coordinates, np.arange(size)):
        return separable.identity(size)
    return separable.linear(coordinates, size, variance=antialias_variance(float(factor)), beyond=0.0)


def _between_slices(
    volume: Volume, across: AxisWeights, index: int
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return the weighted sum of slices, and of what was measured in them: None where everything was."""
    given, hidden = values_of(volume), volume.padding
    plane = np.zeros(given.shape[1:], np.float32)
    measured = None if hidden is None else np.zeros(given.shape[1:], np.float32)
    for source, weight in zip(across.indices[index], across.weights[index], strict=True):
        if not weight:
            continue
        part = weight * given[source].astype(np.float32)
        if hidden is not None and measured is not None:
            part[hidden[source]] = 0
            measured += weight * ~hidden[source]
        plane += part
    return plane, measured


def _interpolated(made: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """Say which voxels the node had made before: whole slices, whatever their size."""
    is_made = np.asarray(made.any(axis=(1, 2)), np.bool_)
    nearest = separable.nearest(grid.coordinates(2), len(made)).indices[:, 0]
    shape = [int(n) for n in grid.size[::-1]]
    return np.broadcast_to(is_made[nearest][:, None, None], shape).copy()


def _record(
    volume: Volume, upright: NDArray[np.float64], grid: Grid, degrees: float
) -> tuple[list[AppliedStep], list[Finding]]:
    facts = {"degrees": round(degrees, 4), "shape": [int(n) for n in grid.size]}
    message = f"gantry tilt of {degrees:.2f} degrees was corrected onto an upright grid"
    tilt = Finding("NRM-TLT-001", Severity.WARN, message, Scope.VOLUME, volume.name, facts)
    corrected = AppliedStep("correct_tilt", facts)
    if np.all(grid.factors == 1):
        return [corrected], [tilt]
    resampled, told = grids.record(volume, upright, grid, "linear")
    return [corrected, resampled], [tilt, *told]


def correct_tilt(volume: Volume) -> Volume:
    """Correct the tilt, and keep the spacing: the step as a plug-in names it."""
    return CorrectTilt()(volume)
