"""Gantry tilt: sheared slices moved within their planes onto a grid that stands upright."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.geometry import TILT_DEG
from handlers.model import AppliedStep, Finding, Scope, Severity, Volume
from handlers.normalization.decoded import values_of
from handlers.normalization.memory import check_result

HALF = np.float32(0.5)  # share of a pixel from which it belongs to the image
EXACT = 1e-6  # pixels; less than the precision of a decimal string position


def correct_tilt(volume: Volume) -> Volume:
    """Resample a sheared stack once to an orthonormal grid that covers the sheared box (NRM-TLT-001).

    The planes already lie at even distances along the normal, so nothing is interpolated
    between slices: each is moved within its own plane by what the slice step has along
    rows and columns. What the grid adds is padding and holds the background.

    Raises:
        VolumeError: the covering grid would be too large (NRM-RES-003).

    Source: PS3.3 C.7.6.2.1.1 for positions; GantryDetectorTilt is not used ("not intended
    for mathematical computations", PS3.3 C.8.2.1).
    """
    if volume.values is None or volume.geometry is None or volume.affine is None or len(volume.values) < 2:
        return volume
    column, row, normal = _axes(volume.affine)
    step = volume.affine[:3, 2]
    degrees = float(np.degrees(np.arctan2(np.hypot(step @ column, step @ row), abs(step @ normal))))
    if degrees <= TILT_DEG:
        return volume
    spacing = np.linalg.norm(volume.affine[:3, :2], axis=0)
    index = np.arange(len(volume.values))
    moves = np.stack([index * (step @ row) / spacing[1], index * (step @ column) / spacing[0]], axis=1)
    lowest, highest = np.floor(moves.min(axis=0) + EXACT), np.ceil(moves.max(axis=0) - EXACT)
    shape = (len(index), *(np.asarray(volume.values.shape[1:]) + (highest - lowest).astype(int)))
    check_result(shape, name=f"the upright grid of volume {volume.name}")
    values, padding = _moved(volume, moves - lowest, shape)
    affine = volume.affine.copy()
    affine[:3, 3] += lowest[1] * affine[:3, 0] + lowest[0] * affine[:3, 1]
    affine[:3, 2] = (step @ normal) * normal
    return _corrected(volume, values=values, padding=padding, affine=affine, degrees=degrees)


def _axes(
    affine: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    column = affine[:3, 0] / np.linalg.norm(affine[:3, 0])
    row = affine[:3, 1] / np.linalg.norm(affine[:3, 1])
    normal = np.cross(column, row)
    return column, row, normal / np.linalg.norm(normal)


def _moved(
    volume: Volume, moves: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Place every slice at its (rows, columns) offset in pixels, linearly between pixels."""
    given = values_of(volume)
    values = np.full(shape, volume.background, given.dtype)
    padding = np.ones(shape, np.bool_)
    for index, offset in enumerate(moves):
        plane = given[index].astype(np.float32)
        weight = np.ones(plane.shape, np.float32)
        if volume.padding is not None:
            weight[volume.padding[index]] = 0
        whole = np.floor(offset + EXACT).astype(int)
        moved, covered = plane * weight, weight
        for axis, share in enumerate(offset - whole):
            moved, covered = _shifted(moved, share, axis), _shifted(covered, share, axis)
        _place(moved, covered, values[index][whole[0] :, whole[1] :], padding[index][whole[0] :, whole[1] :])
    return values, padding


def _place(
    moved: NDArray[np.float32],
    covered: NDArray[np.float32],
    values: NDArray[Any],
    padding: NDArray[np.bool_],
) -> None:
    """Write the weighted mean of what covers each pixel; one that is covered less than half stays padding."""
    rows, columns = (min(a, b) for a, b in zip(moved.shape, values.shape, strict=True))
    moved, covered = moved[:rows, :columns], covered[:rows, :columns]
    inside = covered >= HALF
    mixed = moved[inside] / covered[inside]
    values[:rows, :columns][inside] = np.rint(mixed) if values.dtype.kind in "iu" else mixed
    padding[:rows, :columns] = ~inside


def _shifted(plane: NDArray[np.float32], share: float, axis: int) -> NDArray[np.float32]:
    """Shift a plane by a part of a pixel towards higher indices; it grows by one pixel along the axis."""
    if abs(share) < EXACT:
        return plane
    grown = np.zeros([length + (i == axis) for i, length in enumerate(plane.shape)], np.float32)
    first = tuple(slice(0, -1) if i == axis else slice(None) for i in range(2))
    second = tuple(slice(1, None) if i == axis else slice(None) for i in range(2))
    grown[first] += np.float32(1 - share) * plane
    grown[second] += np.float32(share) * plane
    return grown


def _corrected(
    volume: Volume,
    *,
    values: NDArray[Any],
    padding: NDArray[np.bool_],
    affine: NDArray[np.float64],
    degrees: float,
) -> Volume:
    interpolated = volume.interpolated
    if interpolated is not None:  # whole slices, whatever their size
        is_made = np.asarray(interpolated.any(axis=(1, 2)), np.bool_)
        interpolated = np.broadcast_to(is_made[:, None, None], values.shape).copy()
    facts = {"degrees": round(degrees, 4), "shape": [*values.shape[::-1]]}
    message = f"gantry tilt of {degrees:.2f} degrees was corrected by moving each slice within its plane"
    return replace(
        volume,
        values=values,
        padding=padding,
        interpolated=interpolated,
        affine=affine,
        spacing_mm=(volume.spacing_mm[0], volume.spacing_mm[1], float(np.linalg.norm(affine[:3, 2]))),
        steps=(*volume.steps, AppliedStep("correct_tilt", facts)),
        findings=(
            *volume.findings,
            Finding("NRM-TLT-001", Severity.WARN, message, Scope.VOLUME, volume.name, facts),
        ),
    )
