"""The coarse grid of a CT volume: means over whole voxels, axes along the body, and plain oracles for its filters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from handlers.triage import coarse_grid
from triage_cases import volume

LEFT_BACK_UP = [1, 0, 0, 0, 1, 0]


def ct(values, *, spacing=(1.0, 1.0, 1.0), cosines=LEFT_BACK_UP, padding=None):
    """Values (slices, rows, columns) with spacing (columns, rows, slices) in mm."""
    up = np.cross(cosines[:3], cosines[3:])
    made = volume(
        "CT", slices=len(values), step=tuple(up * spacing[2]), values=np.asarray(values, np.int16), padding=padding,
        PixelSpacing=[spacing[1], spacing[0]], ImageOrientationPatient=cosines,
    )  # fmt: skip
    assert made.geometry.spacing_mm == pytest.approx(spacing)
    return made


@pytest.mark.parametrize("axis", ["row_cosine", "column_cosine", "normal"])
@pytest.mark.parametrize(
    ("along", "expected"), [(0.95, True), (-0.95, True), (0.949, False), (-0.949, False)]
)
def test_axes_are_nearly_those_of_the_body(axis, along, expected):
    geometry = ct(np.zeros((2, 2, 2))).geometry
    place = ("row_cosine", "column_cosine", "normal").index(axis)
    turned = replace(geometry, **{axis: tuple(along if k == place else 0.0 for k in range(3))})
    assert coarse_grid.is_axial(turned) is expected


def test_a_cell_is_the_mean_of_its_voxels():
    values = np.arange(4 * 6 * 8).reshape(4, 6, 8)
    made = coarse_grid.coarse(ct(values), 2.0)
    expected = values.reshape(2, 2, 3, 2, 4, 2).mean((1, 3, 5))
    assert np.array_equal(made.values, expected.astype(np.float32))
    assert made.spacing_mm == (2.0, 2.0, 2.0)


def test_cells_need_not_be_of_one_size_and_each_voxel_counts_once():
    values = np.arange(5).reshape(1, 1, 5).repeat(5, 0).repeat(5, 1)
    made = coarse_grid.coarse(ct(values), 2.0)  # two cells for five voxels: two and three of them
    assert made.values[0, 0].tolist() == [0.5, 3.0]
    assert made.values.shape == (2, 2, 2)
    assert made.spacing_mm == (2.5, 2.5, 2.5)


def test_every_axis_has_its_own_spacing():
    values = np.arange(4 * 6 * 8).reshape(4, 6, 8)
    made = coarse_grid.coarse(ct(values, spacing=(0.5, 1.0, 3.0)), 2.0)
    assert made.values.shape == (4, 3, 2)  # slices are coarser already, and stay
    assert made.spacing_mm == (3.0, 2.0, 2.0)
    assert np.array_equal(made.values, values.reshape(4, 3, 2, 2, 4).mean((2, 4)).astype(np.float32))


def test_less_than_half_a_cell_is_still_a_cell():
    made = coarse_grid.coarse(ct(np.full((2, 2, 2), 7), spacing=(0.1, 0.1, 2.0)), 2.0)
    assert made.values.tolist() == [[[7.0]], [[7.0]]]
    assert made.spacing_mm == pytest.approx((2.0, 0.2, 0.2))


@pytest.mark.parametrize(
    ("cosines", "turn"),
    [
        ([1, 0, 0, 0, 1, 0], (1, 1, 1)),
        ([-1, 0, 0, 0, 1, 0], (-1, 1, -1)),
        ([1, 0, 0, 0, -1, 0], (-1, -1, 1)),
        ([-1, 0, 0, 0, -1, 0], (1, -1, -1)),
    ],
)
def test_the_grid_runs_up_back_and_left(cosines, turn):
    values = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    made = coarse_grid.coarse(ct(values, cosines=cosines), 1.0)
    assert np.array_equal(made.values, values[:: turn[0], :: turn[1], :: turn[2]])


def test_values_beyond_the_scale_are_clipped_and_padding_is_air():
    values = np.zeros((1, 1, 4))
    values[0, 0] = [-2000, 9000, 5, 5]
    padding = np.zeros((1, 1, 4), np.bool_)
    padding[0, 0, 3] = True
    stack = ct(values.repeat(2, 0), padding=padding.repeat(2, 0))
    assert coarse_grid.coarse(stack, 1.0).values[0, 0].tolist() == [-1024.0, 3071.0, 5.0, -1000.0]


@pytest.mark.parametrize(
    "lacking", [{"values": None}, {"geometry": None}, {"values": np.zeros((2, 2, 2, 3))}]
)
def test_without_grey_values_in_space_there_is_no_grid(lacking):
    assert coarse_grid.coarse(replace(ct(np.zeros((2, 2, 2))), **lacking), 1.0) is None


def test_smoothing_spreads_by_its_sigma_in_millimetres_and_stays_in_its_slice():
    values = np.zeros((3, 81, 81), np.float32)
    values[1, 40, 40] = 1000.0
    made = coarse_grid.smoothed(values, (9.0, 0.5, 1.0), 3.0)
    assert not made[0].any()
    assert not made[2].any()
    weights = made[1] / made[1].sum()
    rows, columns = (np.arange(81) - 40) * 0.5, (np.arange(81) - 40) * 1.0
    assert (weights.sum(1) * rows**2).sum() == pytest.approx(9.0, rel=0.1)
    assert (weights.sum(0) * columns**2).sum() == pytest.approx(9.0, rel=0.1)
    assert made[1].sum() == pytest.approx(1000.0, rel=1e-3)


@pytest.mark.parametrize("half", [(0, 0), (1, 1), (2, 1), (1, 3)])
def test_means_and_deviations_over_squares_agree_with_a_plain_loop(half):
    values = np.random.default_rng(3).normal(50, 30, (2, 7, 9)).astype(np.float32)
    padded = np.pad(values.astype(float), ((0, 0), (half[0], half[0]), (half[1], half[1])), mode="edge")
    around = np.array(
        [
            [
                [padded[k, i : i + 2 * half[0] + 1, j : j + 2 * half[1] + 1] for j in range(9)]
                for i in range(7)
            ]
            for k in range(2)
        ]
    )
    assert coarse_grid.box(values, half) == pytest.approx(around.mean((3, 4)), abs=1e-3)
    assert coarse_grid.local_sigma(values, half) == pytest.approx(around.std((3, 4)), abs=2e-2)
