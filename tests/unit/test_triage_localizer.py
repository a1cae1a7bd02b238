"""Localizers: those that say so, those that only look so, and scans whose names sound like one."""

from __future__ import annotations

import math

import pytest

from handlers.model import Severity, Volume
from handlers.triage import bolus_tracking, localizer
from triage_cases import AXIAL, CORONAL, SAGITTAL, codes, instance, only, series, volume

BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"


@pytest.mark.parametrize(
    "attributes",
    [
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "", "localizer"]},
        {"ScanOptions": "SURVIEW"},
        {"ScanOptions": ["HELIX", "SCOUT MODE"]},
        {"AcquisitionType": "CONSTANT_ANGLE"},
        {"SeriesDescription": "Topogram  0.6  T20f"},
        {"SeriesDescription": "LATERAL SCOUT"},
        {"SeriesDescription": "Surview"},
        {"SeriesDescription": "Repérage"},
        {"SeriesDescription": "AAHead_Scout"},
        {"SeriesDescription": "AAHScout"},
        {"SeriesDescription": "Scout1"},
        {"SeriesDescription": "TOPOGRAM2"},
        {"SeriesDescription": "3PlaneLoc"},
        {"SeriesDescription": "MRLocalizer"},
        {"AcquisitionType": "Constant_Angle"},
    ],
)
def test_what_says_localizer_is_refused(attributes):
    finding = only(localizer.stated_localizer(series(volume("CT", slices=2, **attributes))))
    assert (finding.code, finding.severity, finding.target) == ("TRI-LOC-001", Severity.ERROR, "v0")


@pytest.mark.parametrize(
    "words", ["localizer", "3-plane loc", "T/S/C RF FAST PILOT", "SURVEY", "Lokalisation", "3 Plane"]
)
def test_mr_planning_scans_are_refused_by_their_words(words):
    assert codes(localizer.stated_localizer(series(volume("MR", slices=3, SeriesDescription=words)))) == [
        "TRI-LOC-001"
    ]


@pytest.mark.parametrize(
    "words",
    [
        "LATERAL C-SPINE",
        "Topography of lung",
        "SKELETAL SURVEY CT",
        "AUTOPILOTED",
        "Abdomen",
        "MYELOMA SURVEY LOW DOSE",
    ],
)
def test_words_that_only_sound_like_a_localizer_are_none(words):
    assert localizer.stated_localizer(series(volume("CT", slices=15, SeriesDescription=words))) == []


def test_an_unclear_word_on_a_whole_stack_is_held_not_refused():
    finding = only(
        localizer.stated_localizer(series(volume("MR", slices=160, SeriesDescription="PILOT STUDY T1")))
    )
    assert finding.severity is Severity.REVIEW


def test_a_skeletal_survey_of_radiographs_is_no_localizer():
    assert (
        localizer.stated_localizer(
            series(volume("CR", slices=1, SeriesDescription="SURVEY", sop_class="1.2.840.10008.5.1.4.1.1.1"))
        )
        == []
    )


@pytest.mark.parametrize("cosines", [CORONAL, SAGITTAL])
def test_one_ct_image_off_the_axial_plane_is_held(cosines):
    silent = series(volume("CT", slices=1, ImageOrientationPatient=cosines))
    finding = only(localizer.unstated_localizer(silent))
    assert (finding.code, finding.severity) == ("TRI-LOC-002", Severity.REVIEW)


def test_a_coronal_ct_without_slice_thickness_is_held():
    silent = series(
        volume("CT", slices=20, step=(0, 2.0, 0), ImageOrientationPatient=CORONAL, SliceThickness=None)
    )
    assert codes(localizer.unstated_localizer(silent)) == ["TRI-LOC-002"]


def test_few_mr_images_in_three_directions_are_held():
    three = [
        volume("MR", index=k, slices=1, ImageOrientationPatient=c)
        for k, c in enumerate((AXIAL, CORONAL, SAGITTAL))
    ]
    assert codes(localizer.unstated_localizer(series(*three))) == ["TRI-LOC-002"] * 3


@pytest.mark.parametrize(
    ("modality", "others", "expected"),
    [
        ("MR", (CORONAL, SAGITTAL), ["TRI-LOC-002"]),
        ("MR", (CORONAL, CORONAL), []),
        ("MR", (CORONAL, SAGITTAL) * 7, []),  # 17 images: more than a planning scan has
        ("OT", (CORONAL, SAGITTAL), []),
    ],
)
def test_mr_images_that_are_in_no_volume_count_as_well(modality, others, expected):
    rest = tuple(
        instance(
            name=("rest", k), Modality=modality, ImageOrientationPatient=each, ImagePositionPatient=[0, 0, 0]
        )
        for k, each in enumerate(others)
    )
    axial = volume("MR", slices=3, ImageOrientationPatient=AXIAL)
    assert codes(localizer.unstated_localizer(series(axial, loose=rest))) == expected


@pytest.mark.parametrize(
    "acquired",
    [
        [volume("CT", slices=1)],
        [volume("CT", slices=40, step=(0, 2.0, 0), ImageOrientationPatient=CORONAL)],
        [
            volume("MR", slices=10, ImageOrientationPatient=AXIAL),
            volume("MR", index=1, slices=10, ImageOrientationPatient=CORONAL),
        ],
        [
            volume("MR", index=k, slices=20, ImageOrientationPatient=c)
            for k, c in enumerate((AXIAL, CORONAL, SAGITTAL))
        ],
    ],
    ids=["one axial CT", "coronal CT stack", "two MR directions", "three MR stacks"],
)
def test_real_acquisitions_do_not_look_like_localizers(acquired):
    assert localizer.unstated_localizer(series(*acquired)) == []


def test_a_stated_localizer_is_not_reported_twice():
    stated = volume(
        "CT", slices=1, ImageOrientationPatient=CORONAL, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    assert localizer.unstated_localizer(series(stated)) == []


@pytest.mark.parametrize(
    "attributes",
    [
        {"SeriesDescription": "PreMonitoring"},
        {"SeriesDescription": "Monitoring"},
        {"SeriesDescription": "SMART PREP SERIES"},
        {"SeriesDescription": "Test Bolus"},
        {"SeriesDescription": "Tracker"},
        {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 MON"]},
    ],
)
def test_bolus_tracking_at_one_position_is_refused(attributes):
    repeated = volume("CT", positions=[(0.0, 0.0, 5.0)] * 8, **attributes)
    finding = only(bolus_tracking.bolus_tracking(series(repeated)))
    assert (finding.code, finding.severity) == ("TRI-DER-005", Severity.ERROR)
    assert finding.evidence["positions"] == 1


def test_bolus_tracking_split_into_single_images_is_refused_in_every_volume():
    parts = [
        volume("CT", index=k, positions=[(0.0, 0.0, 5.0)], SeriesDescription="Monitoring") for k in range(4)
    ]
    assert codes(bolus_tracking.bolus_tracking(series(*parts))) == ["TRI-DER-005"] * 4


def test_a_bolus_tracked_angiography_is_a_real_scan():
    assert (
        bolus_tracking.bolus_tracking(
            series(volume("CT", slices=60, SeriesDescription="CTA BOLUS TRACKING 1.0"))
        )
        == []
    )


def test_repeated_images_without_the_words_are_not_called_bolus_tracking():
    assert bolus_tracking.bolus_tracking(series(volume("CT", positions=[(0.0, 0.0, 5.0)] * 8))) == []


# ---- at the limits


def oblique(degrees, scale=1.0):
    """A plane turned about the row axis, off the axial one; cosines may be too long."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [scale, 0, 0, 0, scale * c, scale * s]


def mr(*directions):
    """One image for each of these planes, each in a volume of its own."""
    return [volume("MR", index=k, slices=1, ImageOrientationPatient=c) for k, c in enumerate(directions)]


@pytest.mark.parametrize(
    ("words", "slices", "severity"),
    [
        ("PILOT", 20, Severity.ERROR), ("PILOT", 21, Severity.REVIEW), ("SCOUT", 21, Severity.ERROR),
    ],
)  # fmt: skip
def test_an_unclear_word_holds_from_twenty_one_images_on(words, slices, severity):
    finding = only(localizer.stated_localizer(series(volume("MR", slices=slices, SeriesDescription=words))))
    assert finding.severity is severity


def test_a_localizer_behind_other_volumes_is_found():
    radiograph = volume("CR", slices=1, sop_class="1.2.840.10008.5.1.4.1.1.1")
    plain = volume("CT", index=1)
    scout = volume("CT", index=2, slices=1, ScanOptions="SCOUT MODE")
    assert only(localizer.stated_localizer(series(radiograph, plain, scout))).target == "v2"


@pytest.mark.parametrize(("slices", "expected"), [(3, ["TRI-LOC-002"]), (4, [])])
def test_up_to_three_ct_images_off_the_axial_plane_are_held(slices, expected):
    silent = volume("CT", slices=slices, step=(0, 2.0, 0), ImageOrientationPatient=CORONAL)
    assert codes(localizer.unstated_localizer(series(silent))) == expected


@pytest.mark.parametrize(
    ("degrees", "scale", "expected"), [(44.9, 1, []), (45.1, 1, ["TRI-LOC-002"]), (60, 2, ["TRI-LOC-002"])]
)
def test_a_plane_is_off_the_axial_one_beyond_45_degrees(degrees, scale, expected):
    silent = volume("CT", slices=1, ImageOrientationPatient=oblique(degrees, scale))
    assert codes(localizer.unstated_localizer(series(silent))) == expected


def test_a_plane_exactly_at_the_limit_is_not_beyond_it(monkeypatch):
    monkeypatch.setattr(localizer, "OFF_AXIS_DEG", 90.0)
    silent = volume("CT", slices=1, ImageOrientationPatient=CORONAL)
    assert localizer.unstated_localizer(series(silent)) == []


def test_the_first_image_states_the_thickness_of_a_coronal_stack():
    stack = volume(
        "CT", slices=20, step=(0, 2.0, 0), ImageOrientationPatient=CORONAL,
        SliceThickness=lambda k: 2 if k == 0 else None, PixelSpacing=lambda k: [0.5, 0.5] if k == 0 else None,
    )  # fmt: skip
    assert localizer.unstated_localizer(series(stack)) == []


def test_planes_without_an_area_have_no_direction():
    silent = volume("CT", slices=1, ImageOrientationPatient=[1, 0, 0, 1, 0, 0])
    assert localizer.unstated_localizer(series(silent)) == []


@pytest.mark.parametrize(
    ("images", "expected"),
    [((5, 5, 5), 3), ((13, 1, 1), 3), ((6, 5, 5), 0)],
    ids=["fifteen", "the third direction comes last", "sixteen"],
)
def test_up_to_fifteen_mr_images_in_three_directions_are_held(images, expected):
    planes = zip(images, (AXIAL, CORONAL, SAGITTAL), strict=True)
    parts = [
        volume("MR", index=k, slices=n, positions=[(0.0, 0.0, float(k))] * n, ImageOrientationPatient=c)
        for k, (n, c) in enumerate(planes)
    ]
    found = localizer.unstated_localizer(series(*parts))
    assert [each.severity for each in found] == [Severity.REVIEW] * expected


@pytest.mark.parametrize(("apart", "expected"), [(5.5, 3), (4.9, 0)])
def test_directions_differ_by_five_degrees(apart, expected):
    planes = mr(oblique(0), oblique(apart), oblique(2 * apart))
    assert len(localizer.unstated_localizer(series(*planes))) == expected


def test_what_has_no_images_is_no_localizer():
    empty = Volume(1, (), "CT")
    report = volume("CT", slices=1, sop_class=BASIC_TEXT_SR, ImageOrientationPatient=CORONAL)
    assert localizer.unstated_localizer(series(empty, report)) == []
