"""The grid of a wanted spacing, laid around the centre of what there is, and the record of going there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.model import AppliedStep, Finding, Scope, Severity, Volume
from handlers.tables import table

LIMITS = table("geometry")["resampling"]
SAME: float = LIMITS["same_relative"]
MAX_UPSAMPLING: float = LIMITS["max_upsampling"]
ROUNDING = 1e-3  # voxels; a grid that ends this near the next voxel does not get one more
FWHM_PER_SIGMA = float(2 * np.sqrt(2 * np.log(2)))


@dataclass(frozen=True, slots=True)
class Grid:
    """An output grid: per axis (column, row, slice) its size, its step and its start in input indices."""

    size: NDArray[np.intp]
    factors: NDArray[np.float64]
    starts: NDArray[np.float64]

    def coordinates(self, axis: int) -> NDArray[np.float64]:
        """Input indices of the output voxels along one axis."""
        return np.asarray(self.starts[axis] + self.factors[axis] * np.arange(self.size[axis]), np.float64)

    def affine(self, given: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the affine of the grid, 4x4, from that of the input."""
        affine = given.copy()
        affine[:3, 3] += given[:3, :3] @ self.starts
        affine[:3, :3] *= self.factors
        return affine


def grid(
    given: NDArray[np.float64],
    before: Sequence[int],
    wanted_mm: Sequence[float],
    known_mm: Sequence[float | None],
) -> Grid:
    """Lay the output grid around the centre of the input; an axis of unknown spacing, or of 0, stays.

    Args:
        given: the affine of the input, 4x4.
        before: its size (column, row, slice).
        wanted_mm: the spacing to reach, in the same order.
        known_mm: its spacing; None where that is unknown.
    """
    lengths = np.linalg.norm(given[:3, :3], axis=0)
    factors = np.where(np.asarray(wanted_mm) > 0, wanted_mm, lengths) / lengths
    is_known = np.array([spacing is not None for spacing in known_mm])
    factors = np.where((np.abs(factors - 1) > SAME) & is_known, factors, 1.0)
    sizes = np.asarray(before)
    size = np.where(factors == 1, sizes, np.maximum(np.ceil(sizes / factors - ROUNDING), 1)).astype(np.intp)
    return Grid(size, factors, ((sizes - 1) - (size - 1) * factors) / 2)


def antialias_variance(factor: float) -> float:
    """Variance in input pixels squared of the Gaussian before coarsening by `factor`; 0 when refining."""
    return max(factor**2 - 1, 0.0) / FWHM_PER_SIGMA**2


def record(
    volume: Volume, given: NDArray[np.float64], made: Grid, interpolator: str
) -> tuple[AppliedStep, list[Finding]]:
    """Describe a resampling from the affine `given`: NRM-RES-001, and NRM-RES-002 for much refinement."""
    before = [float(value) for value in np.linalg.norm(given[:3, :3], axis=0)]
    after = [round(value * float(factor), 6) for value, factor in zip(before, made.factors, strict=True)]
    facts: dict[str, Any] = {
        "spacing_before_mm": [round(value, 6) for value in before],
        "spacing_mm": after,
        "shape": [int(n) for n in made.size],
        "interpolator": interpolator,
        "antialias_variance_px2": [round(antialias_variance(float(f)), 6) for f in made.factors],
        "default_value": volume.background,
    }
    text = f"resampled to {' x '.join(f'{value:.4g}' for value in after)} mm ({interpolator})"
    found = [("NRM-RES-001", Severity.INFO, text)]
    finest = 1 / float(made.factors.min())
    if finest > MAX_UPSAMPLING:
        text = f"one axis was refined {finest:.1f} times; its detail is interpolated"
        found.append(("NRM-RES-002", Severity.WARN, text))
    findings = [Finding(code, level, text, Scope.VOLUME, volume.name, facts) for code, level, text in found]
    return AppliedStep("resample", facts), findings
