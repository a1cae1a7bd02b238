"""Chest wall and pectoral muscle in pictures that are drawn, exactly at the limits of the rules."""

from __future__ import annotations

import numpy as np
import pytest

from handlers.model import Severity
from handlers.tables import table
from handlers.triage import mammography, mammography_picture
from triage_cases import codes, series, volume

MG = "1.2.840.10008.5.1.4.1.1.1.2"
WALL, MUSCLE = (table("projections")[name] for name in ("chest_wall", "pectoral"))
ROWS, COLUMNS = 100, 80
BREAST = 0.4


def mammogram(index=0, view="CC", **attributes):
    plain = {
        "PixelSpacing": None, "ImageOrientationPatient": None, "ViewPosition": view, "ImageLaterality": "R",
        "PatientOrientation": ["P", "L"], "PresentationIntentType": "FOR PRESENTATION",
    }  # fmt: skip
    return volume("MG", index=index, slices=1, sop_class=MG, **{**plain, **attributes})


# ---- the chest wall


def touching(rows=50, *, columns=40, top=0, side_columns=0, other_rows=0):
    """Tissue at the left edge over `rows`, and where wanted along the upper edge and at the right one."""
    made = np.zeros((ROWS, COLUMNS))
    made[top : top + rows, :columns] = BREAST
    made[:2, :side_columns] = BREAST
    made[40 : 40 + other_rows, -2:] = BREAST
    return made


@pytest.mark.parametrize(
    ("picture", "side"),
    [
        (touching(50, top=20), "left"),
        (touching(49, top=20), ""),  # less than half of the edge
        (touching(60, top=20, other_rows=8), "left"),
        (touching(60, top=20, other_rows=9), ""),  # the opposite edge is touched as well
        (touching(60, top=20, side_columns=29), "left"),  # 62 % against 36 % beside it
        (touching(60, top=20, side_columns=30), ""),
        (touching(100, columns=72), ""),  # nothing is air on three sides
        (np.full((ROWS, COLUMNS), BREAST), ""),
    ],
)
def test_the_chest_wall_is_the_edge_that_the_breast_touches(picture, side):
    assert mammography_picture._chest_wall_side(picture) == side
    if side:
        assert mammography_picture._chest_wall_side(picture[:, ::-1]) == "right"
        assert mammography_picture._chest_wall_side(picture.T) == "top"
        assert mammography_picture._chest_wall_side(picture[:, ::-1].T) == "bottom"


@pytest.mark.parametrize(("air_columns", "side"), [(8, "left"), (7, "")])
def test_a_tenth_of_the_picture_is_air(air_columns, side):
    """The breast touches three edges but for a strip: those beside the wall in part only."""
    made = np.full((ROWS, COLUMNS), BREAST)
    made[:, COLUMNS - air_columns :] = 0
    made[:2, 50:] = made[-2:, 50:] = 0
    made[2:, 72:73] = BREAST if air_columns == 7 else 0
    total_air = float((made <= WALL["air"]).mean())
    assert (total_air >= WALL["min_air"]) is (side == "left")
    assert mammography_picture._chest_wall_side(made) == side


@pytest.mark.parametrize(("extra", "side"), [(0, "left"), (1, "")])
def test_exactly_a_tenth_of_air_is_enough(extra, side):
    """800 of 8000 pixels: six columns at the right, and in front of them strips at three edges."""
    made = np.full((ROWS, COLUMNS), BREAST)
    made[:, 74:] = made[:2, 54:74] = made[-2:, 54:74] = made[20:80, 72:74] = 0.0
    assert np.count_nonzero(made == 0) == 800
    made[20, 72 : 72 + extra] = BREAST
    assert mammography_picture._chest_wall_side(made) == side


TURNS = {
    "left": lambda made: made,
    "right": lambda made: made[:, ::-1],
    "top": lambda made: made.T,
    "bottom": lambda made: made[:, ::-1].T,
}


@pytest.mark.parametrize(("row", "column", "is_seen"), [(20, 2, True), (20, 1, False)])
@pytest.mark.parametrize("side", TURNS)
def test_two_pixels_from_the_edge_are_the_contact(side, row, column, is_seen):
    """Half of the edge is touched: a hole in the second pixel is one too many, in the third it is none."""
    made = touching(50, top=20)
    made[row, column] = 0.0
    assert mammography_picture._chest_wall_side(TURNS[side](made)) == (side if is_seen else "")


@pytest.mark.parametrize(("value", "side"), [(0.081, "left"), (0.08, "")])
def test_what_is_brighter_than_air_is_tissue(value, side):
    assert mammography_picture._chest_wall_side(np.where(touching(60, top=20) > 0, value, 0.0)) == side


def test_only_the_outermost_two_rows_and_columns_touch():
    made = np.zeros((ROWS, COLUMNS))
    made[20:80, 2:40] = BREAST  # beside the edge, not at it
    assert mammography_picture._chest_wall_side(made) == ""
    made[20:80, 1] = BREAST  # one of the two columns, over 60 %: 30 % in all
    assert mammography_picture._chest_wall_side(made) == ""


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_the_wall_is_turned_to_the_left(side):
    made = touching(60, top=10)
    place = {"left": made, "right": made[:, ::-1], "top": made.T, "bottom": made[:, ::-1].T}[side]
    assert np.array_equal(mammography_picture._chest_wall_to_the_left(place, side), made)


# ---- the triangle in the upper left corner


def corner(height=50, width=40, *, muscle=0.8, rows=ROWS, columns=COLUMNS, breast=BREAST):
    """A triangle of so many rows, whose upper row has `width` columns, in a breast that fills the rest."""
    made = np.full((rows, columns), breast)
    for row in range(height):
        made[row, : round(width * (1 - row / height))] = muscle
    return made


def test_a_triangle_is_told_by_height_width_and_angle():
    found = mammography_picture._triangle(corner(50, 40))
    assert found == {
        "height": 0.5,
        "width": 0.5,
        "angle_deg": 38.6,
    }
    odd = mammography_picture._triangle(corner(61, 37, rows=140, columns=111))
    assert odd["width"] == 0.333
    assert odd["height"] == 0.436


@pytest.mark.parametrize(("height", "is_seen"), [(20, True), (19, False)])
def test_it_is_a_fifth_of_the_picture_high(height, is_seen):
    assert (mammography_picture._triangle(corner(height, 12)) is not None) is is_seen


@pytest.mark.parametrize(("width", "is_seen"), [(12, True), (11, False)])
def test_it_is_an_eighth_of_the_picture_wide(width, is_seen):
    """12 % of 100 columns."""
    assert (mammography_picture._triangle(corner(40, width, columns=100)) is not None) is is_seen


@pytest.mark.parametrize(("muscle", "is_seen"), [(0.461, True), (0.459, False)])
def test_it_is_brighter_than_the_breast(muscle, is_seen):
    assert (mammography_picture._triangle(corner(muscle=muscle)) is not None) is is_seen


@pytest.mark.parametrize(("width", "is_seen"), [(10, True), (6, False), (74, True), (90, False)])
def test_its_border_leans_by_8_to_55_degrees(width, is_seen):
    """Of 60 rows in 400 columns a share of the tissue that does not matter here."""
    found = mammography_picture._triangle(corner(60, width, rows=200, columns=48 if width < 20 else 400))
    assert (found is not None) is is_seen


def test_it_covers_less_than_half_of_the_tissue():
    assert mammography_picture._triangle(corner(90, 70)) is not None  # 3150 of 8000
    assert mammography_picture._triangle(corner(99, 79, columns=82)) is None  # 3900 of 8200


def test_its_border_is_straight():
    bent = corner(60, 40)
    for row in range(60):
        bent[row, :40] = BREAST
        bent[row, : max(1, round(40 * (1 - row / 60) ** 6))] = 0.8
    assert mammography_picture._triangle(bent) is None


def test_a_strip_or_a_corner_of_air_is_no_muscle():
    strip = np.full((ROWS, COLUMNS), BREAST)
    strip[:, :20] = 0.8
    assert mammography_picture._triangle(strip) is None
    dark = corner()
    dark[:4, :3] = WALL["air"]
    assert mammography_picture._triangle(dark) is None
    assert mammography_picture._triangle(np.zeros((ROWS, COLUMNS))) is None


@pytest.mark.parametrize(
    ("row", "column", "is_seen"), [(40, 32, True), (39, 32, True), (40, 31, True), (39, 31, False)]
)
def test_the_corner_is_a_twenty_fifth_of_the_picture(row, column, is_seen):
    made = corner(500, 400, rows=1000, columns=800)
    made[row, column] = 0.0
    assert (mammography_picture._triangle(made) is not None) is is_seen


def test_one_pixel_as_dark_as_air_in_the_corner_is_enough():
    made = corner(500, 400, rows=1000, columns=800)
    made[39, 31] = WALL["air"]
    assert mammography_picture._triangle(made) is None
    made[39, 31] = WALL["air"] + 0.001
    assert mammography_picture._triangle(made) is not None


@pytest.mark.parametrize(("bright", "is_seen"), [(5, True), (4, False)])
def test_the_corner_of_a_small_picture_has_nine_pixels_and_their_median_counts(bright, is_seen):
    """Muscle at 0.44 is too dark beside a breast of 0.4, at 0.47 it is not."""
    made = corner(30, 25, rows=60, columns=50, muscle=0.44)
    for place in range(bright):
        made[place // 3, place % 3] = 0.47
    assert (mammography_picture._triangle(made) is not None) is is_seen


@pytest.mark.parametrize(("muscle", "is_seen"), [(0.31, True), (0.309, False)])
def test_it_is_brighter_by_six_hundredths_at_least(muscle, is_seen):
    assert MUSCLE["min_step"] == 0.31 - 0.25
    assert (mammography_picture._triangle(corner(breast=0.25, muscle=muscle)) is not None) is is_seen


def edged(widths, *, rows=ROWS, columns=COLUMNS, muscle=0.75, breast=0.25):
    """A muscle of so many pixels in each row from the top."""
    made = np.full((rows, columns), breast)
    for row, width in enumerate(widths):
        made[row, :width] = muscle
    return made


def test_what_lies_midway_between_muscle_and_breast_is_breast():
    widths = [40 - row for row in range(40)]
    made = edged(widths)
    for row, width in enumerate(widths):
        made[row, width] = 0.5
    assert mammography_picture._triangle(made) == {"height": 0.4, "width": 0.5, "angle_deg": 45.0}


def test_a_muscle_may_reach_from_edge_to_edge():
    made = edged(
        [40 - round(39 * row / 99) for row in range(100)]
    )  # 40 pixels in the first row, 1 in the last
    found = mammography_picture._triangle(made)
    assert (found["height"], found["width"]) == (1.0, 0.5)
    assert found["angle_deg"] == pytest.approx(np.degrees(np.arctan(39 / 99)), abs=0.1)


def test_it_ends_with_the_first_row_that_has_none():
    made = edged([round(42 - 1.4 * row) for row in range(29)])
    assert (made[28, 2], made[28, 3], made[29, 0]) == (0.75, 0.25, 0.25)  # 42 to 3 pixels, then none
    assert mammography_picture._triangle(made)["height"] == 0.29


def test_its_width_is_that_of_the_first_row():
    made = corner(20, 12, columns=100)
    assert np.count_nonzero(made == 0.8, axis=1)[:2].tolist() == [12, 11]
    assert mammography_picture._triangle(made)["width"] == 0.12


@pytest.mark.parametrize(("extra", "is_seen"), [(0, True), (1, False)])
def test_it_covers_45_percent_of_the_tissue_at_most(extra, is_seen):
    """61 pixels in the first row, one less in every second: 3600 of 8000."""
    widths = [61 - (row + 1) // 2 for row in range(100)]
    assert sum(widths) == 3600
    widths[50] += extra
    assert (mammography_picture._triangle(edged(widths)) is not None) is is_seen


def test_the_end_of_a_wall_is_one_pixel_at_least():
    made = np.zeros((4, 10))
    made[1:3] = BREAST
    assert mammography_picture._has_air_at_both_ends(made)


@pytest.mark.parametrize(
    ("top", "bottom", "expected"), [(12, 88, True), (11, 88, False), (12, 89, False), (40, 60, True)]
)
def test_air_at_both_ends_of_the_wall(top, bottom, expected):
    """An eighth of 100 rows: 12 at either end."""
    made = np.zeros((ROWS, COLUMNS))
    made[top:bottom, 1] = BREAST
    assert mammography_picture._has_air_at_both_ends(made) is expected
    made[:, 2:] = BREAST  # only the two outermost columns are the wall
    assert mammography_picture._has_air_at_both_ends(made) is expected


# ---- the rules


@pytest.fixture
def pectoral(monkeypatch):
    """What is told of mammograms that are drawn, in their order."""

    def judge(pairs):
        pictures = iter([picture for picture, _ in pairs])
        monkeypatch.setattr(mammography_picture, "reduced_picture", lambda _: next(pictures))
        made = [mammogram(k, **options) for k, (_, options) in enumerate(pairs)]
        return mammography_picture.pectoral_muscle(series(*made))

    return judge


def with_muscle():
    made = corner(50, 30)
    made[:, 60:] = 0.0
    return made


def without_muscle():
    return touching(60, top=20)


def test_a_muscle_in_a_cc_and_none_in_an_mlo_are_told(pectoral):
    found = pectoral([
        (None, {}), (np.zeros((ROWS, COLUMNS)), {}), (with_muscle(), {"view": "ML"}),
        (with_muscle(), {}), (without_muscle(), {"view": "MLO"}), (without_muscle(), {}), (with_muscle(), {"view": "MLO"}),
    ])  # fmt: skip
    assert [(each.code, each.severity, each.target) for each in found] == [
        ("MAM-008", Severity.WARN, "v3"),
        ("MAM-008", Severity.WARN, "v4"),
    ]


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (["P", "L"], "right"),
        (["A", "R"], "left"),
        (["L", "A"], "top"),
        (["R", "PH"], "bottom"),
        (["A", "P"], ""),
        (["P"], ""),
        (["AR", "H"], "left"),
    ],
)
def test_the_side_that_the_orientation_names(orientation, expected):
    frame = mammogram(PatientOrientation=orientation).frames[0]
    assert mammography_picture._stated_side(frame) == expected


@pytest.mark.parametrize(
    ("view", "angle", "expected"),
    [
        ("CC", 15, []), ("CC", 15.1, ["MAM-003"]), ("CC", -15, []), ("CC", 0, []), ("MLO", 30, []), ("MLO", 29.9, ["MAM-003"]),
        ("MLO", 70, []), ("MLO", 70.1, ["MAM-003"]), ("MLO", -45, []), ("CC", None, []), ("XCC", 90, []), ("ML", 90, []),
    ],
)  # fmt: skip
def test_the_angle_of_the_tube_goes_with_the_view(view, angle, expected):
    found = mammography.view(series(mammogram(view=view, PositionerPrimaryAngle=angle)))
    assert codes(found) == expected
    assert all(each.severity is Severity.REVIEW for each in found)


@pytest.mark.parametrize("angle", [0, 180, -180])
def test_other_views_take_every_angle(angle):
    assert mammography.view(series(mammogram(view="ML", PositionerPrimaryAngle=angle))) == []


@pytest.mark.parametrize("angle", [180.5, -180.5])
def test_more_than_half_a_turn_is_no_angle(angle):
    found = mammography.view(series(mammogram(view="ML", PositionerPrimaryAngle=angle)))
    assert codes(found) == ["MAM-003"]


def test_a_mammogram_without_side_or_view_is_held_and_special_views_warn():
    nothing = mammogram(ImageLaterality=None)
    (side,) = mammography.laterality(series(mammogram(), nothing))
    assert (side.code, side.severity) == ("MAM-001", Severity.REVIEW)
    (unknown,) = mammography.view(series(mammogram(), mammogram(1, view=None)))
    assert (unknown.code, unknown.severity, unknown.target) == ("MAM-002", Severity.REVIEW, "v1")
