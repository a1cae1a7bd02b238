"""Geometry findings: expected values come from how the stack was built."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    XRay3DAngiographicImageStorage,
    XRay3DCraniofacialImageStorage,
    XRayAngiographicImageStorage,
)

from handlers.model import Frame, Severity
from handlers.triage import differing_duplicates, extent, patient_position, plane_geometry, slice_spacing
from triage_cases import AXIAL, codes, instance, only, series, volume

EVERY = (
    plane_geometry.missing_geometry, plane_geometry.inexact_orientation, plane_geometry.varying_orientation,
    plane_geometry.crooked_stack, plane_geometry.mixed_frames_of_reference, plane_geometry.pixel_spacing, plane_geometry.oblique,
    slice_spacing.uneven_spacing, slice_spacing.missing_slices, slice_spacing.shear, slice_spacing.tilt_without_shear,
    slice_spacing.stated_spacing, slice_spacing.overlap_or_gap, slice_spacing.anisotropic, extent.possibly_incomplete,
    patient_position.patient_position, differing_duplicates.differing_duplicates,
)  # fmt: skip


def at(*heights):
    return [(0.0, 0.0, float(z)) for z in heights]


def test_the_spacing_that_is_said_to_be_fitted_is_the_one_that_the_volume_has():
    # by hand: 5 gaps of 2 mm and 6 of 2.08 mm are 22.48 mm, in 11 steps of 2.0436 mm
    stack = volume("CT", positions=at(*np.cumsum([0.0] + [2.0] * 5 + [2.08] * 6)))
    finding = only(slice_spacing.uneven_spacing(series(stack)))
    assert finding.message == "slice spacing varies slightly, from 2 to 2.08 mm; 2.044 mm was fitted"
    assert stack.geometry.spacing_mm[2] == pytest.approx(22.48 / 11)


def tilted(degrees, **attributes):
    step = (0.0, -2.0 * math.tan(math.radians(degrees)), 2.0)
    return volume("CT", step=step, PixelSpacing=[0.7, 0.7], **attributes)


@pytest.mark.parametrize("rule", EVERY)
def test_a_plain_stack_gives_no_finding(rule):
    assert rule(series(volume("CT", PixelSpacing=[0.7, 0.7]))) == []


@pytest.mark.parametrize(
    ("modality", "sop_class", "is_stack"),
    [
        ("XA", XRay3DAngiographicImageStorage, True),
        ("OT", XRay3DCraniofacialImageStorage, True),
        ("MG", BreastTomosynthesisImageStorage, True),
        ("XA", XRayAngiographicImageStorage, False),
        ("MG", DigitalMammographyXRayImageStorageForPresentation, False),
    ],
)
def test_slices_of_other_modalities_need_even_positions_as_well(modality, sop_class, is_stack):
    uneven = [(0.0, 0.0, z) for z in (0, 2, 4, 7.3, 9, 11, 14.1, 16, 18)]
    stack = volume(modality, sop_class=sop_class, positions=uneven)
    assert codes(slice_spacing.uneven_spacing(series(stack))) == (["GEO-006"] if is_stack else [])
    lost = volume(modality, sop_class=sop_class, ImagePositionPatient=None)
    assert codes(plane_geometry.missing_geometry(series(lost))) == (["GEO-001"] if is_stack else [])


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
@pytest.mark.parametrize("keyword", ["ImageOrientationPatient", "PixelSpacing", "ImagePositionPatient"])
def test_missing_geometry_is_held_and_slice_location_is_no_substitute(modality, keyword):
    lost = volume(
        modality,
        SliceLocation=lambda k: 2.0 * k,
        **{keyword: None if keyword != "ImagePositionPatient" else ""},
    )
    finding = only(plane_geometry.missing_geometry(series(lost)))
    assert (finding.code, finding.severity) == ("GEO-001", Severity.REVIEW)
    assert finding.evidence["absent"] == [keyword]


def test_radiographs_need_no_patient_geometry():
    radiograph = volume("DX", slices=1, sop_class="1.2.840.10008.5.1.4.1.1.1.1", ImageOrientationPatient=None)
    assert plane_geometry.missing_geometry(series(radiograph)) == []


@pytest.mark.parametrize(("length", "severity"), [(1.002, Severity.WARN), (1.05, Severity.REVIEW)])
def test_cosines_that_are_no_unit_vectors_are_noticed(length, severity):
    finding = only(
        plane_geometry.inexact_orientation(
            series(volume("CT", ImageOrientationPatient=[length, 0, 0, 0, 1, 0]))
        )
    )
    assert (finding.code, finding.severity) == ("GEO-002", severity)


def test_rounded_cosines_are_exact_enough():
    rounded = [0.96593, 0.25882, 0, -0.25882, 0.96593, 0]
    assert plane_geometry.inexact_orientation(series(volume("CT", ImageOrientationPatient=rounded))) == []


def test_slices_that_are_not_parallel_are_noticed():
    turned = [
        math.cos(math.radians(0.6)),
        math.sin(math.radians(0.6)),
        0,
        -math.sin(math.radians(0.6)),
        math.cos(math.radians(0.6)),
        0,
    ]
    fan = volume("CT", ImageOrientationPatient=lambda k: turned if k == 3 else AXIAL)
    assert only(plane_geometry.varying_orientation(series(fan))).code == "GEO-003"


@pytest.mark.parametrize(
    ("deviation", "expected"), [(0.01, []), (0.06, ["GEO-004"]), (0.09, ["GEO-004"]), (0.5, ["GEO-006"])]
)
def test_uneven_spacing_is_graded_by_its_size(deviation, expected):
    # nominal 2 mm; one slice moved: 1 % is even, up to 5 % is fitted, more is uneven
    heights = [2.0 * k + (deviation if k == 10 else 0.0) for k in range(20)]
    assert codes(slice_spacing.uneven_spacing(series(volume("CT", positions=at(*heights))))) == expected


def test_uneven_spacing_is_held():
    finding = only(slice_spacing.uneven_spacing(series(volume("CT", positions=at(0, 1.08, 4, 9, 16, 17.3)))))
    assert (finding.code, finding.severity) == ("GEO-006", Severity.REVIEW)


def test_one_missing_slice_is_held_and_located():
    holed = volume("CT", positions=at(*(2.0 * k for k in range(20) if k != 7)))
    finding = only(slice_spacing.missing_slices(series(holed)))
    assert (finding.code, finding.severity) == ("GEO-005", Severity.REVIEW)
    assert finding.evidence["missing"] == [{"after_slice": 6, "slices": 1}]
    assert finding.evidence["fraction"] == 0.05
    assert finding.evidence["is_fillable"] is False  # one of twenty is more than two percent
    assert slice_spacing.uneven_spacing(series(holed)) == []


@pytest.mark.parametrize(
    ("total", "lost", "expected"),
    [(60, (30,), True), (60, (30, 31), False), (60, (20, 40), False), (40, (20,), False)],
)
def test_only_one_slice_of_many_may_be_filled(total, lost, expected):
    holed = volume("CT", positions=at(*(2.0 * k for k in range(total) if k not in lost)))
    assert only(slice_spacing.missing_slices(series(holed))).evidence["is_fillable"] is expected


@pytest.mark.parametrize(
    ("degrees", "expected"), [(0.05, []), (0.3, ["GEO-008"]), (18.5, ["GEO-008"]), (-18.5, ["GEO-008"])]
)
def test_tilt_is_measured_from_positions(degrees, expected):
    findings = slice_spacing.shear(series(tilted(degrees)))
    assert codes(findings) == expected
    for finding in findings:
        assert finding.severity is Severity.WARN
        assert abs(finding.evidence["shear_deg"]) == pytest.approx(abs(degrees), abs=1e-6)


def test_the_sign_of_the_tilt_tag_says_nothing():
    assert codes(slice_spacing.shear(series(tilted(18.5, GantryDetectorTilt=-18.5)))) == ["GEO-008"]
    assert slice_spacing.tilt_without_shear(series(tilted(18.5, GantryDetectorTilt=-18.5))) == []


@pytest.mark.parametrize(("tag", "expected"), [(12.0, ["GEO-009"]), (0.0, []), (0.3, []), (None, [])])
def test_a_tilt_tag_without_tilt_is_noticed(tag, expected):
    assert codes(slice_spacing.tilt_without_shear(series(volume("CT", GantryDetectorTilt=tag)))) == expected


def test_slices_shifted_sideways_are_held():
    crooked = [(0.5 if k == 4 else 0.0, 0.0, 2.0 * k) for k in range(10)]
    finding = only(plane_geometry.crooked_stack(series(volume("CT", positions=crooked))))
    assert (finding.code, finding.severity) == ("GEO-010", Severity.REVIEW)


@pytest.mark.parametrize(("stated", "expected"), [(2.5, ["GEO-011"]), (2.0, []), (-2.0, []), (None, [])])
def test_stated_spacing_is_compared_and_never_used(stated, expected):
    assert codes(slice_spacing.stated_spacing(series(volume("CT", SpacingBetweenSlices=stated)))) == expected


@pytest.mark.parametrize(("thickness", "word"), [(3.0, "overlap"), (1.5, "leave gaps")])
def test_overlap_and_gaps_are_noted(thickness, word):
    finding = only(slice_spacing.overlap_or_gap(series(volume("CT", SliceThickness=thickness))))
    assert (finding.code, finding.severity) == ("GEO-012", Severity.INFO)
    assert word in finding.message


def test_thickness_along_the_table_of_a_tilted_gantry_is_no_overlap():
    step = 2.5
    gap = step * math.cos(math.radians(18.5))
    positions = [(0.0, -k * step * math.sin(math.radians(18.5)), k * gap) for k in range(20)]
    assert slice_spacing.overlap_or_gap(series(volume("CT", positions=positions, SliceThickness=step))) == []


def test_two_frames_of_reference_in_a_volume_are_held():
    mixed = volume("CT", FrameOfReferenceUID=lambda k: "1.2.3" if k < 10 else "1.2.4")
    finding = only(plane_geometry.mixed_frames_of_reference(series(mixed)))
    assert (finding.code, finding.severity) == ("GEO-013", Severity.REVIEW)


def test_pixels_that_are_not_square_are_noted():
    assert (
        only(plane_geometry.pixel_spacing(series(volume("CT", PixelSpacing=[0.7, 0.5])))).severity
        is Severity.INFO
    )


@pytest.mark.parametrize("spacing", [[0, 0], [-0.5, -0.5], [0.5, 0.5, 0.5]])
def test_invalid_pixel_spacing_is_refused(spacing):
    finding = only(plane_geometry.pixel_spacing(series(volume("CT", PixelSpacing=spacing))))
    assert (finding.code, finding.severity) == ("GEO-014", Severity.ERROR)


def test_absent_pixel_spacing_is_not_called_invalid():
    assert plane_geometry.pixel_spacing(series(volume("CT", PixelSpacing=None))) == []


def test_holes_in_instance_numbers_are_noticed():
    finding = only(
        extent.possibly_incomplete(series(volume("CT", InstanceNumber=lambda k: k + 1 if k < 10 else k + 3)))
    )
    assert (finding.code, finding.severity) == ("GEO-015", Severity.WARN)
    assert finding.evidence["missing_instance_numbers"] == [11, 12]


def test_numbers_that_begin_late_are_noticed_because_positions_cannot_show_missing_ends():
    finding = only(extent.possibly_incomplete(series(volume("CT", InstanceNumber=lambda k: k + 4))))
    assert finding.code == "GEO-015"
    assert finding.evidence["missing_instance_numbers"] == [1, 2, 3]


def test_fewer_images_than_announced_are_noticed():
    assert codes(
        extent.possibly_incomplete(series(volume("CT", ImagesInAcquisition=24, AcquisitionNumber=1)))
    ) == ["GEO-015"]


@pytest.mark.parametrize(
    "numbering",
    [
        lambda k: 2 * k + 1,
        lambda k: 2 * k + 4,
        lambda _: 1,
        lambda k: (k + 1) * 100 + k % 2,
        lambda k: 20 - k,
        lambda k: k,
        lambda k: k + 101,
    ],
)
def test_other_ways_of_numbering_are_no_holes(numbering):
    assert extent.possibly_incomplete(series(volume("CT", InstanceNumber=numbering))) == []


def test_numbers_that_another_volume_of_the_series_has_are_no_holes():
    first = volume("CT", slices=4, InstanceNumber=lambda k: (1, 2, 4, 5)[k])
    second = volume("CT", index=1, slices=2, InstanceNumber=lambda k: (3, 6)[k])
    assert extent.possibly_incomplete(series(first, second)) == []


def test_mixed_patient_positions_are_held():
    mixed = volume("CT", PatientPosition=lambda k: "HFS" if k < 10 else "HFP")
    assert only(patient_position.patient_position(series(mixed))).severity is Severity.REVIEW


def test_a_missing_patient_position_is_marked():
    finding = only(patient_position.patient_position(series(volume("CT", PatientPosition=None))))
    assert (finding.code, finding.severity) == ("GEO-016", Severity.WARN)


@pytest.mark.parametrize("position", ["HFP", "FFP", "HFDR", "FFDL"])
def test_other_postures_than_supine_are_noted(position):
    finding = only(patient_position.patient_position(series(volume("CT", PatientPosition=position))))
    assert (finding.code, finding.severity) == ("GEO-018", Severity.INFO)


@pytest.mark.parametrize(("spacing", "expected"), [([0.5, 0.5], ["GEO-019"]), ([0.7, 0.7], [])])
def test_anisotropy_above_three_is_noted(spacing, expected):
    assert codes(slice_spacing.anisotropic(series(volume("CT", PixelSpacing=spacing)))) == expected


@pytest.mark.parametrize(("degrees", "expected"), [(3.0, []), (8.0, ["GEO-020"])])
def test_oblique_planes_are_noted(degrees, expected):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned = volume("CT", ImageOrientationPatient=[c, s, 0, -s, c, 0])
    assert codes(plane_geometry.oblique(series(turned))) == expected


def test_different_images_at_one_position_are_held():
    doubled = volume("CT", positions=at(0, 2, 2, 4), values=np.zeros((4, 2, 2)))
    finding = only(differing_duplicates.differing_duplicates(series(doubled)))
    assert (finding.code, finding.severity) == ("SPL-003", Severity.REVIEW)


def test_duplicates_are_judged_only_once_pixels_are_known():
    doubled = volume("CT", positions=at(0, 2, 2, 4))
    assert differing_duplicates.differing_duplicates(series(doubled)) == []


def test_duplicate_positions_do_not_disturb_the_spacing():
    assert slice_spacing.uneven_spacing(series(volume("CT", positions=at(0, 2, 2, 4, 6)))) == []


def test_one_image_has_no_spacing_to_judge():
    single = replace(volume("CT", slices=1), frames=(Frame(instance()),))
    assert slice_spacing.anisotropic(series(single)) == []
