"""The front of a head in arrays that are drawn voxel by voxel: skin, nose, and which way is up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from handlers.tables import table
from handlers.triage import faces
from triage_cases import codes, only, series, volume

LIMITS = table("privacy")["face"]
FACE = {"surface_width_mm": 60.0, "surface_height_mm": 60.0, "nose_height_mm": 12.0}
HEAD = {"BodyPartExamined": "HEAD"}


def scan(index=0, spacing=(1.0, 1.0, 1.0), **attributes):
    made = volume("CT", index=index, slices=2, values=np.zeros((2, 2, 2)), **{**HEAD, **attributes})
    return replace(made, geometry=replace(made.geometry, spacing_mm=spacing))


@pytest.fixture
def told(monkeypatch):
    def judge(*volumes, **surface):
        monkeypatch.setattr(faces, "_surface", lambda *_: {**FACE, **surface})
        return faces.recognisable_face(series(*volumes))

    return judge


@pytest.mark.parametrize(
    ("surface", "stated", "is_face"),
    [
        ({}, None, True),
        ({"surface_width_mm": 59.9}, None, False),
        ({"surface_height_mm": 59.9}, None, False),
        ({"nose_height_mm": 0.0}, None, True),  # skin of the front is enough
        ({"nose_height_mm": 12.0}, "NO", True),
        ({"nose_height_mm": 11.9}, "NO", False),
        ({"surface_width_mm": 0.0}, "YES", True),
    ],
)
def test_how_much_of_a_front_is_a_face(told, surface, stated, is_face):
    found = told(scan(RecognizableVisualFeatures=stated), **surface)
    assert codes(found) == (["DEI-FACE-001"] if is_face else [])


@pytest.mark.parametrize(
    ("spacing", "is_face"),
    [
        ((2.0, 2.0, 2.0), True),
        ((2.01, 1.0, 1.0), False),
        ((1.0, 2.01, 1.0), False),
        ((1.0, 1.0, 2.01), False),
    ],
)
def test_every_edge_of_a_voxel_is_two_millimetres_at_most(told, spacing, is_face):
    assert bool(told(scan(spacing=spacing))) is is_face


@pytest.mark.parametrize(
    "passed_over",
    [
        replace(scan(), geometry=None),
        scan(spacing=(3.0, 3.0, 3.0)),
        scan(BodyPartExamined="CHEST"),
        scan(BodyPartExamined=lambda k: None if k else "CHEST"),
    ],
)
def test_every_volume_is_looked_at(told, passed_over):
    assert only(told(passed_over, scan(1))).target == "v1"


def test_a_face_that_is_not_seen_hides_no_other(monkeypatch):
    seen = iter((None, FACE))
    monkeypatch.setattr(faces, "_surface", lambda *_: next(seen))
    assert only(faces.recognisable_face(series(scan(), scan(1)))).target == "v1"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [([], 0), ([0, 0], 0), ([1], 1), ([0, 1, 1, 0, 1], 2), ([1, 0, 1, 1, 1], 3), ([1, 1, 1, 0, 1], 3)],
)
def test_the_longest_run(flags, expected):
    assert faces._longest_run(np.array(flags, np.bool_)) == expected


# ---- the nose: 2 mm from column to column; the sides are looked at 11 columns beside the middle


def profile(columns=41, **places):
    """Depths of one height in mm, 20 but where given, as c12=5.0."""
    made = np.full((1, columns), 20.0)
    for place, depth in places.items():
        made[0, int(place[1:])] = depth
    return made


def stands_out(depth, middle=20, width_mm=2.0):
    return bool(faces._nose(depth, middle, width_mm, LIMITS)[0])


@pytest.mark.parametrize(("tip", "expected"), [(12.0, True), (12.1, False)])
def test_a_nose_stands_out_by_eight_millimetres(tip, expected):
    assert stands_out(profile(c20=tip)) is expected


@pytest.mark.parametrize(("column", "expected"), [(17, True), (16, False), (23, True), (24, False)])
def test_its_tip_lies_within_six_millimetres_of_the_middle(column, expected):
    assert stands_out(profile(**{f"c{column}": 5.0})) is expected


@pytest.mark.parametrize(
    ("side", "depth", "expected"),
    [
        (9, 13.0, False),
        (31, 13.0, False),
        (10, 13.0, True),
        (30, 13.0, True),
        (9, np.inf, True),
        (31, 99.0, True),
    ],
)
def test_the_nearer_side_counts(side, depth, expected):
    assert stands_out(profile(c20=12.0, **{f"c{side}": depth})) is expected


def test_without_skin_on_either_side_or_in_the_middle_there_is_no_nose():
    assert not stands_out(profile(c20=5.0, c9=np.inf, c31=np.inf))
    assert not stands_out(np.full((1, 41), np.inf))


@pytest.mark.parametrize(("middle", "expected"), [(11, True), (10, False), (29, True), (30, False)])
def test_both_sides_lie_in_the_picture(middle, expected):
    assert stands_out(profile(**{f"c{middle}": 5.0}), middle) is expected


@pytest.mark.parametrize(("column", "expected"), [(19, True), (21, True), (18, False), (22, False)])
def test_a_coarse_nose_is_looked_for_one_column_beside_the_middle(column, expected):
    """14 mm from column to column: half a nose is less than one, its sides are two columns away."""
    depth = np.full((1, 41), 20.0)
    depth[0, column] = 5.0
    assert stands_out(depth, width_mm=14.0) is expected


@pytest.mark.parametrize(("column", "expected"), [(19, True), (21, True), (18, False), (22, False)])
def test_six_millimetres_are_one_column_of_five(column, expected):
    depth = np.full((1, 41), 20.0)
    depth[0, column] = 5.0
    assert stands_out(depth, width_mm=5.0) is expected


# ---- which way is up, front and right


def head_at(cosines, spacing=(2.0, 2.0, 2.0), shape=(5, 6, 7)):
    """A scan of air with one bright voxel near its top, front and right."""
    right, down = np.array(cosines[:3]), np.array(cosines[3:])
    up = np.cross(right, down)
    values = np.full(shape, -1000, np.int16)
    made = volume(
        "CT", slices=shape[0], step=tuple(up * spacing[2]), values=values, ImageOrientationPatient=list(cosines),
        PixelSpacing=[spacing[1], spacing[0]],
    )  # fmt: skip
    k, j, i = np.indices(shape)
    place = (
        right[:, None, None, None] * i + down[:, None, None, None] * j + up[:, None, None, None] * k
    )  # in voxels: left, back, up
    wanted = np.array([place[0].min() + 1, place[1].min() + 2, place[2].max() - 1])
    is_wanted = (np.abs(place - wanted[:, None, None, None]) < 0.5).all(axis=0)
    values[is_wanted] = 100
    assert is_wanted.sum() == 1
    return made


@pytest.mark.parametrize(
    "cosines",
    [
        (1, 0, 0, 0, 1, 0), (-1, 0, 0, 0, -1, 0), (-1, 0, 0, 0, 1, 0), (1, 0, 0, 0, -1, 0), (1, 0, 0, 0, 0, -1),
        (0, 1, 0, 0, 0, -1), (0, -1, 0, 0, 0, 1), (0, 1, 0, 1, 0, 0),
    ],
)  # fmt: skip
def test_the_head_stands_whatever_the_planes(cosines):
    head, steps = faces._standing(head_at(cosines), LIMITS)
    assert np.argwhere(head).tolist() == [[1, 2, 1]]  # from the top, from the front, from the right
    assert steps == (2.0, 2.0, 2.0)


def test_voxels_are_thinned_out_to_two_millimetres_at_most():
    made = volume("CT", slices=4, values=np.full((4, 8, 12), 50), step=(0, 0, 1.9), PixelSpacing=[1.0, 0.6])
    head, steps = faces._standing(made, LIMITS)
    assert head.shape == (4, 4, 4)
    assert steps == pytest.approx((1.9, 2.0, 1.8))


@pytest.mark.parametrize(("hu", "is_head"), [(-299, True), (-300, False)])
def test_skin_is_denser_than_air(hu, is_head):
    made = volume("CT", slices=3, values=np.full((3, 4, 4), hu), PixelSpacing=[2, 2])
    assert faces._standing(made, LIMITS)[0].all() == is_head


def test_skin_of_mr_is_a_share_of_the_brightest():
    values = np.full((3, 10, 10), 100.0)
    values[0, 0, :3] = (12.0, 12.1, 5000.0)  # one percent and less is brighter: it is passed over
    made = volume("MR", slices=3, values=values, PixelSpacing=[2, 2])
    head, _ = faces._standing(made, LIMITS)
    assert head[-1, 0, :3].tolist() == [False, True, True]


def test_padding_is_air():
    values = np.full((3, 4, 4), 50)
    values[0] = -1000
    padding = np.zeros(values.shape, np.bool_)
    padding[2] = True
    made = volume("CT", slices=3, values=values, padding=padding, PixelSpacing=[2, 2])
    head, _ = faces._standing(made, LIMITS)
    assert head.any(axis=(1, 2)).tolist() == [False, True, False]


@pytest.mark.parametrize(
    "lacking", [{"geometry": None}, {"values": None}, {"values": np.zeros((2, 2, 2, 3))}]
)
def test_without_grey_values_in_space_no_head_stands(lacking):
    assert faces._standing(replace(scan(), **lacking), LIMITS) is None


# ---- the skin at the front


def surface(monkeypatch, head, steps=(2.0, 2.0, 2.0)):
    monkeypatch.setattr(faces, "_standing", lambda *_: (head, steps))
    return faces._surface(scan(), LIMITS)


def solid(height=40, depth=60, width=70, *, front=10, back=50, columns=(5, 65), rows=(0, 40)):
    made = np.zeros((height, depth, width), np.bool_)
    made[rows[0] : rows[1], front:back, columns[0] : columns[1]] = True
    return made


def test_the_skin_is_measured_in_millimetres(monkeypatch):
    found = surface(monkeypatch, solid(), steps=(1.55, 2.0, 1.25))
    assert found == {"surface_width_mm": 75.0, "surface_height_mm": 62.0, "nose_height_mm": 0.0}
    odd = surface(monkeypatch, solid(), steps=(1.5333, 2.0, 1.0333))
    assert (odd["surface_width_mm"], odd["surface_height_mm"]) == (62.0, 61.3)


def test_a_front_that_is_cut_off_shows_no_skin(monkeypatch):
    assert surface(monkeypatch, solid(front=0))["surface_width_mm"] == 0.0
    assert surface(monkeypatch, solid(front=1))["surface_width_mm"] == 120.0


def test_what_lies_in_the_back_half_is_no_front(monkeypatch):
    """A head from 10 to 48 (its last layer is single), and beside it a shoulder that begins in its middle or before."""
    made = solid()
    made[:, 29:50, 65:70] = True
    assert surface(monkeypatch, made)["surface_width_mm"] == 120.0
    nearer = solid()
    nearer[:, 28:50, 65:70] = True
    assert surface(monkeypatch, nearer)["surface_width_mm"] == 130.0


def test_the_middle_may_lie_between_two_layers(monkeypatch):
    """A head from 10 to 47: what begins at 28 lies before its middle, what begins at 29 behind it."""
    for front, width in ((28, 130.0), (29, 120.0)):
        made = solid(back=49)
        made[:, front:49, 65:70] = True
        assert surface(monkeypatch, made)["surface_width_mm"] == width


def test_lengths_have_one_digit(monkeypatch):
    made = solid(columns=(5, 64))
    made[10:17, 4:10, 34] = True
    found = surface(monkeypatch, made, steps=(1.93, 2.0, 1.49))
    # 59 columns of 1.49 mm are 87.91 mm, 40 rows of 1.93 mm 77.2 mm, and 7 of them 13.51 mm
    assert found == {"surface_width_mm": 87.9, "surface_height_mm": 77.2, "nose_height_mm": 13.5}


def test_the_skin_is_as_broad_as_the_width_asks_for_and_not_the_height(monkeypatch):
    monkeypatch.setattr(faces, "_standing", lambda *_: (solid(), (2.0, 2.0, 2.0)))
    tall = {**LIMITS, "surface_mm": [60.0, 121.0]}
    assert faces._surface(scan(), tall)["surface_height_mm"] == 80.0


@pytest.mark.parametrize(("columns", "height"), [(30, 80.0), (29, 0.0)])
def test_sixty_millimetres_of_skin_are_broad(monkeypatch, columns, height):
    found = surface(monkeypatch, solid(columns=(5, 5 + columns)))
    assert (found["surface_width_mm"], found["surface_height_mm"]) == (columns * 2.0, height)


@pytest.mark.parametrize(("columns", "height"), [((15, 55), 12.0), ((15, 54), 0.0)])
def test_a_nose_is_looked_for_where_the_head_is_eighty_millimetres_wide(monkeypatch, columns, height):
    made = solid(columns=columns)
    middle = round(float(np.argwhere(made[:, :-1] & made[:, 1:])[:, 2].mean()))
    made[10:16, 4:10, middle] = True  # six heights of 2 mm, 12 mm in front of the rest
    assert surface(monkeypatch, made)["nose_height_mm"] == height


def test_a_single_voxel_in_the_air_is_noise(monkeypatch):
    made = solid()
    made[5, 2, 30] = True
    assert surface(monkeypatch, made) == surface(monkeypatch, solid())
    assert surface(monkeypatch, np.zeros((4, 5, 6), np.bool_)) is None
