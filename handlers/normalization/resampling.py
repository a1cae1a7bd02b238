"""A volume on a grid of the wanted spacing: centre kept, antialiased, padding never mixed into tissue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.errors import VolumeError
from handlers.model import Volume
from handlers.normalization import grids, separable
from handlers.normalization.decoded import values_of
from handlers.normalization.grids import Grid, antialias_variance
from handlers.normalization.inpainting import without_padding
from handlers.normalization.memory import check_result
from handlers.normalization.separable import AxisWeights

INTERPOLATORS = ("linear", "bspline", "nearest")


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
        before = [size for _, size in _sizes(volume)]
        grid = grids.grid(volume.affine, before, self.spacing_mm, volume.spacing_mm)
        if np.all(grid.factors == 1):
            return volume
        check_result([int(n) for n in grid.size[::-1]], name=f"volume {volume.name} at {self.spacing_mm} mm")
        around = [separable.nearest(grid.coordinates(axis), n).indices[:, 0] for axis, n in _sizes(volume)]
        padding = None if volume.padding is None else volume.padding[np.ix_(*around[::-1])]
        values = self._values(volume, grid)
        if padding is not None:
            values[padding] = volume.background
        factors = (float(factor) for factor in grid.factors)
        column, row, between = (
            None if old is None else old * factor
            for old, factor in zip(volume.spacing_mm, factors, strict=True)
        )
        step, findings = grids.record(volume, volume.affine, grid, self.interpolator)
        return replace(
            volume,
            values=values,
            padding=padding,
            interpolated=None if volume.interpolated is None else volume.interpolated[np.ix_(*around[::-1])],
            affine=grid.affine(volume.affine),
            spacing_mm=(column, row, between),
            steps=(*volume.steps, step),
            findings=(*volume.findings, *findings),
        )

    def _values(self, volume: Volume, grid: Grid) -> NDArray[Any]:
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

    def _weights(self, grid: Grid, axis: int, size: int) -> AxisWeights:
        factor = float(grid.factors[axis])
        if factor == 1:
            return separable.identity(size)
        if self.interpolator == "nearest":
            return separable.nearest(grid.coordinates(axis), size)
        make = separable.cubic_spline if self.interpolator == "bspline" else separable.linear
        return make(grid.coordinates(axis), size, variance=antialias_variance(factor))


def _sizes(volume: Volume) -> list[tuple[int, int]]:
    return list(enumerate(values_of(volume).shape[::-1]))
