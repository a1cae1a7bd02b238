"""Radiographs: what their border says of the polarity, and the windows that their headers propose."""

from __future__ import annotations

import numpy as np
import pytest

import data
from handlers.model import Severity
from handlers.triage import border_polarity, display_windows
from pictures import ROWS, craniocaudal, hand, mediolateral_oblique
from runs import process
from triage_cases import header, only, series, volume

ROOT = "1.2.840.10008.5.1.4.1.1."


def radiograph(picture, modality="DX", **attributes):
    plain = {
        "PixelSpacing": None,
        "ImageOrientationPatient": None,
        "PhotometricInterpretation": "MONOCHROME2",
    }
    sop_class = attributes.pop("sop_class", ROOT + "1.1")
    values = np.asarray(picture)[None]
    return series(volume(modality, slices=1, sop_class=sop_class, values=values, **{**plain, **attributes}))


def inverted(picture):
    return 4095 - picture


PICTURES = {"hand": hand(), "CC": craniocaudal(), "MLO": mediolateral_oblique()}


@pytest.mark.parametrize("name", PICTURES)
def test_bright_air_around_the_patient_is_held(name):
    modality = "DX" if name == "hand" else "MG"
    found = border_polarity.border_polarity(
        radiograph(inverted(PICTURES[name]), modality, PixelIntensityRelationshipSign=1)
    )
    finding = only(found)
    assert (finding.code, finding.severity) == ("POL-004", Severity.REVIEW)
    assert finding.evidence["PixelIntensityRelationshipSign"] == "1"


@pytest.mark.parametrize("name", PICTURES)
def test_dark_air_is_right(name):
    assert border_polarity.border_polarity(radiograph(PICTURES[name])) == []


def test_what_the_collimator_covered_is_no_air():
    picture = hand()
    covered = np.full_like(picture, 4000)
    covered[20:-20, 20:-20] = picture[20:-20, 20:-20]
    assert border_polarity.border_polarity(radiograph(covered)) == []


def test_a_patient_who_fills_the_picture_shows_no_air():
    i, j = np.indices((ROWS, 180))
    assert border_polarity.border_polarity(radiograph(1000 + 5 * i + 3 * j)) == []
    noise = np.random.default_rng(11).integers(0, 4095, (ROWS, 180))
    assert border_polarity.border_polarity(radiograph(noise)) == []


@pytest.mark.parametrize(
    ("modality", "attributes"),
    [
        ("XA", {}),  # contrast medium is dark by custom
        ("RF", {}),
        ("CT", {}),
        ("DX", {"sop_class": ROOT + "1.1.1"}),  # raw
        ("DX", {"PresentationIntentType": "FOR PROCESSING"}),
    ],
)
def test_fluoroscopy_tomography_and_raw_images_are_not_judged(modality, attributes):
    assert border_polarity.border_polarity(radiograph(inverted(hand()), modality, **attributes)) == []


def test_pictures_without_values_range_or_size_are_not_judged():
    for picture in (np.full((64, 64), 7), hand()[:20, :20]):
        assert border_polarity.border_polarity(radiograph(picture)) == []
    bare = volume("DX", slices=1, PixelSpacing=None)
    assert border_polarity.border_polarity(series(bare)) == []


def file_of(picture, **attributes):
    image = data.projection("DX", rows=picture.shape[0], columns=picture.shape[1], **attributes)
    image.PixelData = picture.astype("<u2").tobytes()
    return image


def test_a_wrong_photometric_interpretation_is_held_and_a_right_one_is_turned(tmp_path):
    """MONOCHROME1 with air dark as stored: after the inversion the air is bright."""
    wrong = process([file_of(hand(), photometric="MONOCHROME1")], tmp_path / "wrong")
    assert wrong.report["verdict"] == "QUARANTINE"
    assert {"POL-001", "POL-004"} <= wrong.codes
    right = process([file_of(inverted(hand()), photometric="MONOCHROME1")], tmp_path / "right")
    assert "POL-001" in right.codes
    assert "POL-004" not in right.codes


# -- windows -------------------------------------------------------------------------------------


def windows(modality="DX", **attributes):
    plain = {"PixelSpacing": None, "ImageOrientationPatient": None}
    return display_windows.display_windows(series(volume(modality, slices=1, **{**plain, **attributes})))


@pytest.mark.parametrize(
    "attributes",
    [
        {"WindowCenter": [100, 200], "WindowWidth": [50, 400]},
        {"WindowCenter": 100, "WindowWidth": 50, "VOILUTSequence": [header({"LUTExplanation": "bone"})]},
        {"VOILUTSequence": [header({}), header({})]},
    ],
)
@pytest.mark.parametrize("modality", ["DX", "CT"])
def test_several_windows_are_noted(modality, attributes):
    finding = only(windows(modality, **attributes))
    assert (finding.code, finding.severity) == ("VOI-001", Severity.INFO)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"WindowCenter": 100},
        {"WindowCenter": 100, "WindowWidth": 0.5},  # LINEAR needs 1 at least; PS3.3 C.11.2.1.2.1
        {"WindowCenter": 100, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": "nan", "WindowWidth": 100},
    ],
)
def test_a_projection_without_a_usable_window_is_noted(attributes):
    finding = only(windows(**attributes))
    assert (finding.code, finding.severity) == ("VOI-002", Severity.INFO)


@pytest.mark.parametrize(
    "attributes",
    [
        {"WindowCenter": 100, "WindowWidth": 1},
        {"WindowCenter": 0.5, "WindowWidth": 0.5, "VOILUTFunction": "LINEAR_EXACT"},
        {"VOILUTSequence": [header({})]},
    ],
)
def test_one_usable_window_is_fine(attributes):
    assert windows(**attributes) == []


def test_tomography_needs_no_window():
    assert windows("CT") == []
