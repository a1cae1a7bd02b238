"""Phantom of known content in patient space, and its encoding into stored pixel bytes.

Everything is a function of its arguments: the same call gives the same bytes anywhere.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AIR, WATER, BONE = 0, 1, 2
HU = (-1000.0, 0.0, 1000.0)  # air, water, bone
MR_SIGNAL = (0.0, 400.0, 1200.0)  # arbitrary units, same three materials
ROOT = uuid.UUID("a9a3b0c6-4a0e-5a39-8f6f-0a3c5a6c0d11")  # namespace of all UIDs built for tests

Vector = tuple[float, float, float]


def uid(*words: object) -> str:
    """Return the UID that belongs to these words (PS3.5 B.2: a UUID under 2.25)."""
    return f"2.25.{uuid.uuid5(ROOT, '/'.join(map(str, words))).int}"


@dataclass(frozen=True)
class Phantom:
    """A water cone around the body axis, in air, with a bone rod; lengths in mm, LPS coordinates.

    The rod stands to the Left and Anterior of the axis and only in the upper (Superior) half, so
    that no flip and no permutation of axes maps the phantom onto itself. The cone narrows
    towards the head, so that no two slices are alike.
    """

    field_mm: float = 32.0
    centre: Vector = (0.0, 0.0, 0.0)

    @property
    def rod_centre(self) -> Vector:
        """A point inside the rod: left, anterior, just above the middle."""
        x, y, z = self.centre
        return (x + 0.15 * self.field_mm, y - 0.1 * self.field_mm, z + 0.05 * self.field_mm)

    @property
    def rod_radius_mm(self) -> float:
        return 0.08 * self.field_mm

    def material(self, points: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return AIR, WATER or BONE for points of shape (..., 3) in LPS mm."""
        x, y, z = np.moveaxis(points - np.asarray(self.centre), -1, 0)
        radius = np.clip(0.38 - 0.1 * z / self.field_mm, 0.2, 0.45) * self.field_mm
        result = np.where(np.hypot(x, y) < radius, WATER, AIR)
        rod_x, rod_y, _ = np.subtract(self.rod_centre, self.centre)
        in_rod = (np.hypot(x - rod_x, y - rod_y) < self.rod_radius_mm) & (z >= 0)
        return np.where(in_rod, BONE, result)


@dataclass(frozen=True)
class Plane:
    """One image plane: position of its first pixel and its axes, LPS mm (as IPP and IOP)."""

    position: Vector
    row_cosine: Vector
    column_cosine: Vector

    def points(self, rows: int, columns: int, spacing: tuple[float, float]) -> NDArray[np.float64]:
        """Return the centres of all pixels, shape (rows, columns, 3); `spacing` = (row, column) mm."""
        i, j = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
        along_row = j[..., None] * spacing[1] * np.asarray(self.row_cosine)
        along_column = i[..., None] * spacing[0] * np.asarray(self.column_cosine)
        points: NDArray[np.float64] = np.asarray(self.position) + along_row + along_column
        return points


AXES: dict[str, NDArray[np.float64]] = {
    # rows of each matrix: row cosine, column cosine, direction in which the slices advance
    "axial": np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], float),
    "sagittal": np.array([[0, 1, 0], [0, 0, -1], [-1, 0, 0]], float),
    "coronal": np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], float),
}


def rotation(seed: int) -> NDArray[np.float64]:
    """Return a random right-handed triple of axes (row, column, normal), uniform over all orientations."""
    matrix, upper = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    matrix = matrix * np.sign(np.diag(upper))
    return matrix if np.linalg.det(matrix) > 0 else -matrix


def planes(
    slices: int,
    *,
    rows: int,
    columns: int,
    spacing: tuple[float, float],
    step_mm: float,
    tilt_deg: float = 0.0,
    orientation: str | NDArray[np.float64] = "axial",
    centre: Vector = (0.0, 0.0, 0.0),
) -> list[Plane]:
    """Return the planes of a stack around `centre`, first to last.

    `step_mm` is the distance from slice to slice along the direction in which they advance (the
    table). With `tilt_deg` the planes lean about their row axis while the table keeps
    its direction: the gap along the normal is step_mm * cos(tilt_deg).
    """
    axes = AXES[orientation] if isinstance(orientation, str) else np.asarray(orientation, float)
    tilt = math.radians(tilt_deg)
    row, advance = axes[0], axes[2]
    column = math.cos(tilt) * axes[1] - math.sin(tilt) * axes[2]
    corner = -row * spacing[1] * (columns - 1) / 2 - column * spacing[0] * (rows - 1) / 2
    result = []
    for index in range(slices):
        position = np.asarray(centre) + corner + advance * step_mm * (index - (slices - 1) / 2)
        result.append(Plane(_vector(position), _vector(row), _vector(column)))
    return result


def _vector(values: NDArray[np.float64]) -> Vector:
    x, y, z = (round(float(value), 9) + 0.0 for value in values)
    return (x, y, z)


@dataclass(frozen=True)
class Layout:
    """How a stored value lies in its word (PS3.5 section 8.1.1); sizes in bits.

    `garbage` fills the bits that do not belong to the value. `sign_extended` False leaves
    the bits above a negative value zero, as some senders do.
    """

    allocated: int = 16
    stored: int = 12
    high: int | None = None
    signed: bool = False
    garbage: bool = False
    sign_extended: bool = True

    @property
    def high_bit(self) -> int:
        return self.stored - 1 if self.high is None else self.high

    def encode(self, values: NDArray[np.int64], *, big_endian: bool = False) -> bytes:
        """Return pixel bytes; values that do not fit into `stored` bits are an error of the test."""
        low = -(1 << (self.stored - 1)) if self.signed else 0
        high = low + (1 << self.stored) - 1
        if values.min() < low or values.max() > high:
            raise ValueError(f"values {values.min()}..{values.max()} do not fit into {self.stored} bits")
        mask = (1 << self.stored) - 1
        shift = self.high_bit + 1 - self.stored
        word_mask = (1 << self.allocated) - 1
        words = (values & mask) << shift
        if self.signed and self.sign_extended:
            words = (values << shift) & word_mask
        if self.garbage:
            noise = np.random.default_rng(7).integers(
                0, word_mask, values.shape, dtype=np.int64, endpoint=True
            )
            words = ((values & mask) << shift) | (noise & ~(mask << shift) & word_mask)
        return words.astype(f"{'>' if big_endian else '<'}u{self.allocated // 8}").tobytes()
