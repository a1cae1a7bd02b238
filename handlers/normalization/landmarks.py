"""Intensity landmarks: percentiles of a volume, the standard scale of a cohort, and the map between them.

The method of Nyul and Udupa, own code because others return NaN where landmarks are tied
and map the background too. Everything here is arithmetic on short lists, so a fit over a
cohort needs the landmarks of its volumes only, never their voxels.

Source: Nyul, Udupa 1999 (Magn Reson Med 42:1072-1081); Nyul, Udupa, Zhang 2000 (IEEE TMI 19:143-150).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0)
SCALE = (1.0, 100.0)  # where the first and the last percentile go

Row = NDArray[np.float64]


def measured(inside: NDArray[np.floating]) -> tuple[float, ...]:
    """Return the landmarks of the values of the foreground, at `PERCENTILES`."""
    return tuple(float(value) for value in np.percentile(inside, PERCENTILES))


def on_scale(landmarks: Sequence[float]) -> Row:
    """Map landmarks linearly so that the first and the last lie at `SCALE`.

    Raises:
        ValueError: the first and the last are the same, so there is no scale.
    """
    row = np.asarray(landmarks, np.float64)
    if not row[-1] > row[0]:
        raise ValueError("the landmarks span no range")
    low, high = SCALE
    mapped: Row = low + (row - row[0]) * ((high - low) / (row[-1] - row[0]))
    return mapped


def standard_scale(cohort: Sequence[Sequence[float]]) -> tuple[Row, Row]:
    """Return the mean of the scaled landmarks of some volumes, and their standard deviations.

    Raises:
        ValueError: there is no volume, or one whose landmarks span no range.
    """
    if not cohort:
        raise ValueError("there is no volume to fit to")
    rows = np.stack([on_scale(landmarks) for landmarks in cohort])
    return rows.mean(axis=0), rows.std(axis=0)


def holdout_drift(cohort: Sequence[Sequence[float]], *, parts: int) -> float:
    """Return the most that a landmark of the standard scale moves when one of `parts` parts is held out.

    Every `parts`-th volume is one part: the order decides, so give the volumes in a fixed one.
    """
    whole, _ = standard_scale(cohort)
    kept = [[row for index, row in enumerate(cohort) if index % parts != part] for part in range(parts)]
    return max((deviation(standard_scale(rows)[0], whole) for rows in kept if rows), default=0.0)


def deviation(landmarks: Sequence[float] | Row, scale: Sequence[float] | Row) -> float:
    """Return the largest distance between landmarks that are both on the standard scale, in its points."""
    return float(np.abs(np.asarray(landmarks) - np.asarray(scale)).max())


def mapped(values: NDArray[np.floating], source: Sequence[float], target: Sequence[float]) -> Row:
    """Map values piecewise linearly so that `source` goes to `target`; beyond, the outer pieces go on.

    Tied landmarks are merged first, so that no piece has length 0.

    Raises:
        ValueError: all landmarks of the source are tied.
    """
    x, y = merged(source, target)
    if len(x) < 2:
        raise ValueError("the landmarks span no range")
    result: Row = np.interp(values, x, y)
    below, above = values < x[0], values > x[-1]
    result[below] = y[0] + (values[below] - x[0]) * (y[1] - y[0]) / (x[1] - x[0])
    result[above] = y[-1] + (values[above] - x[-1]) * (y[-1] - y[-2]) / (x[-1] - x[-2])
    return result


def merged(source: Sequence[float], target: Sequence[float]) -> tuple[Row, Row]:
    """Make the source strictly increasing: one of tied landmarks stands for all, at their mean target."""
    x, y = np.asarray(source, np.float64), np.asarray(target, np.float64)
    distinct, group = np.unique(x, return_inverse=True)
    return distinct, np.bincount(group, weights=y) / np.bincount(group)
