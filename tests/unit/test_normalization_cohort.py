"""Which MR volumes are of one cohort: contrast from times and sequence, part, field strength, agent."""

from __future__ import annotations

import pytest

import data
from handlers.model import NormModel
from handlers.normalization.cohort import cohort, model_for, weighting
from handmade import built

SMALL = {"slices": 3, "rows": 8, "columns": 8}


def mr(tmp_path, **keywords):
    return built(data.mr_series(**SMALL, **keywords), tmp_path)


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({"EchoTime": "10", "RepetitionTime": "500"}, "T1"),
        ({"EchoTime": "100", "RepetitionTime": "4000"}, "T2"),
        ({"EchoTime": "15", "RepetitionTime": "3000"}, "PD"),
        ({"ScanningSequence": ["SE", "IR"], "EchoTime": "120", "InversionTime": "2500"}, "FLAIR"),
        ({"ScanningSequence": ["GR", "IR"], "EchoTime": "3", "InversionTime": "900"}, "T1"),
        ({"ScanningSequence": ["SE", "IR"], "EchoTime": "50", "InversionTime": "160"}, "STIR"),
        ({"ScanningSequence": "GR", "EchoTime": "4", "RepetitionTime": "9"}, "T1"),
        ({"ScanningSequence": "GR", "EchoTime": "20", "RepetitionTime": "600"}, "T2S"),
        ({"ScanningSequence": "EP", "EchoTime": "30"}, "EPI"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "DIFFUSION"], "EchoTime": "90"}, "DWI"),
        ({"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"], "EchoTime": "90"}, "ADC"),
        ({"EchoTime": None}, "UNKNOWN"),
    ],
)
def test_the_contrast_is_told_from_sequence_and_times(tmp_path, keywords, expected):
    assert weighting(mr(tmp_path, **keywords).frames[0]) == expected


def test_a_cohort_names_part_contrast_dimensions_field_and_agent(tmp_path):
    keywords = {"BodyPartExamined": "BRAIN", "MRAcquisitionType": "3D", "MagneticFieldStrength": "2.8936"}
    assert cohort(mr(tmp_path / "plain", **keywords)) == "HEAD/T1/3D/3T/plain"
    given = mr(tmp_path / "given", **keywords, ContrastBolusAgent="GADOVIST")
    assert cohort(given) == "HEAD/T1/3D/3T/contrast"


def test_a_field_strength_in_gauss_is_understood(tmp_path):
    assert "/1.5T/" in cohort(mr(tmp_path, MagneticFieldStrength="15000"))


def test_a_phase_image_has_no_cohort(tmp_path):
    assert cohort(mr(tmp_path, ImageType=["ORIGINAL", "PRIMARY", "P", "ND"])) is None


def test_the_model_of_the_manufacturer_comes_before_that_of_all(tmp_path):
    volume = mr(tmp_path, Manufacturer="SIEMENS Healthineers")
    key = cohort(volume)
    everyone, own = (NormModel("nyul", each, 1, (), (), (), 20, "") for each in (key, f"{key}/SIEMENS"))
    assert model_for([everyone, own], "nyul", volume) is own
    assert model_for([everyone], "nyul", volume) is everyone
    assert model_for([own, everyone], "histogram", volume) is None
