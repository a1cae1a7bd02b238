"""Where the slices of a volume lie, measured from orientation and position of every frame.

Never from SpacingBetweenSlices, SliceThickness, SliceLocation or InstanceNumber: those are
typed in, rounded, or mean something else. Source: PS3.3 C.7.6.2 (Image Plane module).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handlers import attributes
from handlers.errors import MalformedAttributeError, VolumeError
from handlers.model import Frame, Geometry
from handlers.tables import table

LIMITS = table("geometry")["slices"]
DUPLICATE_MM: float = LIMITS["same_position_mm"]
UNIFORM_RELATIVE: float = LIMITS["uniform_relative"]
UNIFORM_MM: float = LIMITS["uniform_mm"]
FITTED_RELATIVE: float = LIMITS["fitted_relative"]
HOLE_TOLERANCE: float = LIMITS["hole_relative"]
HOLE_TOLERANCE_LIMIT: float = LIMITS["hole_limit"]
TILT_DEG: float = table("geometry")["tilt"]["correct_deg"]
LENGTH_LIMIT_MM = 1e6  # a kilometre; what lies beyond is no position in a patient
PARALLEL = 0.1  # length of row x column cosine, 1 when they are perpendicular; below, they span no plane
LETTERS = ("RL", "AP", "IS")  # towards minus and towards plus, of the LPS axes

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Planes:
    """What is read of n frames: rows and columns are cosines (n, 3), positions (n, 3) in mm, LPS.

    `spacings` is PixelSpacing (n, 2): mm between rows, mm between columns.
    """

    rows: Array
    columns: Array
    positions: Array
    spacings: Array


@dataclass(frozen=True, slots=True)
class _Stack:
    """The slices along the normal: gaps between frames, nominal gap, slices missing, evenness; mm."""

    gaps: Array
    nominal: float
    missing: tuple[tuple[int, int], ...]
    is_uniform: bool


def measure(frames: Sequence[Frame]) -> tuple[tuple[Frame, ...], Geometry]:
    """Sort frames along the normal of their planes and measure the stack.

    The normal is row cosine x column cosine, so that slice order depends on geometry alone. The
    nominal gap is the (lower) median; when the gaps are even, or are multiples of it because
    slices are missing, it is fitted over the whole length.

    Returns:
        The frames by ascending position along the normal, and the geometry that fits this order.

    Raises:
        VolumeError: a frame has no usable ImageOrientationPatient, ImagePositionPatient or
            PixelSpacing (GEO-001), or a PixelSpacing that is not positive (GEO-014).

    Source: PS3.3 C.7.6.2.1.1 (orientation and position), 10.7.1.3 (PixelSpacing: row spacing first).
    """
    planes = _planes(frames)
    row, column, normal = _axes(planes)
    along = planes.positions @ normal
    order = sorted(
        range(len(frames)),
        key=lambda i: (along[i], frames[i].identity),
    )
    positions, along = planes.positions[order], along[order]
    stack = _stack(along)
    step, source = _step(positions, normal, stack, frames[order[0]])
    row_mm, column_mm = planes.spacings[order[0]]
    spacing = float(step @ normal)
    geometry = Geometry(
        origin=_triple(positions[0]),
        row_cosine=_triple(row),
        column_cosine=_triple(column),
        normal=_triple(normal),
        slice_step=_triple(step),
        spacing_mm=(float(column_mm), float(row_mm), spacing),
        gaps_mm=tuple(float(gap) for gap in stack.gaps),
        shear_deg=_angle_deg(step, normal),
        residual_mm=_residual_mm(positions, along, step / spacing),
        orthonormality_error=_orthonormality_error(planes),
        orientation_spread_deg=_spread_deg(planes, row, column),
        missing=stack.missing,
        duplicates=_duplicates(stack.gaps),
        is_uniform=stack.is_uniform,
        orientation=_codes(np.stack([row, column, normal], axis=1)),
        slice_spacing_source=source,
    )
    return tuple(frames[i] for i in order), geometry


def axis_codes(affine_lps: Array) -> str:
    """Return the patient directions in which column, row and slice index increase, e.g. "LPS".

    The three axes get three different letters pairs: the assignment with the largest sum of
    cosines. A third axis of length zero (one slice) counts as the cross product of the others.
    """
    directions = np.array(affine_lps, dtype=np.float64)[:3, :3]
    if not np.linalg.norm(directions[:, 2]) > 0:
        directions[:, 2] = np.cross(directions[:, 0], directions[:, 1])
    lengths = np.linalg.norm(directions, axis=0)
    return _codes(directions / np.where(lengths > 0, lengths, 1.0))


def orientation_and_position(frame: Frame) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return the six cosines and the position (LPS mm) of a frame; None where either is unusable."""
    try:
        orientation = attributes.numbers(frame, "ImageOrientationPatient") or ()
        position = attributes.numbers(frame, "ImagePositionPatient") or ()
    except MalformedAttributeError:
        return None
    if (
        len(orientation) != 6
        or len(position) != 3
        or max(map(abs, (*orientation, *position))) > LENGTH_LIMIT_MM
    ):
        return None
    (a, b, c), (d, e, f) = orientation[:3], orientation[3:]
    is_plane = math.hypot(b * f - c * e, c * d - a * f, a * e - b * d) > PARALLEL
    return (orientation, position) if is_plane else None


def pixel_spacing(frame: Frame) -> tuple[float, float] | None:
    """Return PixelSpacing: mm between rows, mm between columns; None where it is absent or malformed."""
    try:
        values = attributes.numbers(frame, "PixelSpacing") or ()
    except MalformedAttributeError:
        return None
    return (values[0], values[1]) if len(values) == 2 else None


def _planes(frames: Sequence[Frame]) -> _Planes:
    if not frames:
        raise VolumeError("a volume without frames has no geometry", code="GEO-001")
    read = [orientation_and_position(frame) for frame in frames]
    spacings = [pixel_spacing(frame) for frame in frames]
    lacking = sum(a is None or b is None for a, b in zip(read, spacings, strict=True))
    if lacking:
        keywords = "ImageOrientationPatient, ImagePositionPatient or PixelSpacing"
        raise VolumeError(f"{lacking} of {len(frames)} frames have no usable {keywords}", code="GEO-001")
    known = [each for each in read if each is not None]
    pairs = np.array(spacings, dtype=np.float64)
    if not (pairs > 0).all() or pairs.max() > LENGTH_LIMIT_MM:
        smallest, largest = pairs.min(), pairs.max()
        raise VolumeError(f"PixelSpacing has values of {smallest:g} to {largest:g} mm", code="GEO-014")
    orientations = np.array([orientation for orientation, _ in known])
    positions = np.array([position for _, position in known])
    return _Planes(orientations[:, :3], orientations[:, 3:], positions, pairs)


def _axes(planes: _Planes) -> tuple[Array, Array, Array]:
    """Return the mean axes of all frames, made orthonormal: row, column, normal."""
    row = _unit(planes.rows.mean(axis=0))
    column = planes.columns.mean(axis=0)
    column = _unit(column - (column @ row) * row)
    return row, column, np.cross(row, column)


def _unit(vector: Array) -> Array:
    length = np.linalg.norm(vector)
    if not length > 1e-6:  # opposite orientations cancel out
        raise VolumeError("the orientations of the frames have no common direction", code="GEO-001")
    return vector / length


def _stack(along: Array) -> _Stack:
    gaps = np.diff(along)
    apart = np.flatnonzero(gaps >= DUPLICATE_MM)
    if not len(apart):
        return _Stack(gaps, 0.0, (), is_uniform=True)
    distances = gaps[apart]
    nominal = float(np.sort(distances)[(len(distances) - 1) // 2])
    counts = np.maximum(np.rint(distances / nominal), 1)
    tolerated = np.minimum(HOLE_TOLERANCE * counts, HOLE_TOLERANCE_LIMIT) * nominal
    if np.all(np.abs(distances - counts * nominal) <= tolerated):
        nominal = float((along[-1] - along[0]) / counts.sum())
        missing = tuple((int(i), int(k) - 1) for i, k in zip(apart, counts, strict=True) if k > 1)
    else:
        missing = ()
    tolerance = max(UNIFORM_RELATIVE * nominal, UNIFORM_MM)
    is_uniform = bool(np.all(np.abs(distances - nominal) <= tolerance))
    return _Stack(gaps, nominal, missing, is_uniform)


def _step(positions: Array, normal: Array, stack: _Stack, frame: Frame) -> tuple[Array, str]:
    """Return the vector from slice to slice, and where its length comes from."""
    if stack.nominal > 0:
        whole = positions[-1] - positions[0]
        return whole * (stack.nominal / (whole @ normal)), "positions"
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        try:
            length = attributes.number(frame, keyword) or 0.0
        except MalformedAttributeError:
            continue
        if 0 < length < LENGTH_LIMIT_MM:
            return normal * length, keyword
    return normal, "unknown"


def _residual_mm(positions: Array, along: Array, direction: Array) -> float:
    """Return the largest distance of a position from the line through the first and the last one."""
    on_line = positions[0] + np.outer(along - along[0], direction)
    return float(np.linalg.norm(positions - on_line, axis=1).max())


def _orthonormality_error(planes: _Planes) -> float:
    lengths = np.linalg.norm([planes.rows, planes.columns], axis=2)
    across = np.abs(np.sum(planes.rows * planes.columns, axis=1))
    return float(max(np.abs(lengths - 1).max(), across.max()))


def _spread_deg(planes: _Planes, row: Array, column: Array) -> float:
    """Return the largest angle between an axis of a frame and the same axis of the volume."""
    angles = [
        _angle_deg(vector, mean)
        for vectors, mean in ((planes.rows, row), (planes.columns, column))
        for vector in np.unique(vectors, axis=0)
    ]
    return max(angles)


def _angle_deg(first: Array, second: Array) -> float:
    """Return the angle between two vectors, accurate also when it is tiny."""
    return math.degrees(math.atan2(float(np.linalg.norm(np.cross(first, second))), float(first @ second)))


def _duplicates(gaps: Array) -> tuple[tuple[int, int], ...]:
    """Return pairs of indices at one position: each with the one before it, and with the first there."""
    pairs = []
    first = 0
    for index, gap in enumerate(gaps, 1):
        if gap >= DUPLICATE_MM:
            first = index
        else:
            pairs.extend(sorted({(first, index), (index - 1, index)}))
    return tuple(pairs)


def _codes(directions: Array) -> str:
    """Return the letters for three unit vectors, the columns of `directions`."""
    best = max(
        itertools.permutations(range(3)), key=lambda axes: sum(abs(directions[axes[k], k]) for k in range(3))
    )
    return "".join(LETTERS[axis][int(directions[axis, k] >= 0)] for k, axis in enumerate(best))


def _triple(vector: Array) -> tuple[float, float, float]:
    return (float(vector[0]), float(vector[1]), float(vector[2]))
