"""Counts of values at the limits of what they tell: modes that just stand out, and volumes of one voxel."""

from __future__ import annotations

import numpy as np
import pytest

from handlers.triage.value_histogram import HIGHEST, LOWEST, Histogram, histogram
from triage_cases import volume


def counted(values):
    """Each of these values once."""
    counts = np.zeros(HIGHEST - LOWEST + 1, np.int64)
    counts[np.asarray(values) - LOWEST] = 1
    return Histogram(counts, 0.0, 0.0)


@pytest.mark.parametrize(("width", "is_seen"), [(19, True), (20, True), (21, False)])
def test_a_peak_is_twice_as_high_as_the_mean(width, is_seen):
    """Ten in a bin, where the mean is a quarter of the width: of 40 values, so many occur once."""
    first = 20 - width // 2
    found = counted(range(first, first + width)).mode(0, 39)
    if not is_seen:
        assert found is None
    else:
        assert found == pytest.approx(first + (width - 1) / 2, abs=0.5)


@pytest.mark.parametrize(("value", "expected"), [(9, None), (10, 10.0), (29, 29.0), (30, None)])
def test_a_mode_has_ten_values_on_either_side(value, expected):
    assert counted([value]).mode(0, 39) == expected


def test_the_only_voxel_is_all_of_them():
    found = histogram(volume("CT", slices=1, values=np.full((1, 1, 1), 7, np.int16)))
    assert found.share(7, 7) == 1.0
    assert found.most_frequent(0, 10) == (7, 1.0)
