"""A volume on a grid of the wanted spacing: centre kept, antialiased, padding never mixed into tissue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.errors import VolumeError
from handlers.model import AppliedStep, Finding, Scope, Severity, Volume
from handlers.normalization import separable
from handlers.normalization.decoded import affine_of, values_of
from handlers.normalization.inpainting import without_padding
from handlers.normalization.memory import check_result
from handlers.normalization.separable import AxisWeights
from handlers.tables import table

LIMITS = table("geometry")["resampling"]
SAME: float = LIMITS["same_relative"]
ROUNDING = 1e-3  # voxels; a grid that ends this near the next voxel does not get one more
MAX_UPSAMPLING: float = LIMITS["max_upsampling"]
INTERPOLATORS = ("linear", "bspline", "nearest")
FWHM_PER_SIGMA = float(2 * np.sqrt(2 * np.log(2)))


@dataclass(frozen=True, slots=True)
class _Grid:
    """An output grid: per axis (column, row, slice) its size, its step and its start in input indices."""

    size: NDArray[np.intp]
    factors: NDArray[np.float64]
    starts: NDArray[np.float64]

    def coordinates(self, axis: int) -> NDArray[np.float64]:
        """Input indices of the output voxels along one axis."""
        return np.asarray(self.starts[axis] + self.factors[axis] * np.arange(self.size[axis]), np.float64)


@dataclass(frozen=True, slots=True)
class Resample:
    """Resample to `spacing_mm` (column, row, slice); None keeps the spacing, 0 that of one axis.

    Where an axis gets coarser by k, a Gaussian of variance (k^2 - 1) / (8 ln 2) input
    pixels squared goes before, so that noise does not alias. "bspline" is clamped to the
    range of the input, since it overshoots at edges. int16 stays int16, rounded.

    Source: Cardoso et al. 2015 (MICCAI, LNCS 9351) for the Gaussian.
    """

    spacing_mm: tuple[float, float, float] | None = None
    interpolator: str = "linear"

    def __call__(self, volume: Volume) -> Volume:
        """Return the resampled volume with NRM-RES-001, and NRM-RES-002 where it was upsampled a lot.

        Raises:
            VolumeError: the interpolator or spacing is not usable, or the result too large (NRM-RES-003).
        """
        if volume.values is None or volume.affine is None or self.spacing_mm is None:
            return volume
        if self.interpolator not in INTERPOLATORS or min(self.spacing_mm) < 0:
            wanted = f"{self.interpolator!r} to {self.spacing_mm} mm"
            raise VolumeError(
                f"cannot resample by {wanted}; use one of {INTERPOLATORS} and positive spacings"
            )
        grid = _grid(volume, self.spacing_mm)
        if np.all(grid.factors == 1):
            return volume
        check_result([int(n) for n in grid.size[::-1]], name=f"volume {volume.name} at {self.spacing_mm} mm")
        around = [separable.nearest(grid.coordinates(axis), n).indices[:, 0] for axis, n in _sizes(volume)]
        padding = None if volume.padding is None else volume.padding[np.ix_(*around[::-1])]
        values = self._values(volume, grid)
        if padding is not None:
            values[padding] = volume.background
        affine = volume.affine.copy()
        affine[:3, 3] += volume.affine[:3, :3] @ grid.starts
        affine[:3, :3] *= grid.factors
        factors = (float(factor) for factor in grid.factors)
        column, row, between = (
            None if old is None else old * factor
            for old, factor in zip(volume.spacing_mm, factors, strict=True)
        )
        step, findings = self._record(volume, grid)
        return replace(
            volume,
            values=values,
            padding=padding,
            interpolated=None if volume.interpolated is None else volume.interpolated[np.ix_(*around[::-1])],
            affine=affine,
            spacing_mm=(column, row, between),
            steps=(*volume.steps, step),
            findings=(*volume.findings, *findings),
        )

    def _values(self, volume: Volume, grid: _Grid) -> NDArray[Any]:
        """Compute the output slice by slice, in float32; whole numbers are rounded at the end."""
        limits = None
        if self.interpolator == "nearest":
            source = values_of(volume)
        elif self.interpolator == "linear":
            source = without_padding(volume)
        else:
            source = without_padding(volume, dtype=np.float32)
            limits = source.min(), source.max()
            changed = [2 - axis for axis in range(3) if grid.factors[axis] != 1]
            separable.spline_coefficients(source, changed)
        across, rows, columns = (self._weights(grid, axis, n) for axis, n in reversed(_sizes(volume)))
        dtype = values_of(volume).dtype
        is_whole = dtype.kind in "iu"
        values = np.empty([int(n) for n in grid.size[::-1]], dtype if is_whole else np.float32)
        for index in range(len(values)):
            plane = separable.resampled_slice(source, (across, rows, columns), index)
            plane = plane if limits is None else np.clip(plane, *limits)
            values[index] = np.rint(plane) if is_whole else plane
        return values

    def _weights(self, grid: _Grid, axis: int, size: int) -> AxisWeights:
        factor = float(grid.factors[axis])
        if factor == 1:
            return separable.identity(size)
        if self.interpolator == "nearest":
            return separable.nearest(grid.coordinates(axis), size)
        make = separable.cubic_spline if self.interpolator == "bspline" else separable.linear
        return make(grid.coordinates(axis), size, variance=antialias_variance(factor))

    def _record(self, volume: Volume, grid: _Grid) -> tuple[AppliedStep, list[Finding]]:
        before = [float(value) for value in np.linalg.norm(affine_of(volume)[:3, :3], axis=0)]
        after = [round(value * float(factor), 6) for value, factor in zip(before, grid.factors, strict=True)]
        facts: dict[str, Any] = {
            "spacing_before_mm": [round(value, 6) for value in before],
            "spacing_mm": after,
            "shape": [int(n) for n in grid.size],
            "interpolator": self.interpolator,
            "antialias_variance_px2": [round(antialias_variance(float(f)), 6) for f in grid.factors],
            "default_value": volume.background,
        }
        text = f"resampled to {' x '.join(f'{value:.4g}' for value in after)} mm ({self.interpolator})"
        found = [("NRM-RES-001", Severity.INFO, text)]
        finest = 1 / float(grid.factors.min())
        if finest > MAX_UPSAMPLING:
            text = f"one axis was refined {finest:.1f} times; its detail is interpolated"
            found.append(("NRM-RES-002", Severity.WARN, text))
        findings = [
            Finding(code, level, text, Scope.VOLUME, volume.name, facts) for code, level, text in found
        ]
        return AppliedStep("resample", facts), findings


def antialias_variance(factor: float) -> float:
    """Variance in input pixels squared of the Gaussian before coarsening by `factor`; 0 when refining."""
    return max(factor**2 - 1, 0.0) / FWHM_PER_SIGMA**2


def _sizes(volume: Volume) -> list[tuple[int, int]]:
    return list(enumerate(values_of(volume).shape[::-1]))


def _grid(volume: Volume, spacing_mm: tuple[float, float, float]) -> _Grid:
    """Lay the output grid around the centre of the input; an axis of unknown spacing, or of 0, stays."""
    given = np.linalg.norm(affine_of(volume)[:3, :3], axis=0)
    factors = np.where(np.asarray(spacing_mm) > 0, spacing_mm, given) / given
    is_known = np.array([spacing is not None for spacing in volume.spacing_mm])
    factors = np.where((np.abs(factors - 1) > SAME) & is_known, factors, 1.0)
    before = np.asarray(values_of(volume).shape[::-1])
    size = np.where(factors == 1, before, np.maximum(np.ceil(before / factors - ROUNDING), 1)).astype(np.intp)
    return _Grid(size, factors, ((before - 1) - (size - 1) * factors) / 2)
