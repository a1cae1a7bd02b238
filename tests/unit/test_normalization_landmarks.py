"""Nyul and Udupa's landmarks: the standard scale, the map between scales, ties, and what a fit must show."""

from __future__ import annotations

import numpy as np
import pytest

from handlers.normalization import landmarks

EVEN = tuple(float(value) for value in landmarks.PERCENTILES)  # of values spread evenly over 0 to 100


def test_landmarks_are_the_percentiles():
    assert landmarks.measured(np.arange(101, dtype=float)) == pytest.approx(EVEN)


def test_the_scale_begins_at_1_and_ends_at_100():
    scaled = landmarks.on_scale([value * 7 + 300 for value in EVEN])
    assert (scaled[0], scaled[-1]) == pytest.approx((1, 100))
    assert scaled[5] == pytest.approx(
        1 + 99 * (50 - 1) / 98
    )  # the 50th percentile, linearly between 1 and 99


def test_the_standard_scale_does_not_see_gain_and_offset_of_a_scanner():
    cohort = [[value * gain + offset for value in EVEN] for gain, offset in ((1, 0), (3.5, 40), (0.02, -1))]
    scale, spread = landmarks.standard_scale(cohort)
    assert scale == pytest.approx(landmarks.on_scale(EVEN))
    assert spread == pytest.approx(np.zeros(11), abs=1e-9)


def test_the_standard_scale_is_the_mean_of_the_scaled_landmarks():
    other = [value**2 for value in EVEN]
    scale, spread = landmarks.standard_scale([EVEN, other])
    first, second = landmarks.on_scale(EVEN), landmarks.on_scale(other)
    assert scale == pytest.approx((first + second) / 2)
    assert spread == pytest.approx(np.abs(first - second) / 2)


def test_landmarks_go_to_landmarks_and_the_outer_pieces_go_on():
    source, target = (10.0, 20.0, 40.0), (1.0, 50.0, 100.0)
    values = np.array([0.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0])
    expected = [1 - 49, 1, 25.5, 50, 75, 100, 150]
    assert landmarks.mapped(values, source, target) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ((0.0, 0.0, 0.0, 5.0), (1.0, 2.0, 3.0, 100.0)),
        ((0.0, 5.0, 5.0, 9.0), (1.0, 40.0, 60.0, 100.0)),
        ((0.0, 5.0, 9.0, 9.0), (1.0, 40.0, 90.0, 100.0)),
    ],
)
def test_tied_landmarks_are_merged_and_give_finite_rising_values(source, target):
    result = landmarks.mapped(np.linspace(-5, 15, 41), source, target)
    assert np.isfinite(result).all()
    assert (np.diff(result) > 0).all()
    x, y = landmarks.merged(source, target)
    assert (np.diff(x) > 0).all()
    tied = [t for s, t in zip(source, target, strict=True) if source.count(s) > 1]
    assert np.mean(tied) in y


def test_landmarks_without_a_range_have_no_scale():
    for refuse in (
        lambda: landmarks.on_scale([3.0] * 11),
        lambda: landmarks.mapped(np.zeros(2), [3.0] * 11, EVEN),
        lambda: landmarks.standard_scale([]),
    ):
        with pytest.raises(ValueError, match=r"no range|no volume"):
            refuse()


def test_a_cohort_of_equal_volumes_does_not_move_when_some_are_held_out():
    assert landmarks.holdout_drift([EVEN] * 20, parts=5) == pytest.approx(0)


def test_one_strange_volume_moves_the_scale_by_its_share():
    """19 equal volumes and a strange one of distance d: without it the mean moves by d / 20."""
    strange = [value**2 for value in EVEN]
    distance = landmarks.deviation(landmarks.on_scale(strange), landmarks.on_scale(EVEN))
    drift = landmarks.holdout_drift([*[EVEN] * 19, strange], parts=5)
    assert drift == pytest.approx(distance / 20)
