"""Converted pictures and screens beside other objects, and of a single image."""

from __future__ import annotations

import pytest

from handlers.triage import screens
from triage_cases import only, series, volume

ROOT = "1.2.840.10008.5.1.4.1.1."
CAPTURE, SEGMENTATION = ROOT + "7", ROOT + "66.4"
DERIVED = ["DERIVED", "SECONDARY", "DOSE_INFO"]


def test_a_single_image_is_judged_by_its_own_type():
    finding = only(screens.converted_picture(series(volume("CT", slices=1, ImageType=DERIVED))))
    assert finding.evidence == {"ImageType": DERIVED, "ConversionType": []}


def test_the_first_image_tells_the_type_of_a_volume():
    made = volume("CT", slices=3, ImageType=lambda k: ["ORIGINAL", "PRIMARY", "AXIAL"] if k else DERIVED)
    finding = only(screens.converted_picture(series(made)))
    assert finding.evidence["ImageType"] == DERIVED


@pytest.mark.parametrize(
    ("rule", "passed_over"),
    [
        (screens.converted_picture, CAPTURE),  # TRI-SC-001 tells it
        (screens.converted_picture, SEGMENTATION),
        (screens.dose_or_protocol_screen, SEGMENTATION),
    ],
)
def test_what_is_no_image_of_a_scanner_hides_no_other(rule, passed_over):
    both = series(
        volume("CT", slices=1, sop_class=passed_over, ImageType=DERIVED),
        volume("CT", index=1, slices=1, ImageType=DERIVED),
    )
    assert only(rule(both)).target == "v1"
