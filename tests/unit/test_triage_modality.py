"""Whether modality, attributes and body part make sense together."""

from __future__ import annotations

import pytest

from handlers.model import Severity
from handlers.triage import modality
from triage_cases import codes, only, series, volume


def test_two_modalities_in_one_series_are_held():
    finding = only(modality.several_modalities(series(volume("CT"), volume("PT", index=1))))
    assert (finding.code, finding.severity) == ("MOD-001", Severity.REVIEW)


def test_one_modality_is_as_it_should_be():
    assert modality.several_modalities(series(volume("CT"), volume("CT", index=1))) == []


@pytest.mark.parametrize(
    ("coded", "words"), [("CHEST", "Schädel nativ"), ("HEAD", "CT ABDOMEN"), ("KNEE", "Thorax")]
)
def test_a_body_part_that_the_description_contradicts_is_noted(coded, words):
    finding = only(
        modality.body_part_against_description(
            series(volume("CT", BodyPartExamined=coded, SeriesDescription=words))
        )
    )
    assert (finding.code, finding.severity) == ("MOD-002", Severity.INFO)


@pytest.mark.parametrize(
    ("coded", "words"),
    [
        ("CHEST", "Thorax 1.0"),
        ("", "HEAD"),
        ("ABDOMEN", "1.0 B30f"),
        ("CHEST", "Thorax Abdomen"),
        ("OVERHEAD", "KNEE"),
    ],
)
def test_agreement_and_silence_are_no_contradiction(coded, words):
    assert (
        modality.body_part_against_description(
            series(volume("CT", BodyPartExamined=coded, SeriesDescription=words))
        )
        == []
    )


def test_attributes_of_mr_in_ct_are_held():
    finding = only(
        modality.attributes_against_modality(series(volume("CT", EchoTime=10, RepetitionTime=500)))
    )
    assert (finding.code, finding.severity) == ("MOD-003", Severity.REVIEW)


def test_original_ct_without_any_xray_attribute_is_marked():
    finding = only(
        modality.attributes_against_modality(series(volume("CT", KVP=None, ConvolutionKernel=None)))
    )
    assert finding.severity is Severity.WARN


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"KVP": None},
        {"ConvolutionKernel": None},
        {"KVP": None, "ConvolutionKernel": None, "ImageType": ["DERIVED", "PRIMARY"]},
    ],
)
def test_one_attribute_or_a_derived_image_is_enough(attributes):
    assert codes(modality.attributes_against_modality(series(volume("CT", **attributes)))) == []


def test_mr_may_have_attributes_of_mr():
    assert modality.attributes_against_modality(series(volume("MR"))) == []


def test_the_first_image_speaks_for_the_attributes_of_its_volume():
    held = volume("CT", EchoTime=lambda k: 10 if k == 0 else None)
    assert codes(modality.attributes_against_modality(series(held))) == ["MOD-003"]
    passed = volume("CT", EchoTime=lambda k: None if k == 0 else 10)
    assert modality.attributes_against_modality(series(passed)) == []
