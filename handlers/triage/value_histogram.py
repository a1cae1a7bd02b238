"""How often each whole value occurs in a volume: one pass over a sample, no copy of the volume."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handlers.model import Volume

LOWEST, HIGHEST = -32768, 65535  # what 16-bit scanners can write; values beyond are counted at the ends
MAX_SAMPLES = 6_000_000  # voxels; more changes no fraction that a rule asks for, and takes longer
SMOOTHED = 10  # values in a bin, to find a mode despite noise
PROMINENCE = 2.0


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of whole values from `LOWEST` on, over a regular sample of the voxels that are no padding.

    `minimum` and `maximum` are those of all voxels, padding included.
    """

    counts: NDArray[np.int64]
    minimum: float
    maximum: float

    @property
    def total(self) -> int:
        """Number of counted voxels."""
        return int(self.counts.sum())

    def share(self, low: float, high: float) -> float:
        """Return the fraction of voxels from low to high, both included."""
        return float(self._part(low, high).sum()) / max(self.total, 1)

    def quantile(self, fraction: float) -> int:
        """Return the value below which this fraction of the voxels lies."""
        return LOWEST + int(np.searchsorted(np.cumsum(self.counts), fraction * self.total))

    def mode(self, low: int, high: int) -> float | None:
        """Return the value from low to high at which the counts peak, smoothed; None when nothing stands out.

        A peak is at least `PROMINENCE` times the mean of the range and does not lie at its end: noise that
        is spread evenly, and the flank of a peak outside, have none.
        """
        part = self._part(low, high)
        smooth = np.convolve(part, np.ones(SMOOTHED), mode="same")
        if smooth.max() < PROMINENCE * smooth.mean() or not part.any():
            return None
        peak = int(np.flatnonzero(smooth == smooth.max()).mean())
        if not SMOOTHED <= peak < part.size - SMOOTHED:
            return None
        weights = part[peak - SMOOTHED : peak + SMOOTHED + 1]
        return low + peak - SMOOTHED + float(np.average(np.arange(weights.size), weights=weights))

    def most_frequent(self, low: int, high: int) -> tuple[int, float]:
        """Return the single most frequent value from low to high, and its share of that part."""
        part = self._part(low, high)
        return low + int(part.argmax()), float(part.max()) / max(float(part.sum()), 1.0)

    def _part(self, low: float, high: float) -> NDArray[np.int64]:
        return self.counts[max(math.ceil(low) - LOWEST, 0) : math.floor(high) - LOWEST + 1]


def histogram(volume: Volume) -> Histogram | None:
    """Count the values of a volume; None when it has none, or nothing but padding."""
    values = volume.values
    if values is None or not values.size:
        return None
    step = max(1, math.ceil(math.sqrt(values.size / MAX_SAMPLES)))
    counts = np.zeros(HIGHEST - LOWEST + 1, dtype=np.int64)
    for index, plane in enumerate(values):
        part = plane[::step, ::step]
        if volume.padding is not None:
            part = part[~volume.padding[index, ::step, ::step]]
        counts += _count(part)
    if not counts.any():
        return None
    return Histogram(counts, float(values.min()), float(values.max()))


def _count(part: NDArray[np.generic]) -> NDArray[np.int64]:
    if part.dtype.kind == "f":
        finite = part[np.isfinite(part)]
        part = np.rint(np.clip(finite, LOWEST, HIGHEST))
    whole = part.astype(np.int32).ravel()
    return np.bincount(np.clip(whole, LOWEST, HIGHEST) - LOWEST, minlength=HIGHEST - LOWEST + 1)
