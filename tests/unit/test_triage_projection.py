"""Mammograms, radiographs and MR components: what their headers settle."""

from __future__ import annotations

import pytest

from handlers.model import Severity
from handlers.triage import mammography, mr_components, projection_spacing
from triage_cases import codes, header, multi_frame, only, series, volume

ROOT = "1.2.840.10008.5.1.4.1.1."


def coded(value, meaning="view", **more):
    return header({"CodeValue": value, "CodingSchemeDesignator": "SCT", "CodeMeaning": meaning, **more})


def mammogram(sop_class=ROOT + "1.2", **attributes):
    plain = {
        "ImageLaterality": "L",
        "ViewPosition": "CC",
        "ViewCodeSequence": [coded("399162004")],
        "ImageOrientationPatient": None,
    }
    return series(volume("MG", slices=1, sop_class=sop_class, **{**plain, **attributes}))


EVERY = (
    mammography.laterality,
    mammography.view,
    mammography.special_view,
    mammography.tomosynthesis,
    mammography.PresentationIntent(),
)


@pytest.mark.parametrize("rule", EVERY)
def test_a_plain_screening_view_gives_no_finding(rule):
    assert rule(mammogram()) == []


@pytest.mark.parametrize(
    "attributes",
    [{"ImageLaterality": None}, {"ImageLaterality": ""}, {"ImageLaterality": None, "Laterality": "L"}],
)
def test_a_missing_side_is_held_and_the_series_level_side_does_not_count(attributes):
    # ImageLaterality is Type 1 in mammography, Laterality belongs to the series (E5)
    finding = only(mammography.laterality(mammogram(**attributes)))
    assert (finding.code, finding.severity) == ("MAM-001", Severity.REVIEW)


def test_the_side_of_a_frame_counts():
    tomo = series(multi_frame(volume("MG", slices=1, sop_class=ROOT + "13.1.3"), FrameLaterality="R"))
    assert mammography.laterality(tomo) == []


@pytest.mark.parametrize(
    "attributes",
    [{"ViewCodeSequence": None, "ViewPosition": None}, {"ViewCodeSequence": None, "ViewPosition": "AP"},
    ],
)  # fmt: skip
def test_an_unknown_view_is_held(attributes):
    finding = only(mammography.view(mammogram(**attributes)))
    assert (finding.code, finding.severity) == ("MAM-002", Severity.REVIEW)


@pytest.mark.parametrize(
    "attributes",
    [
        {"ViewCodeSequence": None},
        {"ViewPosition": None},
        {"ViewCodeSequence": [coded("R-10226")], "ViewPosition": "MLO"},
    ],
)
def test_code_or_position_alone_is_enough(attributes):
    assert mammography.view(mammogram(**attributes)) == []


@pytest.mark.parametrize(
    "attributes",
    [{"ViewPosition": "MLO"}, {"PositionerPrimaryAngle": 45},
     {"ViewCodeSequence": [coded("399368009")], "ViewPosition": "MLO", "PositionerPrimaryAngle": 5}],
)  # fmt: skip
def test_contradictory_views_are_held(attributes):
    finding = only(mammography.view(mammogram(**attributes)))
    assert (finding.code, finding.severity) == ("MAM-003", Severity.REVIEW)


@pytest.mark.parametrize("angle", [-45, 45, 60])
def test_an_oblique_tube_fits_an_oblique_view(angle):
    oblique = mammogram(
        ViewCodeSequence=[coded("399368009")], ViewPosition="MLO", PositionerPrimaryAngle=angle
    )
    assert mammography.view(oblique) == []


def test_a_spot_view_is_marked_also_when_the_modifier_lies_inside_the_view():
    inside = coded("399162004", ViewModifierCodeSequence=[coded("399055006", "spot")])
    finding = only(mammography.special_view(mammogram(ViewCodeSequence=[inside])))
    assert (finding.code, finding.severity) == ("MAM-006", Severity.WARN)


@pytest.mark.parametrize(
    ("wanted", "expected"), [("FOR PRESENTATION", ["MAM-005"]), ("FOR PROCESSING", []), ("", [])]
)
def test_the_wrong_presentation_intent_is_refused(wanted, expected):
    findings = mammography.PresentationIntent(wanted)(mammogram(PresentationIntentType="FOR PROCESSING"))
    assert codes(findings) == expected


@pytest.mark.parametrize(
    ("sop_class", "kind"),
    [
        (ROOT + "13.1.3", ["ORIGINAL", "PRIMARY"]),
        (ROOT + "1.2", ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]),
    ],
)
def test_tomosynthesis_and_its_synthetic_image_are_told_apart(sop_class, kind):
    finding = only(mammography.tomosynthesis(mammogram(sop_class, ImageType=kind)))
    assert (finding.code, finding.severity) == ("MAM-009", Severity.INFO)


def spacing(modality="DX", **attributes):
    plain = {"PixelSpacing": None, "ImageOrientationPatient": None}  # a projection has no place
    made = volume(modality, slices=1, sop_class=ROOT + "1.1", **{**plain, **attributes})
    return projection_spacing.projection_spacing(series(made))


def test_no_spacing_at_all_is_marked_and_stays_unknown():
    finding = only(spacing())
    assert (finding.code, finding.severity) == ("SPC-001", Severity.WARN)
    assert finding.evidence["spacing"] is None


def test_spacing_of_unknown_calibration_is_marked():
    finding = only(spacing(PixelSpacing=[0.15, 0.15], ImagerPixelSpacing=[0.2, 0.2]))
    assert (finding.code, finding.severity) == ("SPC-002", Severity.WARN)


def test_detector_spacing_with_magnification_is_estimated():
    # 0.2 mm at the detector, magnified 1.25 times: 0.16 mm in the patient
    finding = only(spacing(ImagerPixelSpacing=[0.2, 0.2], EstimatedRadiographicMagnificationFactor=1.25))
    assert (finding.code, finding.severity) == ("SPC-003", Severity.WARN)
    assert finding.evidence["value_mm"] == pytest.approx([0.16, 0.16])
    assert finding.evidence["plane"] == "estimated"


def test_the_distances_from_the_source_give_the_magnification():
    finding = only(
        spacing(ImagerPixelSpacing=[0.2, 0.2], DistanceSourceToDetector=1000, DistanceSourceToPatient=800)
    )
    assert finding.evidence["magnification"] == 1.25


def test_detector_spacing_alone_is_noted():
    finding = only(spacing(ImagerPixelSpacing=[0.2, 0.2]))
    assert (finding.code, finding.severity) == ("SPC-003", Severity.INFO)
    assert finding.evidence["plane"] == "detector"


@pytest.mark.parametrize(
    "attributes",
    [
        {
            "PixelSpacing": [0.15, 0.15],
            "ImagerPixelSpacing": [0.2, 0.2],
            "PixelSpacingCalibrationType": "FIDUCIAL",
        },
        {"PixelSpacing": [0.2, 0.2]},
    ],
)
def test_calibrated_spacing_is_fine(attributes):
    assert spacing(**attributes) == []


def test_tomography_is_not_judged_as_a_projection():
    assert projection_spacing.projection_spacing(series(volume("CT", PixelSpacing=None))) == []


@pytest.mark.parametrize(
    ("attributes", "component"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "PHASE"),
        ({"ComplexImageComponent": "REAL"}, "REAL"),
    ],
)
def test_other_components_than_magnitude_are_noted(attributes, component):
    finding = only(mr_components.mr_components(series(volume("MR", **attributes))))
    assert (finding.code, finding.evidence["component"]) == ("MRS-003", component)


def test_ge_counts_its_components():
    made = volume("MR", slices=1, ImageType=["ORIGINAL", "PRIMARY", "OTHER"])
    block = made.frames[0].instance.header.private_block(0x0043, "GEMS_PARM_01", create=True)
    block.add_new(0x2F, "SS", 3)
    assert only(mr_components.mr_components(series(made))).evidence["component"] == "IMAGINARY"


@pytest.mark.parametrize("kind", [["ORIGINAL", "PRIMARY", "M", "ND"], ["ORIGINAL", "PRIMARY", "OTHER"]])
def test_magnitude_and_silence_are_not_noted(kind):
    assert mr_components.mr_components(series(volume("MR", ImageType=kind))) == []
