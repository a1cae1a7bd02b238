"""Each shipped profile on a series that it is for: real where there is one, else built in code.

What is expected follows from the recipe and the facts of the series, never from a result.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydicom.dataset import Dataset

import data
from handlers.preprocess import preprocess
from handlers.reading import series_from_files
from node.config import Config
from node.recipes import recipe_of
from runs import Result, process

WINDOWS = {"ct-lung": (-1000, 400), "ct-soft": (-150, 250), "ct-brain": (0, 80), "ct-bone": (-500, 1300)}
BODY = {"slices": 24, "rows": 64, "columns": 64, "spacing": (0.5, 0.5), "step_mm": 1.25}


def by_profile(name):
    return recipe_of(name, Config())


def processed(folder, name, out):
    """The largest series of a folder of real files, by a shipped profile."""
    found, _ = series_from_files(sorted(path for path in folder.iterdir() if path.is_file()))
    series = max(found, key=lambda each: len(each.instances))
    preprocess(series, out, by_profile(name))
    return Result(out, json.loads((out / "report.json").read_text("utf-8")))


def test_ct_hu_keeps_what_was_measured(shared_data, tmp_path):
    result = processed(shared_data / "ct_philips_head_5mm", "ct-hu", tmp_path / "out")
    (volume,) = result.accepted
    values = result.values(volume)
    assert values.dtype == np.int16
    assert (volume["units"], volume["orientation"]) == ("[hnsf'U]", "LPS")
    assert values.min() == -1024  # unsigned 12 bit, intercept -1024; air is stored as 0


def test_ct_brain_keeps_thick_slices_thick(shared_data, tmp_path):
    result = processed(shared_data / "ct_philips_head_5mm", "ct-brain", tmp_path / "out")
    (volume,) = result.accepted
    assert volume["spacing_mm"][:2] == pytest.approx([0.5, 0.5])
    assert volume["shape"][2] == 12
    hu = result.values({"file": volume["companions"]["units"]})
    assert result.values(volume) == pytest.approx(np.clip(hu / 80.0, 0, 1), abs=1e-6)


@pytest.mark.parametrize("name", sorted(WINDOWS))
def test_a_ct_window_goes_to_0_and_1_with_hu_beside_it(tmp_path, name):
    result = process(data.ct_series(**BODY), tmp_path, by_profile(name))
    (volume,) = result.accepted
    low, high = WINDOWS[name]
    hu = result.values({"file": volume["companions"]["units"]}).astype(float)
    assert result.values(volume) == pytest.approx(np.clip((hu - low) / (high - low), 0, 1), abs=1e-6)
    assert "NRM-CLP-001" in result.codes


def test_ct_lung_holds_slices_too_thick_for_cubes(tmp_path):
    result = process(data.ct_series(**BODY | {"step_mm": 5.0}), tmp_path, by_profile("ct-lung"))
    assert "NRM-RES-002" in result.codes
    assert result.accepted == []


def test_cardiac_ct_holds_a_heart_scan_without_gating_or_phase(tmp_path):
    series = data.ct_series(**BODY, SeriesDescription="CORONARY CTA", ContrastBolusAgent="ULTRAVIST 370")
    result = process(series, tmp_path, by_profile("cardiac-ct"))
    assert result.codes & {"GAT-004", "CON-002"}
    assert result.accepted == []


def test_cardiac_ct_takes_a_gated_scan_of_known_phase(tmp_path):
    series = data.ct_series(
        **BODY | {"step_mm": 0.5},
        SeriesDescription="CORONARY CTA ARTERIAL 75%",
        ContrastBolusAgent="ULTRAVIST 370",
        NominalPercentageOfCardiacPhase=75.0,
        CardiacSynchronizationTechnique="RETROSPECTIVE",
    )
    result = process(series, tmp_path, by_profile("cardiac-ct"))
    (volume,) = result.accepted
    assert volume["spacing_mm"] == pytest.approx([0.5, 0.5, 0.5])


@pytest.mark.parametrize(("name", "code"), [("mr-brain", "NRM-INT-002"), ("mr-generic", None)])
def test_mr_goes_from_percentiles_to_0_and_1_until_there_is_a_model(shared_data, tmp_path, name, code):
    result = processed(shared_data / "mr_siemens_HFDR_sag", name, tmp_path / "out")
    (volume,) = result.accepted
    values = result.values(volume)
    assert (values.min(), values.max()) == (0, 1)
    assert ("NRM-INT-002" in result.codes) == (code is not None)
    (told,) = volume["landmarks"]
    assert told["cohort"].split("/")[1] == "T1"  # SERIES.csv: sagittal T1
    if name == "mr-brain":
        assert volume["spacing_mm"] == pytest.approx([1, 1, 1])
        assert "NRM-RES-002" in result.codes  # 4.8 mm between slices


def chest(photometric):
    """A body that gets denser to the right, on dark air; MONOCHROME1 stores it inverted over 12 bits."""
    picture = data.projection("CR", photometric=photometric)
    i, j = np.indices((picture.Rows, picture.Columns))
    shown = np.where(np.hypot(i - 32, j - 24) < 20, 1000 + 20 * j, 100)
    picture.PixelData = (4095 - shown if photometric == "MONOCHROME1" else shown).astype("<u2").tobytes()
    return picture


def test_cxr_is_bright_where_it_is_dense_whatever_the_header_says(tmp_path):
    pictures = {}
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        result = process([chest(photometric)], tmp_path / photometric, by_profile("cxr"))
        (volume,) = result.accepted
        pictures[photometric] = result.values(volume)
        assert (pictures[photometric].min(), pictures[photometric].max()) == (0, 1)
    assert np.array_equal(*pictures.values())
    assert pictures["MONOCHROME1"][0, 32, 40] > pictures["MONOCHROME1"][0, 32, 10] > 0


def test_cxr_on_a_real_monochrome1_image_puts_air_low(shared_data, tmp_path):
    result = processed(shared_data / "dx_mono1_highdicom", "cxr", tmp_path / "out")
    assert "POL-001" in result.codes
    for volume in result.accepted:
        values = result.values(volume)
        assert values.dtype == np.float32
        assert 0 <= values.min() <= values.max() <= 1


def test_mammo_keeps_the_grey_values_and_holds_a_magnified_view(tmp_path):
    result = process([data.projection("MG")], tmp_path / "plain", by_profile("mammo"))
    assert {volume["units"] for volume in result.accepted} <= {"1"}
    modifier = Dataset()
    modifier.CodeValue, modifier.CodingSchemeDesignator, modifier.CodeMeaning = (
        "399163009",
        "SCT",
        "Magnification",
    )
    view = Dataset()
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = "399162004", "SCT", "cranio-caudal"
    view.ViewModifierCodeSequence = [modifier]
    magnified = process(
        [data.projection("MG", ViewCodeSequence=[view])], tmp_path / "magnified", by_profile("mammo")
    )
    assert "MAM-006" in magnified.codes
    assert magnified.accepted == []


def test_pet_suv_holds_a_series_whose_inputs_are_missing(shared_data, tmp_path):
    result = processed(shared_data / "pt_acrin_singles", "pet-suv", tmp_path / "out")
    assert result.accepted == [] or "PET-001" not in result.codes


def test_us_claims_no_place_in_the_patient(shared_data, tmp_path):
    result = processed(shared_data / "us_acuson_multiframe", "us", tmp_path / "out")
    for volume in result.report["volumes"]:
        assert volume["affine_ras"] is None
