"""Body, spine and aorta on small grids whose every measure is known from how they were drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from handlers.triage import aorta_search
from handlers.triage.aorta_search import Aorta, NotFound
from handlers.triage.coarse_grid import Coarse

AIR, FAT = -1000.0, -100.0
SPACING = (5.0, 2.0, 2.5)  # mm between slices, rows, columns


def grid(size=(3, 90, 160), hu=AIR, spacing=SPACING):
    return Coarse(np.full(size, hu, np.float32), spacing)


def with_box(made, rows, columns, hu=40.0, slices=slice(None)):
    made.values[slices, rows[0] : rows[1], columns[0] : columns[1]] = hu
    return made


# ---- the body


@pytest.mark.parametrize(
    ("rows", "columns", "told"),
    [
        (60, 100, None),  # 120 mm x 250 mm: 300 cm2, the least
        (59, 100, "cross-section of 295 cm2, 250 mm wide"),
        (80, 92, None),  # 230 mm wide, the least
        (80, 91, "cross-section of 364 cm2, 228 mm wide"),
    ],
)
def test_a_trunk_is_as_large_as_it_has_to_be(rows, columns, told):
    found = aorta_search.body_mask(with_box(grid(), (5, 5 + rows), (10, 10 + columns)))
    assert (found.reason.removeprefix("no trunk: ") if told else None) == told
    if told is None:
        assert found.sum() == 3 * rows * columns


@pytest.mark.parametrize(("hu", "is_body"), [(-299.0, True), (-300.0, False)])
def test_what_is_denser_than_fat_is_body(hu, is_body):
    found = aorta_search.body_mask(with_box(grid(), (5, 85), (10, 150), hu))
    assert isinstance(found, NotFound) is not is_body


def test_the_body_is_the_largest_thing_and_has_no_holes():
    made = with_box(grid(), (5, 75), (10, 150))
    with_box(made, (20, 40), (40, 70), AIR)  # a lung
    with_box(made, (0, 3), (0, 160))  # what lies before it is smaller
    expected = np.zeros((90, 160), np.bool_)
    expected[5:75, 10:150] = True
    assert all(np.array_equal(each, expected) for each in aorta_search.body_mask(made))


def test_most_slices_decide_whether_it_is_a_trunk():
    most = with_box(grid(), (5, 85), (10, 150), slices=slice(0, 2))
    assert not isinstance(aorta_search.body_mask(with_box(most, (5, 20), (10, 20), slices=2)), NotFound)
    few = with_box(grid(), (5, 85), (10, 150), slices=slice(0, 1))
    assert isinstance(aorta_search.body_mask(with_box(few, (5, 20), (10, 20), slices=slice(1, 3))), NotFound)


# ---- the spine: the window that is filled with bone measures 30 mm to the next cell, 17 x 13 cells


BODY = np.ones((3, 90, 160), np.bool_)


def spine(*bones, body=BODY, hu=300.0, made=None):
    made = made or grid(hu=40.0)
    for rows, columns in bones:
        with_box(made, rows, columns, hu)
    return aorta_search.spine_path(made, body)


def test_the_spine_runs_through_the_middle_of_the_bone():
    assert spine(((60, 77), (72, 85))).tolist() == [[68, 78]] * 3


@pytest.mark.parametrize(("hu", "is_bone"), [(201.0, True), (200.0, False)])
def test_bone_is_as_dense_as_it_has_to_be(hu, is_bone):
    assert isinstance(spine(((60, 75), (72, 85)), hu=hu), NotFound) is not is_bone


@pytest.mark.parametrize(
    ("bone", "told"),
    [
        (((60, 64), (78, 84)), ""),  # 24 of 221 cells
        (((60, 64), (78, 83)), "no spine: bone fills 9% of the best path"),  # 20
    ],
)
def test_bone_fills_a_tenth_of_the_window(bone, told):
    found = spine(bone)
    assert (found.reason if isinstance(found, NotFound) else "") == told


def test_bone_in_front_is_no_spine():
    assert isinstance(spine(((10, 25), (72, 85))), NotFound)


def test_bone_at_the_side_is_no_spine():
    assert isinstance(spine(((60, 75), (120, 133))), NotFound)


def test_the_spine_is_looked_for_in_the_back_of_the_body_and_near_its_middle():
    """The body lies in one corner; whatever is bone there, the path stays in its back half and middle 100 mm."""
    body = np.zeros_like(BODY)
    body[:, 20:61, 30:131] = True  # middle: row 40, column 80
    made = grid(hu=300.0)
    fill = {tuple(place) for place in spine(made=made, body=body).tolist()}
    assert len(fill) == 1
    (row, column) = fill.pop()
    assert row >= 40
    assert abs(column - 80) * SPACING[2] <= 50


@pytest.mark.parametrize(("columns", "is_near"), [((94, 107), True), ((95, 108), False)])
def test_the_spine_lies_within_fifty_millimetres_of_the_middle(columns, is_near):
    """Bone of the width of the window: at column 100 its middle is 50 mm from that of the body, column 80."""
    body = np.zeros_like(BODY)
    body[:, 20:61, 30:131] = True
    found = spine(((48, 61), columns), body=body)
    assert (int(found[0, 1]) == (columns[0] + columns[1] - 1) // 2) is is_near


def test_bone_outside_the_body_does_not_count():
    body = BODY.copy()
    body[:, 55:, :] = False
    assert isinstance(spine(((60, 75), (72, 85)), body=body), NotFound)


def test_the_spine_may_lean_as_far_as_a_slice_is_thick():
    """5 mm from slice to slice let it move by two rows of 2 mm."""
    made = grid(hu=40.0)
    for index in range(3):
        with_box(made, (56 + 2 * index, 73 + 2 * index), (72, 85), 300.0, index)
    assert spine(made=made).tolist() == [[64, 78], [66, 78], [68, 78]]


# ---- the aorta: a trunk of 60 mm and more, drawn without noise


SPINE_AT, AORTA_AT = (70, 80), (54, 84)  # 32 mm before and 10 mm to the left of the spine
RADIUS_MM = 12.0


def trunk(
    *, slices=12, hu=150.0, organ_hu=None, step_mm=5.0, present=None, aorta_at=AORTA_AT, radius_mm=RADIUS_MM
):
    made = with_box(grid((slices, 100, 160), spacing=(step_mm, 2.0, 2.5)), (5, 95), (10, 150), FAT)
    with_box(made, (SPINE_AT[0] - 7, SPINE_AT[0] + 8), (SPINE_AT[1] - 6, SPINE_AT[1] + 7), 300.0)
    rows, columns = np.indices((100, 160))
    far = np.hypot((rows - aorta_at[0]) * 2.0, (columns - aorta_at[1]) * 2.5)
    for index in range(slices) if present is None else present:
        made.values[index][far < radius_mm] = hu
    if organ_hu is not None:
        with_box(made, (20, 50), (20, 60), organ_hu)
    return made


def test_the_aorta_is_measured():
    found = aorta_search.find(trunk())
    assert isinstance(found, Aorta)
    assert (found.median_hu, found.sigma_hu, found.length_mm) == (150, 0.0, 60)
    assert (
        RADIUS_MM - 4 <= found.radius_mm <= RADIUS_MM
    )  # the smallest circle that its wall, of some 5 mm, covers
    assert found.coverage > 0.9
    assert found.enhanced_share < 0.01


def test_its_middle_is_measured_not_its_mean():
    made = trunk(hu=100.0)
    made.values[::3][made.values[::3] == 100.0] = 130.0  # a third of the slices is brighter
    found = aorta_search.find(made)
    assert found.median_hu == 100
    assert found.sigma_hu == 14.1  # 30 * sqrt(2) / 3, of 0 and 30, one third


@pytest.mark.parametrize(("slices", "told"), [(12, None), (11, "measures 55 mm")])
def test_it_is_seen_over_sixty_millimetres(slices, told):
    found = aorta_search.find(trunk(slices=20, present=range(slices)))
    if told is None:
        assert found.length_mm == 60
    else:
        assert found.reason == f"no aorta: the longest round vessel beside the spine {told}"


def test_its_length_counts_from_where_it_begins():
    assert aorta_search.find(trunk(slices=20, present=range(4, 17))).length_mm == 65


@pytest.mark.parametrize(("lost", "length"), [(1, 65), (2, None)])
def test_a_gap_of_up_to_six_millimetres_is_bridged(lost, length):
    present = [*range(6), *range(6 + lost, 12 + lost)]
    found = aorta_search.find(trunk(slices=20, present=present))
    assert (None if isinstance(found, NotFound) else found.length_mm) == length


@pytest.mark.parametrize(("spread", "is_even"), [(29.9, True), (30.2, False)])
def test_its_inside_is_even(spread, is_even):
    """Slices in turns brighter and darker by `spread`: that is the standard deviation."""
    made = trunk(hu=150.0)
    made.values[::2][made.values[::2] == 150.0] += spread
    made.values[1::2][made.values[1::2] == 150.0] -= spread
    found = aorta_search.find(made)
    assert isinstance(found, Aorta) is is_even
    if not is_even:
        assert found.reason == "the aorta is not homogeneous: standard deviation 30 HU"


@pytest.mark.parametrize("hu", [-10.0, 900.0])
def test_blood_has_plausible_values(hu):
    assert aorta_search.find(trunk(hu=hu)).median_hu == hu


@pytest.mark.parametrize("hu", [-40.0, 930.0])
def test_fat_and_metal_are_no_blood(hu):
    assert isinstance(aorta_search.find(trunk(hu=hu)), NotFound)


@pytest.mark.parametrize(
    ("rows_before", "columns_left", "is_allowed"),
    [
        (16, 4, True),
        (16, 14, True),  # 35 mm to the left
        (16, 20, False),  # 50 mm to the left
        (16, -4, True),  # 10 mm to the right
        (16, -9, False),  # 22 mm to the right
        (34, 4, True),  # 68 mm before the spine
        (42, 4, False),  # 84 mm
    ],
)
def test_it_lies_before_the_spine_or_left_of_it(rows_before, columns_left, is_allowed):
    at = (SPINE_AT[0] - rows_before, SPINE_AT[1] + columns_left)
    found = aorta_search.find(trunk(aorta_at=at))
    assert (isinstance(found, Aorta) and found.median_hu == 150) is is_allowed


def test_a_wall_that_is_seen_in_part_is_told():
    made = trunk()
    made.values[:, : AORTA_AT[0] - 1, 70:100] = (
        150.0  # what lies before it is as bright: half its wall is lost
    )
    found = aorta_search.find(made)
    assert isinstance(found, NotFound)
    assert "no aorta" in found.reason


@pytest.mark.parametrize(
    ("organ_hu", "share"),
    [(120.0, 0.09), (55.0, 0.0), (99.0, 0.0), (101.0, 0.09), (299.0, 0.09), (301.0, 0.0)],
)
def test_enhanced_organs_are_a_share_of_the_body(organ_hu, share):
    """An organ of 30 x 40 cells in a body of 90 x 140, less the rim in which it is not even."""
    found = aorta_search.find(trunk(hu=38.0, organ_hu=organ_hu))
    assert found.enhanced_share == pytest.approx(share, abs=0.02)
    assert (found.enhanced_share > 0.01) is (share > 0)


def test_no_body_and_no_spine_are_told():
    assert aorta_search.find(grid((12, 100, 160))).reason.startswith("no trunk")
    boneless = trunk()
    made = replace(boneless, values=np.minimum(boneless.values, 60.0))
    assert aorta_search.find(made).reason.startswith("no spine")


# ---- the parts of the search


@pytest.mark.parametrize(
    ("spacing", "cells"),
    [((5.0, 2.0, 2.5), 2), ((5.0, 2.5, 2.0), 2), ((5.0, 2.0, 5.0), 2), ((1.0, 2.0, 3.0), 1)],
)
def test_a_path_leans_by_45_degrees_at_most(spacing, cells):
    assert aorta_search._reach(grid(spacing=spacing)) == cells


@pytest.mark.parametrize(
    ("length_mm", "spacing", "cells"), [(15.0, (5.0, 2.0, 2.5), (8, 6)), (5.0, (5.0, 20.0, 30.0), (1, 1))]
)
def test_lengths_become_whole_cells(length_mm, spacing, cells):
    assert aorta_search._half(grid(spacing=spacing), length_mm) == cells


def around(*spine_at, spacing=(5.0, 2.0, 2.0)):
    made = grid((len(spine_at), 100, 120), 100.0, spacing)
    return made, aorta_search._Window.around(made, np.array(spine_at, np.intp))


def test_the_window_follows_the_spine_and_holds_the_wall_of_the_largest_aorta():
    """72 mm before the spine to its middle, 12 mm to the right to 40 mm to the left, and 20 + 4 mm more."""
    _, window = around((70, 60), (72, 58))
    assert (window.back_mm[0], window.back_mm[-1]) == (-96.0, 24.0)
    assert (window.left_mm[0], window.left_mm[-1]) == (-36.0, 64.0)
    assert window.rows[:, 0].tolist() == [22, 24]
    assert window.rows[:, -1].tolist() == [82, 84]
    assert window.columns[:, 0].tolist() == [42, 40]
    assert window.columns[:, -1].tolist() == [92, 90]
    assert np.all(np.diff(window.back_mm) == 2.0)


def test_the_window_ends_where_the_picture_does():
    _, window = around((10, 5), (95, 115))
    assert window.rows.min(1).tolist() == [0, 47]
    assert window.rows.max(1).tolist() == [22, 99]
    assert window.columns.min(1).tolist() == [0, 97]
    assert window.columns.max(1).tolist() == [37, 119]


def test_the_window_cuts_values_out():
    made, window = around((70, 60), (72, 58))
    made.values[1, 72, 58] = 7.0
    cut = window.cut(made.values)
    assert cut.shape == (2, 61, 51)
    assert np.argwhere(cut == 7.0).tolist() == [[1, 48, 18]]


def test_the_aorta_may_lie_in_a_box_beside_the_spine_but_not_in_it(monkeypatch):
    monkeypatch.setattr(
        aorta_search.tube_path, "coverage", lambda edges, *_, **__: (np.ones_like(edges), np.ones_like(edges))
    )
    made, window = around((70, 60))
    score, _ = aorta_search._score(made, window)
    for row, back in enumerate(window.back_mm):
        for column, left in enumerate(window.left_mm):
            is_allowed = -72 <= back <= 0 and -12 <= left <= 40 and back**2 + left**2 >= 22**2
            assert bool(score[0, row, column]) is bool(is_allowed), (back, left)


@pytest.mark.parametrize(("hu", "is_blood"), [(-10.0, True), (-10.5, False), (900.0, True), (900.5, False)])
def test_blood_lies_between_fat_and_metal(monkeypatch, hu, is_blood):
    monkeypatch.setattr(
        aorta_search.tube_path, "coverage", lambda edges, *_, **__: (np.ones_like(edges), np.ones_like(edges))
    )
    made, window = around((70, 60))
    made.values[:] = hu
    assert bool(aorta_search._score(made, window)[0].any()) is is_blood


@pytest.mark.parametrize(("radius_mm", "inner_mm"), [(12.0, 9.0), (8.0, 5.0), (7.0, 5.0)])
def test_the_wall_is_left_out_of_what_is_measured(radius_mm, inner_mm):
    axis = np.arange(-15.0, 16.0)
    window = aorta_search._Window(np.zeros((1, 31), np.intp), np.zeros((1, 31), np.intp), axis, axis)
    plane = np.hypot(axis[:, None] - 2.0, axis[None, :] + 3.0).astype(
        np.float32
    )  # its own distance from (2, -3)
    inside = aorta_search._disc(plane, window, np.array([17, 12]), radius_mm)
    expected = plane[plane <= inner_mm]
    assert sorted(inside.tolist()) == sorted(expected.tolist())
    assert inside.max() == inner_mm  # the circle itself counts


def bright(hu, body=None, spacing=(5.0, 5.0, 7.0)):
    made = grid((2, 30, 28), hu, spacing)
    body = np.ones((2, 30, 28), np.bool_) if body is None else body
    return aorta_search._enhanced_share(made, body, np.array([[15, 14], [12, 10]], np.intp))


def test_bright_tissue_counts_beyond_35_millimetres_of_the_spine():
    expected = sum(
        (5 * (row - spine[0])) ** 2 + (7 * (column - spine[1])) ** 2 > 35**2
        for spine in ((15, 14), (12, 10))
        for row in range(30)
        for column in range(28)
    )
    assert bright(150.0) == expected / (2 * 30 * 28)


@pytest.mark.parametrize(("hu", "is_bright"), [(100.0, True), (99.9, False), (300.0, True), (300.1, False)])
def test_enhanced_tissue_has_100_to_300_hu(hu, is_bright):
    assert (bright(hu) > 0) is is_bright


def test_the_share_is_that_of_the_body():
    body = np.zeros((2, 30, 28), np.bool_)
    body[:, :2, :2] = True  # 4 cells in the corner, far from the spine
    assert bright(150.0, body) == 1.0
    assert bright(150.0, np.zeros_like(body)) == 0.0


def test_the_middle_of_the_body_lies_halfway_between_its_edges():
    """Bone of the size of its window, around the very middle row, and 50 mm to one side."""
    body = np.zeros_like(BODY)
    body[:, 20:61, 30:131] = True
    assert spine(((32, 49), (74, 87)), body=body).tolist() == [[40, 80]] * 3
    assert spine(((46, 61), (54, 67)), body=body)[0, 1] == 60
