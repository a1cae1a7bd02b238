"""The geometry of a stack exactly at its limits: what is no plane, no position, no code; which gap is the nominal one."""

from __future__ import annotations

import numpy as np
import pytest

from handlers import geometry
from handlers.errors import VolumeError
from handlers.geometry import LENGTH_LIMIT_MM, axis_codes, measure, orientation_and_position
from triage_cases import volume

AXIAL = [1, 0, 0, 0, 1, 0]


def frame(cosines=AXIAL, position=(0.0, 0.0, 0.0), **attributes):
    made = volume(
        "CT",
        slices=1,
        ImageOrientationPatient=list(cosines),
        ImagePositionPatient=list(position),
        **attributes,
    )
    return made.frames[0]


@pytest.mark.parametrize(
    ("cosines", "is_plane"),
    [
        ([1, 0, 0, 1, 0, 0], False),
        ([0, 1, 0, 0, 1, 0], False),
        ([0, 0, 1, 0, 0, 1], False),
        ([0.6, 0.8, 0, 0.6, 0.8, 0], False),  # of the same direction, whatever it is
        ([0.6, 0, 0.8, 0.6, 0, 0.8], False),
        ([0, 0.6, 0.8, 0, 0.6, 0.8], False),
        ([0.6, 0.8, 0, -0.6, -0.8, 0], False),
        ([0.48, 0.6, 0.64, 0.48, 0.6, 0.64], False),
        ([0.6, 0.8, 0, -0.8, 0.6, 0], True),
        ([0.6, 0, 0.8, -0.8, 0, 0.6], True),
        ([0, 0.6, 0.8, 0, -0.8, 0.6], True),
    ],
)
def test_two_directions_span_a_plane_unless_they_are_parallel(cosines, is_plane):
    assert (orientation_and_position(frame(cosines)) is not None) is is_plane


@pytest.mark.parametrize(("far_mm", "is_used"), [(LENGTH_LIMIT_MM, True), (LENGTH_LIMIT_MM + 0.5, False)])
def test_a_position_lies_within_a_kilometre(far_mm, is_used):
    assert LENGTH_LIMIT_MM == 1e6
    for axis in range(3):
        place = [far_mm if each == axis else 0.0 for each in range(3)]
        assert (orientation_and_position(frame(position=place)) is not None) is is_used
        assert (orientation_and_position(frame(position=np.negative(place))) is not None) is is_used


@pytest.mark.parametrize(
    ("spacing", "code"), [([1e6, 1e6], ""), ([1e6 + 1, 1.0], "GEO-014"), ([1.0, 0.0], "GEO-014")]
)
def test_a_pixel_is_smaller_than_a_kilometre_and_larger_than_nothing(spacing, code):
    frames = [frame(PixelSpacing=spacing)]
    if not code:
        assert measure(frames)[1].spacing_mm[:2] == tuple(spacing)
        return
    with pytest.raises(VolumeError) as raised:
        measure(frames)
    assert raised.value.code == code


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [frame([1, 0, 0, 1, 0, 0])],
        [frame(), frame([-1, 0, 0, 0, -1, 0], (0, 0, 2))],  # their mean has no direction
    ],
    ids=["no frames", "no plane", "opposite directions"],
)
def test_what_has_no_geometry_says_so(frames):
    with pytest.raises(VolumeError) as raised:
        measure(frames)
    assert raised.value.code == "GEO-001"


@pytest.mark.parametrize(
    ("gaps", "nominal", "missing"),
    [
        ((2.0, 4.0), 2.0, ((1, 1),)),  # of two gaps the smaller is the nominal one
        ((4.0, 2.0), 2.0, ((0, 1),)),
        ((2.0, 4.0, 2.0, 4.0), 2.0, ((1, 1), (3, 1))),  # of four the second
        ((2.0, 2.0, 6.0), 2.0, ((2, 2),)),
        ((2.0, 2.25), 2.0, ()),  # uneven, and no hole
        ((2.0, 2.0, 4.2), 2.05, ((2, 1),)),  # 5 % of two gaps: still a hole of one
        ((2.0, 2.0, 4.21), 2.0, ()),
        ((8.0, 8.0, 8.0, 66.0), None, None),
    ],
)
def test_a_hole_is_a_whole_number_of_nominal_gaps(gaps, nominal, missing):
    stack = geometry._stack(np.concatenate([[0.0], np.cumsum(gaps)]))
    if nominal is None:  # 66 is 8.25 gaps: a quarter of a gap is the most that a long hole may be off
        assert stack.missing == ((3, 7),)
        return
    assert stack.missing == missing
    assert stack.nominal == pytest.approx(nominal)


@pytest.mark.parametrize(
    ("gap", "is_apart"), [(geometry.DUPLICATE_MM, True), (geometry.DUPLICATE_MM * 0.99, False)]
)
def test_positions_are_one_below_a_thousandth_of_a_millimetre(gap, is_apart):
    stack = geometry._stack(np.array([0.0, gap]))
    assert (stack.nominal > 0) is is_apart
    assert geometry._duplicates(np.array([gap])) == (() if is_apart else ((0, 1),))
    assert geometry._stack(np.array([0.0, 0.0])).is_uniform


@pytest.mark.parametrize(
    ("attributes", "step_mm", "source"),
    [
        ({"SpacingBetweenSlices": 3}, 3.0, "SpacingBetweenSlices"),
        ({"SpacingBetweenSlices": 0, "SliceThickness": 5}, 5.0, "SliceThickness"),
        ({"SpacingBetweenSlices": 0.5}, 0.5, "SpacingBetweenSlices"),
        ({"SpacingBetweenSlices": -2, "SliceThickness": 5}, 5.0, "SliceThickness"),
        ({"SpacingBetweenSlices": 1e6, "SliceThickness": 5}, 5.0, "SliceThickness"),
        ({"SpacingBetweenSlices": None, "SliceThickness": None}, 1.0, "unknown"),
    ],
)
def test_one_slice_takes_its_depth_from_what_is_stated(attributes, step_mm, source):
    _, found = measure([frame(**attributes)])
    assert (found.spacing_mm[2], found.slice_spacing_source) == (step_mm, source)


def test_axes_of_no_length_and_translations_have_no_say_in_the_letters():
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = (-900.0, 800.0, -700.0)
    assert axis_codes(affine) == "LPS"
    flat = np.diag([0.5, -0.25, 0.0, 1.0])
    assert axis_codes(flat) == "LAI"  # the third is the cross product of the others
    assert axis_codes(np.diag([-1.0, 1.0, 0.001, 1.0])) == "RPS"
