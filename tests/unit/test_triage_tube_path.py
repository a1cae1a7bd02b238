"""Circles and the path through them: plain loops over small pictures give the same answers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from handlers.triage import tube_path


def circles(values, spacing, radii, *, edge, sectors):
    """Each edge votes uphill, for a place and its eight neighbours, once for each sector of its direction."""
    best, radius = np.zeros(values.shape), np.zeros(values.shape)
    for radius_mm in radii:
        votes = {}
        for k, plane in enumerate(values.astype(float)):
            back, left = np.gradient(plane, *spacing)
            for i, j in itertools.product(*map(range, plane.shape)):
                length = math.hypot(back[i, j], left[i, j])
                if length < edge:
                    continue
                degrees = math.degrees(math.atan2(back[i, j], left[i, j])) + 180
                row = round(i + radius_mm * back[i, j] / length / spacing[0])
                column = round(j + radius_mm * left[i, j] / length / spacing[1])
                if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
                    for near in itertools.product((row - 1, row, row + 1), (column - 1, column, column + 1)):
                        votes.setdefault((k, *near), set()).add(int(degrees // (360 / sectors)) % sectors)
        for (k, i, j), seen in votes.items():
            is_inside = 0 <= i < values.shape[1] and 0 <= j < values.shape[2]
            if is_inside and len(seen) / sectors > best[k, i, j] + 1e-9:
                best[k, i, j], radius[k, i, j] = len(seen) / sectors, radius_mm
    return best, radius


def disc(radius_mm, spacing, *, size=(31, 31), centre=(15, 15), inside=200.0, outside=0.0):
    rows, columns = np.indices(size)
    far = np.hypot((rows - centre[0]) * spacing[0], (columns - centre[1]) * spacing[1])
    soft = 1 / (1 + np.exp((far - radius_mm) / 1.0))  # an edge some 4 mm wide
    return (outside + (inside - outside) * soft).astype(np.float32)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 2.0), (1.5, 0.8)])
def test_coverage_agrees_with_a_plain_loop(spacing):
    noise = np.random.default_rng(11)
    rough = noise.normal(0, 30, (2, 14, 17)).astype(np.float32)
    rough[1] += disc(5, spacing, size=(14, 17), centre=(7, 8))
    options = {"edge": 12.0, "sectors": 8}
    made = tube_path.coverage(rough, spacing, (3, 5, 7), **options)
    expected = circles(rough, spacing, (3, 5, 7), **options)
    assert made[0] == pytest.approx(expected[0], abs=1e-6)
    assert np.array_equal(made[1], expected[1])


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 2.0)])
def test_a_bright_disc_is_covered_all_round_at_its_centre(spacing):
    share, radius = tube_path.coverage(disc(8, spacing)[None], spacing, (3, 8, 13), edge=25.0, sectors=12)
    assert share[0, 15, 15] == 1.0
    assert radius[0, 15, 15] == 8


def test_a_dark_disc_is_no_vessel():
    dark = disc(8, (1.0, 1.0), inside=0.0, outside=200.0)[None]
    share, _ = tube_path.coverage(dark, (1.0, 1.0), (8,), edge=9.0, sectors=12)
    assert share[0, 15, 15] == 0.0


def test_a_long_straight_edge_counts_as_one_direction():
    step = np.zeros((1, 31, 31), np.float32)
    step[:, :, 15:] = 200
    share, _ = tube_path.coverage(step, (1.0, 1.0), (8,), edge=9.0, sectors=12)
    assert share.max() == pytest.approx(1 / 12)


@pytest.mark.parametrize(("slope", "expected"), [(9.0, 1 / 12), (8.9, 0.0)])
def test_an_edge_is_as_steep_as_it_has_to_be(slope, expected):
    ramp = (slope * np.arange(20, dtype=np.float32))[None, None, :].repeat(20, 1)
    share, _ = tube_path.coverage(ramp, (1.0, 1.0), (3,), edge=9.0, sectors=12)
    assert share.max() == pytest.approx(expected)


@pytest.mark.parametrize("reach", [1, 2])
def test_the_best_path_is_the_best_of_all(reach):
    score = np.random.default_rng(5).random((4, 3, 4)).astype(np.float32)
    places = list(itertools.product(range(3), range(4)))

    def total(path):
        near = all(max(abs(a[0] - b[0]), abs(a[1] - b[1])) <= reach for a, b in itertools.pairwise(path))
        return sum(score[k][place] for k, place in enumerate(path)) if near else -math.inf

    best = max(itertools.product(places, repeat=4), key=total)
    assert tube_path.best_path(score, reach).tolist() == [list(place) for place in best]


def test_among_equal_paths_the_straight_one_is_taken():
    score = np.zeros((5, 7, 7), np.float32)
    score[-1, 3, 3] = 1.0
    assert tube_path.best_path(score, 2).tolist() == [[3, 3]] * 5


def test_a_turn_is_as_short_as_can_be():
    score = np.zeros((3, 7, 7), np.float32)
    score[0, 3, 3] = score[0, 1, 1] = 1.0
    score[2, 3, 4] = 1.0
    path = tube_path.best_path(score, 2)
    assert path[0].tolist() == [3, 3]
    assert np.abs(np.diff(path, axis=0)).sum() == 1


@pytest.mark.parametrize(
    ("good", "max_gap", "expected"),
    [
        ([], 1, (0, 0)), ([0, 0, 0], 1, (0, 0)), ([1], 0, (0, 1)), ([0, 1, 1, 0], 0, (1, 3)), ([1, 0, 1], 0, (0, 1)),
        ([1, 0, 1], 1, (0, 3)), ([1, 0, 0, 1], 1, (0, 1)), ([1, 0, 0, 1], 2, (0, 4)), ([1, 0, 0, 1, 1], 1, (3, 5)),
        ([1, 1, 0, 0, 1, 1], 1, (0, 2)), ([1, 1, 0, 1, 0, 0, 1, 1, 1], 1, (0, 4)),
    ],
)  # fmt: skip
def test_the_longest_run_bridges_short_gaps(good, max_gap, expected):
    assert tube_path.longest_run(np.array(good, np.bool_), max_gap) == expected
