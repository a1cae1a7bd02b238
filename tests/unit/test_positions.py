import math

import pytest

import data
from node.positions import measure

AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
SAGITTAL = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]


def axial(*heights):
    return [([-100.0, -80.0, float(height)], AXIAL) for height in heights]


def of(datasets):
    return measure((each.ImagePositionPatient, each.ImageOrientationPatient) for each in datasets)


def test_evenly_spaced_positions_are_contiguous_in_any_order():
    row = measure(axial(4, 0, 2, 8, 6))
    assert (row.n_positions, row.n_missing, row.is_contiguous) == (5, 0, True)


@pytest.mark.parametrize("missing", [(10,), (5, 6, 7), (3, 11)])
def test_slices_missing_between_others_are_counted(missing):
    row = of(data.ct_series(slices=20, rows=4, columns=4, missing=missing))
    assert (row.n_positions, row.n_missing, row.is_contiguous) == (20 - len(missing), len(missing), False)


def test_missing_ends_cannot_be_seen():
    assert of(data.ct_series(slices=20, rows=4, columns=4, missing=(0, 19))).is_contiguous


@pytest.mark.parametrize("tilt_deg", [0, 12, -20])
def test_a_tilted_gantry_is_contiguous(tilt_deg):
    assert of(data.ct_series(slices=10, rows=4, columns=4, tilt_deg=tilt_deg)).is_contiguous


def test_phases_at_the_same_positions_are_contiguous_when_each_is_whole():
    whole = axial(*(list(range(10)) * 3))
    assert measure(whole).is_contiguous
    assert measure(whole).n_positions == 10
    assert not measure(whole[:-1]).is_balanced


def test_two_spacings_in_one_series_are_not_holes():
    head = [0, 3, 6, 9, 12, 15, 21, 27, 33, 39, 45]
    row = measure(axial(*head))
    assert (row.n_missing, row.is_even) == (0, False)


def test_positions_that_were_rounded_are_still_even():
    assert measure(axial(*(round(0.625 * index, 1) for index in range(30)))).n_missing == 0
    assert measure(axial(*(round(1.25 * index, 1) for index in range(30)))).is_contiguous


def test_each_direction_of_a_localizer_is_a_row_of_its_own():
    sagittal = [([float(x), -100.0, 100.0], SAGITTAL) for x in (0, 10, 20, 40, 50)]
    row = measure(axial(0, 5, 10, 15) + sagittal)
    assert (row.n_positions, row.n_missing) == (9, 1)


def test_oblique_planes_are_measured_along_their_normal():
    angle = math.radians(30)
    row_cosine = [math.cos(angle), math.sin(angle), 0.0]
    normal = [math.sin(angle), -math.cos(angle), 0.0]
    planes = [([3.0 * index * each for each in normal], [*row_cosine, 0.0, 0.0, -1.0]) for index in range(6)]
    assert measure(planes).is_contiguous


@pytest.mark.parametrize(
    "planes",
    [
        [],
        axial(0, 2),
        [*axial(0, 2, 4), (None, AXIAL)],
        [*axial(0, 2, 4), ([0.0, 0.0], AXIAL)],
        [*axial(0, 2, 4), ([0.0, 0.0, 6.0], None)],
        [([0.0, 0.0, float(z)], [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]) for z in range(5)],
    ],
)
def test_where_nothing_can_be_told_nothing_is(planes):
    assert measure(planes) is None
