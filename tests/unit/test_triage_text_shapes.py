"""What looks like text: glyphs drawn as boxes, at the limits of their size, place and distance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from handlers.tables import table
from handlers.triage import burned_in_text
from triage_cases import codes, only, series, volume

SIZE = 200  # the border is 30 pixels wide
LIT = 1000
TEXT = ["DEI-BIA-002"]


def canvas(size=SIZE):
    return np.zeros((size, size), np.int16)


def ring(picture, top, left, rows, columns):
    """A hollow box, one pixel thick: as "O"."""
    picture[top : top + rows, left : left + columns] = LIT
    picture[top + 1 : top + rows - 1, left + 1 : left + columns - 1] = 0


def block(picture, top, left, rows, columns):
    picture[top : top + rows, left : left + columns] = LIT


def line(*glyphs, gap=4, size=SIZE):
    """Rings of (rows, columns) beside each other, their middles on one height."""
    picture, left = canvas(size), 5
    for rows, columns in glyphs:
        ring(picture, 25 - rows // 2, left, rows, columns)
        left += columns + gap
    return picture


def found(*pictures, **attributes):
    values = np.stack(pictures)
    made = replace(volume("US", slices=len(values), values=values), **attributes)
    return burned_in_text.burned_in_text(series(made))


# ---- a glyph


@pytest.mark.parametrize(("rows", "expected"), [(5, []), (6, TEXT), (40, TEXT), (41, [])])
def test_a_glyph_is_6_to_40_pixels_high(rows, expected):
    assert codes(found(line((rows, 6), (rows, 6), (rows, 7), size=400))) == expected


@pytest.mark.parametrize(("columns", "expected"), [(40, TEXT), (41, [])])
def test_a_glyph_is_up_to_40_pixels_wide(columns, expected):
    assert codes(found(line((40, 39), (40, 39), (40, columns), size=400))) == expected


@pytest.mark.parametrize(("columns", "expected"), [(1, TEXT), (6, TEXT), (7, [])])
def test_a_stroke_fills_its_box_and_is_half_as_wide_as_high_at_most(columns, expected):
    picture = line((12, 9), (12, 9))
    block(picture, 19, 31, 12, columns)
    assert codes(found(picture)) == expected


@pytest.mark.parametrize(("hole", "expected"), [(60, TEXT), (59, [])])
def test_a_wide_glyph_covers_85_percent_of_its_box_at_most(hole, expected):
    picture = line((20, 18), (20, 18))
    block(picture, 15, 49, 20, 20)
    picture[17 : 17 + 4, 51:66] = 0  # 60 of 400
    picture[20, 65] = LIT if hole == 59 else 0
    assert codes(found(picture)) == expected


# ---- a line


def test_three_glyphs_of_two_kinds_are_a_line():
    assert codes(found(line((10, 8), (10, 8), (10, 9)))) == TEXT
    assert found(line((10, 8), (10, 9))) == []
    assert found(line((10, 8), (10, 8), (10, 8))) == []  # marks of a ruler


@pytest.mark.parametrize(
    ("heights", "gap", "expected"),
    [((10, 10, 10), 15, TEXT), ((10, 10, 10), 16, []), ((10, 16, 10), 15, TEXT), ((16, 10, 10), 24, TEXT)],
)
def test_neighbours_stand_within_one_and_a_half_heights_of_the_tallest(heights, gap, expected):
    assert codes(found(line(*((rows, 8 + k) for k, rows in enumerate(heights)), gap=gap))) == expected


@pytest.mark.parametrize(
    ("heights", "expected"),
    [((10, 10, 16), TEXT), ((10, 10, 17), []), ((16, 16, 10), TEXT), ((17, 17, 10), []), ((10, 13, 17), [])],
)
def test_glyphs_of_a_line_are_alike_in_height(heights, expected):
    assert codes(found(line(*((rows, 8 + k) for k, rows in enumerate(heights))))) == expected


@pytest.mark.parametrize(
    ("rows", "top", "expected"), [(10, 10, TEXT), (10, 11, []), (16, 7, TEXT), (16, 8, [])]
)
def test_the_middle_of_a_glyph_lies_within_half_a_height(rows, top, expected):
    """Two glyphs of 10 rows have their middle at row 10, the third 5 or 6 rows below it."""
    picture = canvas()
    ring(picture, 5, 5, 10, 8)
    ring(picture, 5, 17, 10, 8)
    ring(picture, top, 29, rows, 9)
    assert codes(found(picture)) == expected


@pytest.mark.parametrize(("rows", "top", "expected"), [(16, 15, TEXT), (16, 14, [])])
def test_a_glyph_may_stand_as_far_above(rows, top, expected):
    """Middle at row 28 (two glyphs of 10 rows), and at 23 or 22."""
    picture = canvas()
    ring(picture, 23, 5, 10, 8)
    ring(picture, 23, 17, 10, 8)
    ring(picture, top, 29, rows, 9)
    assert codes(found(picture)) == expected


@pytest.mark.parametrize(("left", "expected"), [(25, TEXT), (24, [])])
def test_boxes_may_touch_but_not_overlap(left, expected):
    """The second glyph has a bar along its top alone, the third along its foot: they do not touch."""
    picture = canvas()
    ring(picture, 20, 5, 10, 8)
    block(picture, 20, 17, 10, 1)
    block(picture, 20, 17, 1, 8)  # columns 17 to 24
    block(picture, 29, left, 1, 9)
    block(picture, 20, left + 8, 10, 1)
    picture[20, 24] = LIT
    assert codes(found(picture)) == expected


def test_the_line_is_told_from_edge_to_edge():
    picture = canvas()
    ring(picture, 12, 5, 10, 8)
    ring(picture, 10, 17, 14, 8)
    ring(picture, 13, 29, 9, 9)
    evidence = only(found(picture)).evidence
    assert evidence["rows"] == [10, 24]
    assert evidence["columns"] == [5, 38]
    assert evidence["glyphs"] == 3


# ---- what is lit


@pytest.mark.parametrize(("value", "expected"), [(999, TEXT), (998, [])])
def test_text_is_as_bright_as_it_gets(value, expected):
    picture = np.minimum(line((10, 8), (10, 8), (10, 9)), value)
    picture[100, 100] = LIT
    assert codes(found(picture)) == expected


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ({"min": 0.0, "max": 1000.0}, TEXT),
        ({"min": 0.0, "max": 2000.0}, []),
        ({"max": 2000.0}, TEXT),
        ({"min": -9e9}, TEXT),
    ],
)
def test_the_range_that_was_measured_before_is_taken_when_both_ends_are_known(measured, expected):
    assert codes(found(line((10, 8), (10, 8), (10, 9)), measured=measured)) == expected


@pytest.mark.parametrize(("with_text", "without", "expected"), [(9, 1, TEXT), (8, 2, []), (1, 1, [])])
def test_text_stands_in_nine_of_ten_frames(with_text, without, expected):
    text = line((10, 8), (10, 8), (10, 9))
    assert codes(found(*[text] * with_text, *[canvas()] * without)) == expected


@pytest.mark.parametrize(("extra", "expected"), [(0, TEXT), (1, [])])
def test_a_tenth_of_the_border_may_be_lit(extra, expected):
    """The border of 30 pixels has 200² - 140² = 20,400 pixels."""
    picture = line((10, 8), (10, 8), (10, 9))
    wanted = 2040 + extra - np.count_nonzero(picture)
    picture[60 + np.arange(wanted) // 30, np.arange(wanted) % 30] = LIT
    assert codes(found(picture)) == expected


@pytest.mark.parametrize(("dots", "expected"), [(1997, TEXT), (1998, [])])
def test_two_thousand_things_are_noise_if_there_is_one_more(dots, expected):
    picture = line((10, 8), (10, 8), (10, 9), size=400)
    places = np.arange(dots)
    picture[100 + 2 * (places // 90), 100 + 2 * (places % 90)] = LIT
    assert codes(found(picture)) == expected


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_text_of_any_colour_is_found(channel):
    colour = np.zeros((SIZE, SIZE, 3), np.uint8)
    colour[..., channel] = line((10, 8), (10, 8), (10, 9)) // 4
    assert codes(found(colour)) == TEXT


def test_a_volume_without_text_hides_no_other():
    plain = volume("US", slices=1, values=canvas()[None])
    text = volume("US", index=1, slices=1, values=line((10, 8), (10, 8), (10, 9))[None])
    assert only(burned_in_text.burned_in_text(series(plain, text))).target == "v1"


def test_a_picture_of_one_value_shows_nothing_whatever_its_padding_leaves():
    text = line((10, 8), (10, 8), (10, 9))
    even = np.full_like(text, 7)
    assert found(even, padding=text[None] == 0) == []


LIMITS = table("privacy")["text"]


@pytest.mark.parametrize(("place", "expected"), [((100, 100), None), ((5, 5), 1)])
def test_one_lit_pixel_of_the_border_is_something(place, expected):
    picture = canvas()
    picture[place] = LIT
    lit = burned_in_text._lit(volume("US", slices=1, values=picture[None]), LIMITS)
    assert (lit if lit is None else np.count_nonzero(lit)) == expected


@pytest.mark.parametrize(
    ("size", "share", "inside"), [(3, 0.15, 1), (9, 0.15, 7), (10, 0.15, 6), (20, 0.15, 14)]
)
def test_a_border_has_one_pixel_at_least(size, share, inside):
    """0.15 of 10 are rounded to 2 pixels."""
    border = burned_in_text._border((size, size), share)
    assert np.count_nonzero(~border) == inside**2
