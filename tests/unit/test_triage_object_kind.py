"""Screens, reports and other objects that are no images: told by class, type and words, never by Modality alone."""

from __future__ import annotations

import pytest

from handlers.model import Scope, Severity
from handlers.triage import identity, object_kind, screens
from triage_cases import codes, instance, only, series, volume

ROOT = "1.2.840.10008.5.1.4.1.1."


@pytest.mark.parametrize("tail", ["7", "7.1", "7.2", "7.3", "7.4"])
def test_every_secondary_capture_class_is_refused_whatever_modality_it_states(tail):
    # Philips writes Modality CT, PixelSpacing and RescaleIntercept into its screens (E6, E7)
    screen = volume("CT", slices=1, sop_class=ROOT + tail)
    finding = only(object_kind.secondary_capture(series(screen)))
    assert (finding.code, finding.severity, finding.target) == ("TRI-SC-001", Severity.ERROR, "v0")


def test_ct_is_no_secondary_capture():
    assert object_kind.secondary_capture(series(volume("CT"))) == []


def test_a_screen_beside_a_stack_is_refused_alone():
    mixed = series(volume("CT"), volume("CT", index=1, slices=1, sop_class=ROOT + "7"))
    assert only(object_kind.secondary_capture(mixed)).target == "v1"


def test_derived_secondary_in_a_ct_class_is_held():
    copied = series(volume("CT", ImageType=["DERIVED", "SECONDARY", "OTHER"]))
    assert only(screens.converted_picture(copied)).severity is Severity.REVIEW


@pytest.mark.parametrize("stated", ["WSD", "wsd"])
def test_conversion_type_of_a_workstation_is_held(stated):
    assert codes(screens.converted_picture(series(volume("CT", ConversionType=stated)))) == ["TRI-SC-002"]


@pytest.mark.parametrize(
    "attributes",
    [
        {"ConversionType": "DF"},
        {"ImageType": ["ORIGINAL", "SECONDARY"]},
        {"ImageType": ["DERIVED", "PRIMARY"]},
    ],
)
def test_film_digitizing_or_one_half_of_the_image_type_is_no_capture(attributes):
    assert screens.converted_picture(series(volume("CT", **attributes))) == []


@pytest.mark.parametrize(
    "attributes",
    [
        {"ImageType": ["DERIVED", "SECONDARY", "DOSE_INFO"]},
        {"ImageType": ["DERIVED", "SECONDARY", "REF_SURVIEW"]},
        {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]},
        {"SeriesDescription": "Dose Report"},
        {"SeriesDescription": "Patient Protocol"},
        {"SeriesDescription": "EXAM SUMMARY"},
        {"SeriesDescription": "Screen_Save"},
    ],
)
def test_dose_and_protocol_pages_are_refused(attributes):
    finding = only(screens.dose_or_protocol_screen(series(volume("CT", slices=1, **attributes))))
    assert (finding.code, finding.severity) == ("TRI-SC-003", Severity.ERROR)


def test_a_low_dose_scan_is_no_dose_report():
    assert screens.dose_or_protocol_screen(series(volume("CT", SeriesDescription="LOW DOSE CHEST 1.0"))) == []


def test_a_whole_stack_is_no_screen_whatever_its_name():
    assert (
        screens.dose_or_protocol_screen(series(volume("CT", SeriesDescription="low dose report protocol")))
        == []
    )


@pytest.mark.parametrize(
    ("tail", "word"),
    [
        ("88.59", "structured report"), ("88.67", "structured report"), ("11.1", "presentation"), ("104.1", "document"),
        ("9.1.1", "waveform"), ("66.4", "segmentation"), ("481.3", "radiotherapy"), ("77.1.6", "visible"), ("30", "parametric"),
        ("4.2", "spectroscopy"),
    ],
)  # fmt: skip
def test_what_is_no_radiology_image_is_refused(tail, word):
    loose = instance(sop_class=ROOT + tail, pixel_keyword="")
    finding = only(object_kind.not_an_image(series(loose=(loose,))))
    assert (finding.code, finding.scope) == ("TRI-OBJ-001", Scope.SERIES)
    assert word in finding.message


@pytest.mark.parametrize(
    "tail",
    ["2", "2.1", "2.2", "4", "4.1", "4.4", "128", "130", "20", "1", "1.1", "1.2", "13.1.3", "12.1", "6.1"],
)
def test_radiology_images_are_images(tail):
    assert object_kind.not_an_image(series(loose=(instance(sop_class=ROOT + tail),))) == []


def test_a_report_beside_images_is_refused_alone():
    report = instance(name="report", sop_class=ROOT + "88.11", pixel_keyword="")
    finding = only(object_kind.not_an_image(series(volume("CT"), loose=(report,))))
    assert (finding.scope, finding.target) == (Scope.INSTANCE, report.sop_instance_uid)


def test_mr_in_a_ct_class_is_held():
    wrong = series(volume("MR", sop_class=ROOT + "2"))
    assert only(object_kind.modality_against_class(wrong)).code == "TRI-OBJ-002"


@pytest.mark.parametrize(
    ("tail", "modality"), [("2", "CT"), ("4.1", "MR"), ("12.1", "RF"), ("1", "DX"), ("6.1", "IVUS")]
)
def test_modalities_that_share_a_class_do_not_contradict_it(tail, modality):
    assert object_kind.modality_against_class(series(volume(modality, sop_class=ROOT + tail))) == []


def test_an_absent_modality_contradicts_nothing():
    assert object_kind.modality_against_class(series(volume("", Modality=None))) == []


def test_an_image_without_pixels_is_refused():
    bare = instance(pixel_keyword="", Modality="CT")
    assert codes(object_kind.no_pixels(series(loose=(bare,)))) == ["TRI-OBJ-003"]


def test_a_media_directory_is_refused():
    directory = instance(sop_class="1.2.840.10008.1.3.10", pixel_keyword="")
    assert "media directory" in only(object_kind.no_pixels(series(loose=(directory,)))).message


def test_images_with_pixels_and_reports_without_are_as_they_should_be():
    report = instance(name="report", sop_class=ROOT + "88.11", pixel_keyword="")
    assert object_kind.no_pixels(series(volume("CT"), loose=(report,))) == []


@pytest.mark.parametrize(
    "attributes", [{"SamplesPerPixel": 3}, {"PhotometricInterpretation": "PALETTE COLOR"}]
)
def test_colour_in_ct_is_held(attributes):
    assert only(object_kind.colour(series(volume("CT", **attributes)))).code == "TRI-OBJ-004"


def test_grey_ct_and_coloured_ultrasound_are_normal():
    ultrasound = volume("US", sop_class=ROOT + "6.1", SamplesPerPixel=3, PhotometricInterpretation="RGB")
    assert object_kind.colour(series(volume("CT"))) == []
    assert object_kind.colour(series(ultrasound)) == []


@pytest.mark.parametrize(
    ("uid", "state"),
    [
        ("1.3.46.670589.5.0.1.1", "private"),
        (ROOT + "6", "retired"),
        ("1.2.840.10008.5.1.4.1.1.999", "not in the DICOM"),
        ("", "missing"),
    ],
)
def test_private_retired_and_unheard_of_classes_are_named(uid, state):
    finding = only(identity.unknown_class(series(loose=(instance(sop_class=uid),))))
    assert finding.code == "ING-007"
    assert state in finding.message


def test_a_current_class_is_not_named():
    assert identity.unknown_class(series(volume("CT"))) == []
