"""Scales of real PET and MR files: uptake values and quantitative MR, from constants read in the headers.

The constants below are those that the files state, read with a DICOM dump; the expected values follow from
them and from the largest stored value, by hand.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from handlers.api import Recipe
from handlers.preprocess import preprocess
from handlers.reading import series_from_files


def reports(shared_data: Path, group: str, out: Path, recipe: Recipe):
    """Process every series of a group; the reports by SeriesInstanceUID."""
    files = [path for path in sorted((shared_data / group).rglob("*")) if path.is_file()]
    found = []
    for index, series in enumerate(series_from_files(files)[0]):
        preprocess(series, out / str(index), recipe)
        found.append(json.loads((out / str(index) / "report.json").read_text("utf-8")))
    return found


def volumes(found):
    return [volume for report in found for volume in report["volumes"]]


def of_unit(found, unit):
    return [volume for volume in volumes(found) if volume["units"] == unit]


def ratios(shared_data, group, tmp_path, **wish):
    """Largest value as wished over the largest as measured, for each volume that has both."""
    plain = volumes(reports(shared_data, group, tmp_path / "plain", Recipe()))
    made = volumes(reports(shared_data, group, tmp_path / "made", Recipe(**wish)))
    return {
        round(a["statistics"]["max"], 2): (b["statistics"]["max"] / a["statistics"]["max"], b["units"])
        for a, b in zip(plain, made, strict=True)
        if a["statistics"]
    }


def test_uptake_values_of_two_acrin_scans(shared_data, tmp_path):
    found = ratios(shared_data, "pt_acrin_singles", tmp_path, suv="bw")
    # 178.34 MBq at 14:17:00, images at 15:23:16.921, 69.7344 kg: 3976.921 s are 0.603826 half-lives of 6586.2 s
    first = 1000 * 69.7344 / (178340011.59668 * 0.5**0.603826)
    # 173.53 MBq given as the dynamic scan began, 82.174 kg
    second = 1000 * 82.174 / 173529998.7793
    assert {unit for _, unit in found.values()} == {"g/ml{SUVbw}"}
    assert sorted(ratio for ratio, _ in found.values()) == pytest.approx(sorted((first, second)), rel=2e-5)


def test_a_scan_in_other_units_than_activity_stays_in_them(shared_data, tmp_path):
    found = reports(shared_data, "pt_ge_modality_lut", tmp_path, Recipe(suv="bw"))
    assert len(of_unit(found, "g/ml{SUVbw}")) == 1  # the one in BQML
    assert len(of_unit(found, "1")) == 1  # PROPCPS
    refused = next(report for report in found if report["volumes"][0]["units"] == "1")
    assert "PET-001" in {finding["code"] for finding in refused["findings"]}


def test_the_patient_of_unknown_sex_has_no_lean_body_mass(shared_data, tmp_path):
    found = reports(shared_data, "pt_ge_modality_lut", tmp_path, Recipe(suv="lbm"))
    assert len(of_unit(found, "Bq/ml")) == 1


def test_a_philips_field_map_is_in_hertz_by_its_real_world_map(shared_data, tmp_path):
    # one volume has "no units" and repeats the displayed scale; the other maps 0..4095 to -500..500 Hz
    found = reports(shared_data, "emr_philips_b0", tmp_path, Recipe(mr_values="quantitative"))
    (hertz,) = of_unit(found, "Hz")
    assert -500 <= hertz["statistics"]["min"] < hertz["statistics"]["max"] <= 500.0
    assert len(of_unit(found, "1")) == len(volumes(found)) - 1


@pytest.mark.parametrize(
    ("group", "rescale_slope", "scale_slope"),
    [
        ("emr_philips_anat", 4.25885225885225, 0.0002765719254966825),  # in a private functional group
        ("emr_philips_dti", 2.38510378510378, 0.0005476069054566324),
        ("mr_philips_fmri_temporal", 1.0, 0.013238308019936085),  # classic, without RescaleSlope
    ],
)
def test_the_floating_point_scale_of_philips(shared_data, tmp_path, group, rescale_slope, scale_slope):
    found = ratios(shared_data, group, tmp_path, mr_values="quantitative")
    assert found
    for ratio, unit in found.values():
        assert unit == "1"
        assert ratio == pytest.approx(1 / (rescale_slope * scale_slope), rel=1e-6)


def test_a_real_series_with_a_slope_for_each_slice_says_so(shared_data, tmp_path):
    (report,) = reports(shared_data, "mr_non_isotropic", tmp_path, Recipe())
    assert "MRS-002" in {finding["code"] for finding in report["findings"]}


def test_scanners_without_another_scale_say_so_where_it_is_wanted(shared_data, tmp_path):
    (report,) = reports(shared_data, "emr_siemens_anat", tmp_path, Recipe(mr_values="quantitative"))
    assert {"MRS-004"} <= {finding["code"] for finding in report["findings"]}
    assert not {"MRS-001", "MRS-002"} & {finding["code"] for finding in report["findings"]}


def test_a_real_gated_scan_states_its_phase_in_private_elements(shared_data, tmp_path):
    # GE SmartScore: (0045,xx33) is 70 and (0045,xx31) is 76, under the creator GEMS_HELIOS_01
    found = reports(shared_data, "pydicom_dicomdir_tree", tmp_path, Recipe(target_phase="75%"))
    (gated,) = (each for each in volumes(found) if each["cardiac"])
    assert (gated["cardiac"]["phase_percent"], gated["cardiac"]["heart_rate_bpm"]) == (70.0, 76.0)
    assert (gated["cardiac"]["selected"], gated["cardiac"]["distance_percent"]) == (True, 5.0)


def test_real_private_elements_without_a_creator_are_told(shared_data, tmp_path):
    # a DICOM dump shows (0019,10xx) and (0043,10xx), and neither (0019,0010) nor (0043,0010)
    (report,) = reports(shared_data, "mr_ge_anat_explicit", tmp_path, Recipe())
    (finding,) = (each for each in report["findings"] if each["code"] == "PRV-TAG-002")
    assert finding["evidence"]["blocks"] == ["(0019,10xx)", "(0043,10xx)"]
