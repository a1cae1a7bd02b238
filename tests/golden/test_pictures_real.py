"""What the pixels of real images say of text, faces, polarity and chest wall: little, and only where it is so."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from handlers.errors import HandlerError
from handlers.normalization.pipeline import to_modality_units
from handlers.reading import series_from_files
from handlers.triage.rules import HEADER_RULES, VALUE_RULES, judge
from handlers.volumes import split

RULES = [
    each
    for each in VALUE_RULES
    if each[0] in ("border_polarity", "chest_wall", "pectoral_muscle", "burned_in_text", "recognisable_face")
]
GROUPS = (
    "cr_mono1_fuji_nopreamble", "dx_mono1_highdicom", "mg_cc_left_stereo", "pydicom_dicomdir_tree", "pydicom_data_big",
    "ct_philips_head_5mm", "ct_philips_tilt_-18.5", "mr_siemens_HFDR_sag", "nm_multiframe",
)  # fmt: skip
# The one grey ultrasound image: settings and measurements are written around the picture.
WITH_TEXT = "494220853584"


@pytest.fixture(scope="module")
def found(shared_data: Path) -> dict[str, set[str]]:
    """Last digits of every SeriesInstanceUID -> codes that the rules on pictures raised."""
    result: dict[str, set[str]] = {}
    for group in GROUPS:
        files = [path for path in sorted((shared_data / group).rglob("*")) if path.is_file()]
        for series in series_from_files(files)[0]:
            whole = split(series)
            codes = result.setdefault(series.series_instance_uid[-12:], set())
            for volume in whole.volumes:
                with contextlib.suppress(HandlerError):
                    decoded = to_modality_units(volume)
                    codes |= {f.code for f in judge(replace(whole, volumes=(decoded,)), RULES)}
    return result


def test_text_is_found_in_the_image_that_has_it_and_in_no_other(found):
    assert found.pop(WITH_TEXT) == {"DEI-BIA-002"}
    assert {uid: codes for uid, codes in found.items() if codes} == {}
    assert len(found) >= 15


def header_findings(shared_data: Path, group: str):
    files = [path for path in sorted((shared_data / group).rglob("*")) if path.is_file()]
    series = next(each for found in series_from_files(files)[0] if (each := split(found)).volumes)
    return {finding.code: finding for finding in judge(series, HEADER_RULES)}


def test_a_biopsy_image_is_a_special_view_and_no_incomplete_screening(shared_data):
    """ImageType STEREO, old code R-10242, ViewPosition CC, tube at 0.03 degrees: all agree."""
    told = header_findings(shared_data, "mg_cc_left_stereo")
    assert told["MAM-006"].evidence["modifiers"] == ["stereotactic image"]
    assert set(told) & {"MAM-001", "MAM-002", "MAM-003", "MAM-004", "MAM-009", "MAM-010"} == set()
    # 0.085 mm at the detector, and a factor in the header: smaller in the patient
    assert told["SPC-003"].evidence["plane"] == "estimated"
    assert told["SPC-003"].evidence["value_mm"][0] < 0.085


def test_the_same_spacing_twice_is_that_of_the_detector(shared_data):
    assert header_findings(shared_data, "dx_mono1_highdicom")["SPC-003"].evidence["plane"] == "detector"


def test_colour_data_and_a_palette_are_told_apart_from_grey_stored_in_colour(shared_data):
    assert header_findings(shared_data, "us_palette_no_spacing")["USX-001"].severity.name == "WARN"
    assert header_findings(shared_data, "us_esaote_ybr422")["USX-001"].severity.name == "INFO"


def test_two_windows_of_a_real_ct_are_noted(shared_data):
    assert "VOI-001" in header_findings(shared_data, "ct_philips_head_5mm")
