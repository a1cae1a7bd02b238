"""How fine the noise of a CT is: its correlation length, measured in even soft tissue.

A sharp kernel passes high frequencies, so that neighbouring pixels hardly share their noise; a
smooth one spreads it over several pixels. The length does not depend on the size of a pixel.
Where the image has not enough even tissue, nothing is said. Source: Solomon 2012 (OSTI 22099033)
compares kernels by noise texture; the numbers here are in `conf/kernels.toml`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.model import Volume
from handlers.tables import table

TILE = 12  # pixels along an edge: some 8 mm, small enough to lie inside an organ
SLICES = 24  # looked at, spread over the volume
FEWEST_TILES = 30
QUIETEST = 0.25  # share of the tiles that show noise alone; what is louder holds edges or vessels
LOUDER = 1.3  # times the noise of those, at most
LARGEST = 0.999  # correlation of neighbours

Tiles = NDArray[np.float64]  # shape (tiles, TILE, TILE)


@dataclass(frozen=True, slots=True)
class Texture:
    """Correlation length (mm), standard deviation (HU), and how much tissue was measured (cm3)."""

    length_mm: float
    noise_hu: float
    volume_cm3: float


def noise_texture(volume: Volume) -> Texture | None:
    """Measure the noise of a volume in HU, or return None where there is not enough even soft tissue.

    The length L is that of a Gaussian: noise that was smoothed with a Gaussian of standard
    deviation L is correlated by exp(-d^2 / 4 L^2) over a distance d. One beyond 1.5 pixels comes out
    too short, by up to a fifth, because the tiles are small.
    """
    limits = table("kernels")["texture"]
    if volume.values is None or volume.geometry is None:
        return None
    residuals = _even_tiles(volume, *limits["tissue_hu"])
    column_mm, row_mm, slice_mm = volume.geometry.spacing_mm
    measured_cm3 = len(residuals) * TILE * TILE * column_mm * row_mm * abs(slice_mm) / 1000
    if len(residuals) < FEWEST_TILES or measured_cm3 <= limits["min_volume_cm3"]:
        return None
    along = _correlation(residuals)
    across = _correlation(residuals.swapaxes(1, 2))
    noise_hu = math.sqrt((along.power + across.power) / 2)
    if noise_hu < limits["min_noise_hu"]:  # rounding to whole HU looks like white noise
        return None
    lengths = [_length_mm(along.neighbour, column_mm), _length_mm(across.neighbour, row_mm)]
    return Texture(sum(lengths) / 2, noise_hu, measured_cm3)


@dataclass(frozen=True, slots=True)
class _Correlation:
    """Of noise along one axis: the correlation of neighbours, and the variance (HU squared)."""

    neighbour: float
    power: float


def _correlation(residuals: Tiles) -> _Correlation:
    """Measure along the last axis, from differences alone: a mean taken out of small tiles would shorten it.

    With r between neighbours and r^4 at twice the distance, as a Gaussian has it, the mean
    squares of the differences are as 1 to 1 + r + r^2 + r^3.
    """
    near = float(np.mean((residuals[..., 1:] - residuals[..., :-1]) ** 2))
    far = float(np.mean((residuals[..., 2:] - residuals[..., :-2]) ** 2))
    if near <= 0:
        return _Correlation(0.0, 0.0)
    low, high = 0.0, LARGEST
    for _ in range(40):  # halved so often, nothing is left of the interval
        r = (low + high) / 2
        low, high = (r, high) if 1 + r + r**2 + r**3 < far / near else (low, r)
    return _Correlation(low, near / (2 * (1 - low)))


def _length_mm(correlation: float, distance_mm: float) -> float:
    return distance_mm / (2 * math.sqrt(-math.log(max(correlation, 1e-12))))


def _even_tiles(volume: Volume, low_hu: float, high_hu: float) -> Tiles:
    """Return tiles of soft tissue without their mean and slope, shape (tiles, TILE, TILE); the quietest."""
    assert volume.values is not None  # noqa: S101 - for the type checker
    found = []
    for index in np.unique(np.linspace(0, len(volume.values) - 1, SLICES).astype(int)):
        tiles = _tiles(volume.values[index].astype(np.float64))
        is_tissue = (tiles.mean(axis=(1, 2)) > low_hu) & (tiles.mean(axis=(1, 2)) < high_hu)
        if volume.padding is not None:
            is_tissue &= ~_tiles(volume.padding[index]).any(axis=(1, 2))
        found.append(_detrended(tiles[is_tissue]))
    residuals = np.concatenate(found) if found else np.empty((0, TILE, TILE))
    noise = residuals.std(axis=(1, 2))
    if not len(noise):
        return residuals
    quiet: Tiles = residuals[
        noise <= LOUDER * np.median(np.sort(noise)[: max(1, int(QUIETEST * len(noise)))])
    ]
    return quiet


def _tiles(picture: NDArray[Any]) -> NDArray[Any]:
    rows, columns = (length // TILE for length in picture.shape)
    cut = picture[: rows * TILE, : columns * TILE].reshape(rows, TILE, columns, TILE)
    return cut.swapaxes(1, 2).reshape(-1, TILE, TILE)


def _detrended(tiles: Tiles) -> Tiles:
    """Take mean and slopes out of each tile, so that shading and organs' slow changes are no noise."""
    ramp = np.arange(TILE) - (TILE - 1) / 2
    norm = float(TILE * np.sum(ramp**2))
    flat = tiles - tiles.mean(axis=(1, 2), keepdims=True)
    rows = np.einsum("tij,i->t", flat, ramp) / norm
    columns = np.einsum("tij,j->t", flat, ramp) / norm
    residuals: Tiles = flat - rows[:, None, None] * ramp[:, None] - columns[:, None, None] * ramp
    return residuals
