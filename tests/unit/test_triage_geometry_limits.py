"""Geometry rules exactly at their limits, on volumes whose measured geometry is set by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from handlers.model import Severity
from handlers.tables import table
from handlers.triage import extent, mr_components, mr_scales, plane_geometry, slice_spacing
from triage_cases import codes, only, series, volume

SLICES, PLANES, TILT = (table("geometry")[name] for name in ("slices", "planes", "tilt"))


def measured_as(base=None, **geometry):
    """A volume of 20 slices, 2 mm apart, pixels of 0.7 mm, with these figures in its geometry."""
    base = base or volume("CT", PixelSpacing=[0.7, 0.7])
    return replace(base, geometry=replace(base.geometry, **geometry))


def gaps(*last, count=19):
    """Gaps of 2 mm, but the last ones."""
    return {"gaps_mm": (2.0,) * (count - len(last)) + last}


def told(rule, *volumes):
    return codes(rule(series(*volumes)))


# ---- a rule goes on behind a volume that it passes over


@pytest.mark.parametrize(
    ("rule", "passed_over", "met", "code"),
    [
        (slice_spacing.uneven_spacing, {"missing": ((3, 1),)}, gaps(9.0), "GEO-006"),
        (slice_spacing.missing_slices, {"missing": ()}, {"missing": ((3, 1),)}, "GEO-005"),
        (slice_spacing.shear, {"shear_deg": 0.0}, {"shear_deg": 9.0}, "GEO-008"),
        (slice_spacing.overlap_or_gap, {}, {"spacing_mm": (0.7, 0.7, 9.0)}, "GEO-012"),
    ],
)
def test_every_volume_of_a_series_is_looked_at(rule, passed_over, met, code):
    second = measured_as(volume("CT", index=1, PixelSpacing=[0.7, 0.7]), **met)
    assert [(f.code, f.target) for f in rule(series(measured_as(**passed_over), second))] == [(code, "v1")]


@pytest.mark.parametrize(
    ("rule", "met", "code"),
    [
        (plane_geometry.crooked_stack, {"residual_mm": 1.0}, "GEO-010"),
        (plane_geometry.oblique, {"row_cosine": (0.9, math.sqrt(0.19), 0.0)}, "GEO-020"),
        (slice_spacing.missing_slices, {"missing": ((3, 1),)}, "GEO-005"),
        (slice_spacing.anisotropic, {"spacing_mm": (0.5, 0.5, 2.0)}, "GEO-019"),
    ],
)
def test_a_volume_without_a_place_is_passed_over(rule, met, code):
    nowhere = replace(volume("CT"), geometry=None)
    second = measured_as(volume("CT", index=1, PixelSpacing=[0.7, 0.7]), **met)
    assert [(f.code, f.target) for f in rule(series(nowhere, second))] == [(code, "v1")]


def test_a_volume_that_has_its_geometry_does_not_hide_one_that_has_none():
    lost = volume("CT", index=1, PixelSpacing=None)
    found = only(plane_geometry.missing_geometry(series(volume("CT"), lost)))
    assert (found.code, found.target) == ("GEO-001", "v1")


def test_one_slice_without_an_attribute_is_enough_to_name_it():
    lost = volume("CT", ImageOrientationPatient=lambda k: None if k == 7 else [1, 0, 0, 0, 1, 0])
    found = only(plane_geometry.missing_geometry(series(replace(lost, geometry=None))))
    assert found.evidence["absent"] == ["ImageOrientationPatient"]


def test_a_thickness_that_is_absent_or_zero_says_nothing_and_the_next_volume_is_looked_at():
    thick = volume("CT", index=2, SliceThickness=5)
    unknown = [volume("CT", SliceThickness=None), volume("CT", index=1, SliceThickness=0)]
    found = only(slice_spacing.overlap_or_gap(series(*unknown, thick)))
    assert found.target == "v2"


def test_a_thin_but_positive_thickness_leaves_gaps():
    found = only(slice_spacing.overlap_or_gap(series(volume("CT", SliceThickness=0.8))))
    assert "leave gaps" in found.message


def test_repeated_positions_alone_are_no_stack():
    still = measured_as(gaps_mm=(0.0,) * 18 + (SLICES["same_position_mm"],), spacing_mm=(0.1, 0.1, 1.0))
    assert told(slice_spacing.anisotropic, still) == []
    moving = measured_as(gaps_mm=(0.0,) * 18 + (0.0011,), spacing_mm=(0.1, 0.1, 1.0))
    assert told(slice_spacing.anisotropic, moving) == ["GEO-019"]


def test_pixels_without_a_size_have_no_anisotropy():
    assert told(slice_spacing.anisotropic, measured_as(spacing_mm=(0.0, 0.7, 2.0))) == []


# ---- at the limit, and just beyond it


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (2.02, []),  # 1 % of 2 mm
        (2.0201, ["GEO-004"]),
        (2.1, ["GEO-004"]),  # 5 %
        (2.1001, ["GEO-006"]),
    ],
)
def test_uneven_spacing(last, expected):
    # numbers a binary fraction below the limit, so that rounding decides nothing
    assert told(slice_spacing.uneven_spacing, measured_as(**gaps(last - 1e-12))) == expected


def test_uneven_spacing_at_the_very_limits(monkeypatch):
    monkeypatch.setattr(slice_spacing, "UNIFORM_RELATIVE", 0.125)
    monkeypatch.setattr(slice_spacing, "FITTED_RELATIVE", 0.25)
    assert told(slice_spacing.uneven_spacing, measured_as(**gaps(2.25))) == []
    assert told(slice_spacing.uneven_spacing, measured_as(**gaps(2.5))) == ["GEO-004"]


def test_thin_slices_may_differ_by_a_hundredth_of_a_millimetre():
    thin = {"gaps_mm": (0.3,) * 18 + (0.309,), "spacing_mm": (0.7, 0.7, 0.3)}
    assert told(slice_spacing.uneven_spacing, measured_as(**thin)) == []


def test_slight_unevenness_warns():
    found = only(slice_spacing.uneven_spacing(series(measured_as(**gaps(2.08)))))
    assert (found.code, found.severity) == ("GEO-004", Severity.WARN)


def test_a_hole_of_one_slice_in_fifty_is_two_percent_and_may_be_filled():
    whole = volume("CT", slices=49)
    found = only(slice_spacing.missing_slices(series(measured_as(whole, missing=((3, 1),)))))
    assert found.evidence["fraction"] == 0.02
    assert found.evidence["is_fillable"] is True


def test_the_share_of_missing_slices_has_four_digits_and_five_holes_are_named():
    holes = tuple((3 * k, 1) for k in range(6))
    found = only(slice_spacing.missing_slices(series(measured_as(missing=holes))))
    assert found.evidence["fraction"] == 0.2308  # 6 of 26
    assert found.message.endswith("1 after slice 10, 1 after slice 13")
    assert found.message.count("after slice") == 5
    assert len(found.evidence["missing"]) == 6


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(TILT["warn_deg"], []), (TILT["correct_deg"], "slight shear"), (0.51, "gantry tilt")],
)
def test_tilt_at_its_limits(degrees, expected):
    found = slice_spacing.shear(series(measured_as(shear_deg=degrees)))
    assert [each.message.split(" of ")[0] for each in found] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("modality", "tag", "shear_deg", "expected"),
    [
        ("CT", TILT["correct_deg"], 0.0, []),
        ("CT", 0.6, 0.0, ["GEO-009"]),
        ("CT", 0.6, TILT["warn_deg"], ["GEO-009"]),
        ("CT", 0.6, 0.11, []),
        ("MR", 0.6, 0.0, []),
    ],
)
def test_a_stated_tilt_at_its_limits(modality, tag, shear_deg, expected):
    stated = measured_as(volume(modality, GantryDetectorTilt=tag), shear_deg=shear_deg)
    found = slice_spacing.tilt_without_shear(series(stated))
    assert codes(found) == expected
    assert all(each.severity is Severity.WARN for each in found)


@pytest.mark.parametrize(
    ("step_mm", "stated", "expected"),
    [
        (8.0, 8.0625, []),  # below 1 % of 8 mm
        (8.0, 8.09, ["GEO-011"]),
        (0.25, 0.2599, []),  # below a hundredth of a millimetre
        (0.25, 0.2602, ["GEO-011"]),
        (0.5, 0.4, ["GEO-011"]),
    ],
)
def test_stated_spacing_at_its_limits(step_mm, stated, expected):
    stack = measured_as(volume("CT", SpacingBetweenSlices=stated), spacing_mm=(0.7, 0.7, step_mm))
    found = slice_spacing.stated_spacing(series(stack))
    assert codes(found) == expected
    assert all(each.severity is Severity.INFO for each in found)


def test_stated_spacing_at_the_very_limit(monkeypatch):
    monkeypatch.setattr(slice_spacing, "TAG_RELATIVE", 0.125)
    assert told(slice_spacing.stated_spacing, measured_as(volume("CT", SpacingBetweenSlices=2.25))) == []


@pytest.mark.parametrize(
    ("thickness", "expected"),
    [(1.9, None), (1.899, "leave gaps"), (2.0, None), (2.02, None), (2.021, "overlap")],
)
def test_thickness_at_its_limits(thickness, expected):
    found = slice_spacing.overlap_or_gap(series(volume("CT", SliceThickness=thickness)))
    assert [each.message.split(":")[0] for each in found] == ([f"slices {expected}"] if expected else [])


def test_the_gap_is_the_part_of_the_spacing_that_no_slice_covers():
    stack = measured_as(volume("CT", SliceThickness=2), spacing_mm=(0.7, 0.7, 3.0))
    assert only(slice_spacing.overlap_or_gap(series(stack))).evidence["gap_fraction"] == 0.3333


def test_anisotropy_of_three_is_ordinary():
    assert told(slice_spacing.anisotropic, measured_as(spacing_mm=(0.5, 0.5, 1.5))) == []
    found = only(slice_spacing.anisotropic(series(measured_as(spacing_mm=(0.6, 0.6, 2.0)))))
    assert (found.severity, found.evidence["anisotropy"]) == (Severity.INFO, 3.333)


@pytest.mark.parametrize(
    ("error", "severity"),
    [
        (PLANES["orthonormal_warn"], None),
        (0.0011, Severity.WARN),
        (PLANES["orthonormal_review"], Severity.WARN),
        (0.011, Severity.REVIEW),
    ],
)
def test_direction_cosines_at_their_limits(error, severity):
    found = plane_geometry.inexact_orientation(series(measured_as(orthonormality_error=error)))
    assert [each.severity for each in found] == ([severity] if severity else [])


def test_a_volume_without_a_place_has_no_orientation_to_vary():
    nowhere = replace(volume("CT"), geometry=None)
    assert plane_geometry.varying_orientation(series(nowhere)) == []
    assert plane_geometry.inexact_orientation(series(nowhere)) == []


@pytest.mark.parametrize(("degrees", "expected"), [(PLANES["spread_deg"], []), (0.11, [Severity.WARN])])
def test_jitter_of_orientation_at_its_limit(degrees, expected):
    found = plane_geometry.varying_orientation(series(measured_as(orientation_spread_deg=degrees)))
    assert [each.severity for each in found] == expected


@pytest.mark.parametrize(("residual_mm", "expected"), [(0.05, []), (0.051, ["GEO-010"]), (0.06, ["GEO-010"])])
def test_a_sideways_shift_is_measured_in_the_smaller_side_of_a_pixel(residual_mm, expected):
    stack = measured_as(spacing_mm=(0.8, 0.5, 0.3), residual_mm=residual_mm)
    assert told(plane_geometry.crooked_stack, stack) == expected


def test_pixels_that_are_nearly_square_are_square():
    assert told(plane_geometry.pixel_spacing, volume("CT", PixelSpacing=[8.0, 8.0078125])) == []
    found = only(plane_geometry.pixel_spacing(series(volume("CT", PixelSpacing=[8.0, 8.0078126 + 0.01]))))
    assert (found.code, found.severity) == ("GEO-014", Severity.INFO)
    assert told(plane_geometry.pixel_spacing, volume("CT", PixelSpacing=[0.5, 0.501])) == ["GEO-014"]


@pytest.mark.parametrize("spacing", [[0.7, 0], [0, 0.7]])
def test_one_side_of_no_length_is_invalid(spacing):
    found = only(plane_geometry.pixel_spacing(series(volume("CT", PixelSpacing=spacing))))
    assert (found.code, found.severity) == ("GEO-014", Severity.ERROR)


def test_the_first_invalid_spacing_is_told():
    odd = volume("CT", PixelSpacing=lambda k: [0.5, 0.5] if k < 4 else [0, 0.5] if k == 4 else [0, 0])
    assert only(plane_geometry.pixel_spacing(series(odd))).evidence["PixelSpacing"] == "0\\0.5"


def test_the_obliquity_has_two_digits():
    c, s = math.cos(math.radians(8.1234)), math.sin(math.radians(8.1234))
    turned = measured_as(row_cosine=(c, s, 0.0), column_cosine=(-s, c, 0.0))
    found = only(plane_geometry.oblique(series(turned)))
    assert (found.severity, found.evidence["obliquity_deg"]) == (Severity.INFO, 8.12)


def test_planes_turned_by_less_than_five_degrees_are_straight(monkeypatch):
    turned = measured_as(row_cosine=(0.5, math.sqrt(0.75), 0.0))
    degrees = math.degrees(math.acos(math.sqrt(0.75)))
    monkeypatch.setattr(plane_geometry, "OBLIQUE_DEG", float(np.degrees(np.arccos(np.sqrt(0.75)))))
    assert degrees == pytest.approx(30)
    assert told(plane_geometry.oblique, turned) == []


# ---- instance numbers and announced images


def numbered(*numbers, **attributes):
    return volume("CT", slices=len(numbers), InstanceNumber=lambda k: numbers[k], **attributes)


def missing(*volumes):
    found = extent.possibly_incomplete(series(*volumes))
    return only(found).evidence["missing_instance_numbers"] if found else []


def test_two_instances_already_have_a_hole_between_them():
    assert missing(numbered(1, 2), volume("CT", index=1, slices=2, InstanceNumber=lambda k: (4, 6)[k])) == []
    assert missing(numbered(1, 2, 4)) == [3]
    assert missing(numbered(2, 3)) == [1]
    assert missing(numbered(101, 103, 104)) == [102]


def test_single_images_have_no_ends():
    assert missing(numbered(2), volume("CT", index=1, slices=1, InstanceNumber=3)) == []
    lonely = volume("CT", slices=1, ImagesInAcquisition=2, AcquisitionNumber=1)
    assert told(extent.possibly_incomplete, lonely) == ["GEO-015"]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((1, 2, 32), list(range(3, 21 + 2))),  # 31 numbers for 3 instances: beyond ten times as many
        ((1, 2, 31), list(range(3, 23))),  # 30: at ten times, and only twenty are listed
    ],
)
def test_numbers_far_apart_mean_something_else(numbers, expected):
    assert missing(numbered(*numbers)) == ([] if numbers[-1] == 32 else expected)


@pytest.mark.parametrize(
    ("first", "expected"),
    [(4, [1, 2, 3]), (5, [])],
    ids=["as late as there are instances", "later"],
)
def test_a_series_that_begins_late_by_its_own_length_numbers_in_another_way(first, expected):
    assert missing(numbered(*range(first, first + 4))) == expected


def test_numbers_that_begin_at_zero_lack_none():
    assert missing(numbered(0, 1, 2, 3)) == []


def test_no_hole_is_behind_the_last_number_of_the_volume():
    assert missing(numbered(1, 2, 3)) == []


def test_frames_of_one_instance_have_no_numbers_to_miss():
    from triage_cases import multi_frame

    whole = numbered(2, 2, 2)
    one = replace(whole.frames[0].instance)
    frames = tuple(replace(frame, instance=one, number=k + 1) for k, frame in enumerate(whole.frames))
    assert missing(multi_frame(replace(whole, frames=frames))) == []


@pytest.mark.parametrize(("announced", "expected"), [(20, []), (21, ["GEO-015"])])
def test_frames_of_a_multi_frame_object_count_as_images(announced, expected):
    stack = volume("CT", slices=20, ImagesInAcquisition=announced, NumberOfFrames=20)
    first = stack.frames[0].instance
    stack = replace(stack, frames=tuple(replace(each, instance=first) for each in stack.frames))
    assert told(extent.possibly_incomplete, stack) == expected


@pytest.mark.parametrize(("announced", "expected"), [(20, []), (21, ["GEO-015"])])
def test_an_acquisition_with_as_many_images_as_announced_is_whole(announced, expected):
    stack = volume("CT", ImagesInAcquisition=announced, AcquisitionNumber=1)
    assert told(extent.possibly_incomplete, stack) == expected


def test_images_of_another_acquisition_do_not_count_as_arrived():
    first = volume("CT", slices=20, ImagesInAcquisition=20, AcquisitionNumber=1)
    second = volume(
        "CT", index=1, slices=4, ImagesInAcquisition=20, AcquisitionNumber=2, InstanceNumber=lambda k: k + 21
    )
    assert [each.target for each in extent.possibly_incomplete(series(first, second))] == ["v1"]


def test_each_reason_is_told_only_where_it_is_one():
    announced = only(
        extent.possibly_incomplete(series(volume("CT", ImagesInAcquisition=24, AcquisitionNumber=1)))
    )
    assert announced.message == "the volume may be incomplete: ImagesInAcquisition announces 24"
    holed = only(extent.possibly_incomplete(series(numbered(1, 2, 4))))
    assert holed.message == "the volume may be incomplete: instance numbers that are missing: 1"


# ---- magnetic resonance


@pytest.mark.parametrize(
    ("value", "component"),
    [(-1, "REAL"), (0, None), (1, "PHASE"), (2, "REAL"), (3, "IMAGINARY"), (4, "REAL")],
)
def test_the_image_type_of_ge_goes_before_letters(value, component):
    def ge(dataset):
        block = dataset.private_block(0x0043, "GEMS_PARM_01", create=True)
        block.add_new(0x2F, "SS", value)

    stack = volume("MR", Manufacturer="GE MEDICAL SYSTEMS", slices=1, ImageType=["ORIGINAL", "PRIMARY", "R"])
    for frame in stack.frames:
        ge(frame.instance.header)
    found = mr_components.mr_components(series(stack))
    assert [each.evidence["component"] for each in found] == (
        [] if component in (None, "MAGNITUDE") else [component]
    )
    assert {(each.code, each.severity) for each in found} <= {("MRS-003", Severity.INFO)}


@pytest.mark.parametrize(("slopes", "expected"), [((2.0, 2.0), []), ((2.0, 3.0), ["MRS-002"])])
def test_two_slopes_already_differ(slopes, expected):
    stack = volume("MR", slices=2, RescaleSlope=lambda k: slopes[k], RescaleIntercept=0)
    assert told(mr_scales.MrScales(), stack) == expected


# ---- what is stated once is read from the first image


def first_only(value):
    return lambda k: value if k == 0 else None


@pytest.mark.parametrize(
    ("rule", "attributes", "geometry", "keyword"),
    [
        (
            slice_spacing.shear,
            {"GantryDetectorTilt": first_only(9)},
            {"shear_deg": 9.0},
            "GantryDetectorTilt",
        ),
        (slice_spacing.tilt_without_shear, {"GantryDetectorTilt": first_only(9)}, {}, "GantryDetectorTilt"),
        (slice_spacing.stated_spacing, {"SpacingBetweenSlices": first_only(9)}, {}, "SpacingBetweenSlices"),
        (slice_spacing.overlap_or_gap, {"SliceThickness": first_only(9)}, {}, "SliceThickness"),
    ],
)
def test_the_first_image_speaks_for_the_stack(rule, attributes, geometry, keyword):
    found = only(rule(series(measured_as(volume("CT", **attributes), **geometry))))
    assert found.evidence[keyword] == 9


def test_a_single_image_is_judged_by_its_spacing():
    found = only(plane_geometry.pixel_spacing(series(volume("CT", slices=1, PixelSpacing=[0.5, 0.7]))))
    assert found.evidence["PixelSpacing"] == [0.5, 0.7]
