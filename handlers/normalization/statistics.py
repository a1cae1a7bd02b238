"""Minimum, 1st percentile, mean, 99th percentile and maximum of what was measured, exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from handlers.model import Volume
from handlers.normalization.decoded import values_of

PERCENTILES = {"p1": 0.01, "p99": 0.99}


def measure_values(volume: Volume) -> Volume:
    """Fill `measured` from the voxels that are no padding; empty when all are.

    Percentiles interpolate linearly between the two nearest order statistics. int16 is
    counted in 65536 bins, which needs no sort and no copy.
    """
    if volume.values is None:
        return volume
    count = volume.values.size - (0 if volume.padding is None else int(np.count_nonzero(volume.padding)))
    if not count:
        return replace(volume, measured={})
    ranks = {name: share * (count - 1) for name, share in PERCENTILES.items()}
    if volume.values.dtype in (np.int16, np.uint8):
        return replace(volume, measured=_of_counts(_histogram(volume), count, ranks))
    values = volume.values.ravel() if volume.padding is None else volume.values[~volume.padding]
    return replace(volume, measured=_of_values(values, ranks))


def _histogram(volume: Volume) -> NDArray[np.int64]:
    """Count every value from -32768 on, padding left out."""
    counts = np.zeros(1 << 16, np.int64)
    for plane in values_of(volume):
        whole = np.ascontiguousarray(plane, dtype=np.int16)
        counts += np.bincount(whole.view(np.uint16).ravel(), minlength=1 << 16)
    counts = np.roll(counts, 1 << 15)
    if (
        volume.padding is not None
    ):  # every padded voxel holds the background, so they can be taken off at once
        counts[int(volume.background) + (1 << 15)] -= np.count_nonzero(volume.padding)
    return counts


def _of_counts(counts: NDArray[np.int64], count: int, ranks: dict[str, float]) -> dict[str, float]:
    below = np.cumsum(counts)
    levels = np.arange(-(1 << 15), 1 << 15)

    def at(rank: int) -> float:
        return float(levels[np.searchsorted(below, rank, side="right")])

    result = {"min": at(0), "mean": float(counts @ levels) / count, "max": at(count - 1)}
    return _ordered(result | {name: _between(at, rank, count) for name, rank in ranks.items()})


def _of_values(values: NDArray[np.generic], ranks: dict[str, float]) -> dict[str, float]:
    count = values.size
    wanted = sorted({min(int(rank) + step, count - 1) for rank in ranks.values() for step in (0, 1)})
    result = {
        "min": float(values.min()),
        "mean": float(values.mean(dtype=np.float64)),
        "max": float(values.max()),
    }
    parted = np.partition(values, wanted)
    found = {index: float(parted[index]) for index in wanted}
    return _ordered(result | {name: _between(found.__getitem__, rank, count) for name, rank in ranks.items()})


def _between(at: Callable[[int], float], rank: float, count: int) -> float:
    low = int(rank)
    high = min(low + 1, count - 1)
    return at(low) + (rank - low) * (at(high) - at(low))


def _ordered(result: dict[str, float]) -> dict[str, float]:
    return {name: result[name] for name in ("min", "p1", "mean", "p99", "max")}
