"""Weights that resample one axis, and their application to a volume, one output slice at a time.

The plain library resampler would need the whole volume in float32 several times over; this
holds the input, the output and one slice. The library is the oracle of its tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPLINE_POLE = float(np.sqrt(3.0) - 2.0)  # of the cubic B-spline prefilter; Unser 1999, table I
POLE_REACH = 20  # samples; SPLINE_POLE**20 < 4e-12
NEGLIGIBLE = 1e-7  # weights below change no int16 value
COARSE_KERNEL = 64  # samples of the smallest transform that holds a Gaussian


@dataclass(frozen=True, slots=True)
class AxisWeights:
    """For each output index the input indices and their weights, both (outputs, taps)."""

    indices: NDArray[np.intp]
    weights: NDArray[np.float32]
    is_identity: bool = False


def identity(size: int) -> AxisWeights:
    """Weights that copy an axis."""
    return AxisWeights(np.arange(size)[:, None], np.ones((size, 1), np.float32), is_identity=True)


def nearest(coordinates: NDArray[np.float64], size: int) -> AxisWeights:
    """Take the nearest input; `coordinates` are input indices, one for each output."""
    indices = np.clip(np.floor(coordinates + 0.5).astype(np.intp), 0, size - 1)[:, None]
    return AxisWeights(indices, np.ones(indices.shape, np.float32))


def linear(
    coordinates: NDArray[np.float64], size: int, *, variance: float = 0.0, beyond: float = 1.0
) -> AxisWeights:
    """Interpolate linearly after a Gaussian of `variance` (input pixels squared).

    Beyond the edges their values repeat, weighted by `beyond`: with 0 the weights of an output sum up
    to how much of it the input covers.
    """
    low = np.floor(coordinates).astype(np.intp)
    share = coordinates - low
    offsets, weights = _smoothed(np.stack([1 - share, share], axis=1), 0, gaussian(variance))
    wanted = low[:, None] + offsets
    indices = np.clip(wanted, 0, size - 1)
    weights[wanted != indices] *= np.float32(beyond)
    return AxisWeights(indices, weights)


def cubic_spline(coordinates: NDArray[np.float64], size: int, *, variance: float = 0.0) -> AxisWeights:
    """The same with a cubic B-spline, for values made by `spline_coefficients`; edges mirror."""
    low = np.floor(coordinates).astype(np.intp)
    t = coordinates - low
    base = (
        np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6
    )
    offsets, weights = _smoothed(base, -1, gaussian(variance))
    period = max(2 * (size - 1), 1)
    indices = (low[:, None] + offsets) % period
    return AxisWeights(np.where(indices >= size, period - indices, indices), weights)


@lru_cache(maxsize=32)
def gaussian(variance: float) -> NDArray[np.float64]:
    """Return the discrete Gaussian whose second moment is `variance`, cut where it is negligible.

    Its Fourier transform is exp(variance (cos w - 1)); a sampled exponential would be too
    narrow for small variances. Source: Lindeberg 1990, IEEE PAMI 12(3) 234-254.
    """
    size = COARSE_KERNEL
    while size < 16 * np.sqrt(variance):
        size *= 2
    half = np.fft.irfft(np.exp(variance * (np.cos(2 * np.pi * np.arange(size // 2 + 1) / size) - 1)), size)
    reach = int(np.flatnonzero(half[: size // 2] > NEGLIGIBLE)[-1])
    kernel = np.concatenate([half[reach:0:-1], half[: reach + 1]])
    return np.asarray(kernel / kernel.sum(), np.float64)


def _smoothed(
    base: NDArray[np.float64], first: int, kernel: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Convolve weights (outputs, taps from offset `first`) with a kernel; return their offsets and them."""
    reach = len(kernel) // 2
    taps = base.shape[1]
    weights = np.zeros((len(base), taps + 2 * reach))
    for shift, weight in enumerate(kernel):
        weights[:, shift : shift + taps] += weight * base
    return np.arange(first - reach, first + taps + reach), weights.astype(np.float32)


def spline_coefficients(values: NDArray[np.float32], axes: Sequence[int]) -> NDArray[np.float32]:
    """Turn values into cubic B-spline coefficients along `axes`, in place."""
    for axis in axes:
        lines = np.moveaxis(values, axis, 0)
        if len(lines) > 1:
            _prefilter(lines)
    return values


def _prefilter(lines: NDArray[np.float32]) -> None:
    """Filter along the first axis forward and back, with mirrored edges (Unser 1999, box 2)."""
    pole, count = np.float32(SPLINE_POLE), len(lines)
    reach = min(count, POLE_REACH)
    start = np.tensordot((SPLINE_POLE ** np.arange(reach)).astype(np.float32), lines[:reach], axes=1)
    lines *= np.float32(6)
    lines[0] = np.float32(6) * start
    for index in range(1, count):
        lines[index] += pole * lines[index - 1]
    lines[-1] = pole / (pole * pole - 1) * (lines[-1] + pole * lines[-2])
    for index in range(count - 2, -1, -1):
        lines[index] = pole * (lines[index + 1] - lines[index])


def resampled_slice(
    values: NDArray[Any], axes: tuple[AxisWeights, AxisWeights, AxisWeights], index: int
) -> NDArray[np.float32]:
    """Return output slice `index` of values (slices, rows, columns), resampled by weights per axis."""
    across, rows, columns = axes
    plane = np.zeros(values.shape[1:], np.float32)
    for source, weight in zip(across.indices[index], across.weights[index], strict=True):
        if weight:
            plane += weight * values[source].astype(np.float32, copy=False)
    return in_plane(plane, rows, columns)


def in_plane(plane: NDArray[np.float32], rows: AxisWeights, columns: AxisWeights) -> NDArray[np.float32]:
    """Return a plane (rows, columns), resampled by weights per axis."""
    if not rows.is_identity:
        plane = _along_first(plane, rows)
    return plane if columns.is_identity else _along_first(np.ascontiguousarray(plane.T), columns).T


def _along_first(plane: NDArray[np.float32], axis: AxisWeights) -> NDArray[np.float32]:
    result = np.zeros((len(axis.indices), plane.shape[1]), np.float32)
    for tap in range(axis.indices.shape[1]):
        result += axis.weights[:, tap, None] * plane[axis.indices[:, tap]]
    return result
