"""Eighteen series that converters are known to get wrong: each is right here, or refused with a code.

Every series is built with a known content in patient space, so "right" means: the value of every
voxel is what the phantom measures at the place where the written affine puts that voxel.
"""

import numpy as np
import pytest

import data
from handlers.api import Recipe
from runs import expected_hu, process

SIZE = {"rows": 64, "columns": 64}
SERIES = data.uid("series", "anchor")


def ct(**options):
    return data.ct_series(**{"slices": 20, "series_uid": SERIES} | options)


def assert_right(result, volume, *, slices=20, dz=2.0):
    assert volume["shape"] == [64, 64, slices]
    np.testing.assert_allclose(volume["spacing_mm"], [0.5, 0.5, dz], rtol=1e-6)
    assert volume["orientation"] == "LPS"
    assert volume["units"] == "[hnsf'U]"
    np.testing.assert_array_equal(result.values(volume), expected_hu(result.points(volume)))


def test_shuffled_instance_numbers_do_not_matter(tmp_path):
    datasets = ct(shuffled=True)
    result = process(datasets, tmp_path)
    (volume,) = result.accepted
    assert_right(result, volume)
    in_order = sorted(datasets, key=lambda each: float(each.ImagePositionPatient[2]))
    assert volume["sop_instance_uids"] == [each.SOPInstanceUID for each in in_order]


def test_one_missing_slice_is_held(tmp_path):
    result = process(ct(missing=(10,)), tmp_path)
    (volume,) = result.report["volumes"]
    assert result.report["verdict"] == "QUARANTINE"
    assert "GEO-005" in result.codes
    assert volume["missing_slices"] == 1
    assert "file" not in volume
    assert list(result.folder.glob("*.nii.gz")) == []
    assert (result.folder / "v0.png").exists()


def test_one_missing_slice_is_filled_and_marked_when_the_profile_asks(tmp_path):
    result = process(ct(slices=60, step_mm=0.5, missing=(30,)), tmp_path, Recipe(fill_missing=True))
    (volume,) = result.accepted
    assert volume["shape"] == [64, 64, 60]
    np.testing.assert_allclose(volume["spacing_mm"], [0.5, 0.5, 0.5])
    assert {"GEO-005", "NRM-GAP-001"} & result.codes
    values, expected = result.values(volume), expected_hu(result.points(volume))
    others = [k for k in range(60) if k != 30]
    np.testing.assert_array_equal(values[others], expected[others])


def test_missing_edge_slices_are_told_when_the_header_counts_them(tmp_path):
    result = process(ct(missing=(0, 1, 2), ImagesInAcquisition=20), tmp_path)
    (volume,) = result.report["volumes"]
    assert "GEO-015" in result.codes
    assert volume["verdict"] != "ACCEPT"
    assert_right(result, volume, slices=17)


def test_an_identical_slice_at_the_same_place_is_dropped(tmp_path):
    result = process(ct(duplicate=7), tmp_path)
    (volume,) = result.accepted
    assert "GEO-007" in result.codes
    assert_right(result, volume)


def test_a_different_slice_at_the_same_place_is_held(tmp_path):
    result = process(ct(duplicate=7, duplicate_differs=True), tmp_path)
    assert result.report["verdict"] == "QUARANTINE"
    assert "SPL-003" in result.codes
    assert result.accepted == []


def test_two_kernels_in_one_series_are_two_volumes(tmp_path):
    result = process([*ct(kernel="B30f"), *ct(kernel="B70f", name="sharp")], tmp_path)
    assert {"SPL-001", "SPL-005"} & result.codes
    assert sorted(volume["kernel"]["raw"] for volume in result.accepted) == ["B30f", "B70f"]
    assert len(result.accepted) == 2
    for volume in result.accepted:
        assert_right(result, volume)


def test_three_slices_of_another_orientation_stay_apart(tmp_path):
    strangers = ct(slices=3, orientation="coronal", name="coronal")
    result = process([*ct(), *strangers], tmp_path)
    assert any(code.startswith("SPL-") for code in result.codes)
    volume = next(each for each in result.accepted if each["n_instances"] == 20)
    assert_right(result, volume)
    apart = {
        uid for each in result.report["volumes"] if each is not volume for uid in each["sop_instance_uids"]
    }
    assert apart == {each.SOPInstanceUID for each in strangers} or "SPL-004" in result.codes


def test_a_secondary_capture_in_the_series_is_refused_alone(tmp_path):
    result = process([*ct(), data.secondary_capture(series_uid=SERIES)], tmp_path)
    assert "TRI-SC-001" in result.codes
    (volume,) = result.accepted
    assert_right(result, volume)
    assert [each["verdict"] for each in result.refused] == ["REJECT"]


def test_a_localizer_in_the_series_is_refused_alone(tmp_path):
    result = process([*ct(), data.localizer(series_uid=SERIES)], tmp_path)
    assert "TRI-LOC-001" in result.codes
    (volume,) = result.accepted
    assert_right(result, volume)
    assert [each["verdict"] for each in result.refused] == ["REJECT"]


def test_thick_and_thin_slices_never_become_one_wrong_volume(tmp_path):
    thin = ct(slices=20, step_mm=2.0)
    thick = ct(slices=8, step_mm=5.0, name="thick", AcquisitionNumber=2)
    result = process([*thin, *thick], tmp_path)
    for volume in result.accepted:
        assert (volume["n_instances"], volume["spacing_mm"][2]) in ((20, 2.0), (8, 5.0))
        assert_right(result, volume, slices=volume["n_instances"], dz=volume["spacing_mm"][2])
    assert {"SPL-002", "SPL-003", "SPL-005", "GEO-006", "GEO-010"} & result.codes


def test_gantry_tilt_is_straightened(tmp_path):
    result = process(ct(slices=40, tilt_deg=15, step_mm=1.0), tmp_path)
    (volume,) = result.accepted
    assert {"GEO-008", "NRM-TLT-001"} <= result.codes
    assert volume["shear_deg"] == pytest.approx(15, abs=0.1)
    axes = np.array(volume["affine_ras"])[:3, :3]
    axes /= np.linalg.norm(axes, axis=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-6)
    values, points = result.values(volume), result.points(volume)
    bone = points[values > 500]
    truth = points[expected_hu(points) > 500]
    np.testing.assert_allclose(bone.mean(axis=0), truth.mean(axis=0), atol=0.6)
    measured = values > -1020  # the corners of the upright box were never scanned
    agreeing = np.abs(values - expected_hu(points))[measured] < 250
    assert agreeing.mean() > 0.97


def test_monochrome1_of_a_ct_is_a_display_matter(tmp_path):
    result = process(ct(photometric="MONOCHROME1"), tmp_path)
    (volume,) = result.accepted
    assert "POL-003" in result.codes
    assert volume["polarity_inverted"] is False
    assert_right(result, volume)


def test_monochrome1_of_a_projection_is_inverted_once(tmp_path):
    shown = {}
    for name in ("MONOCHROME1", "MONOCHROME2"):
        result = process([data.projection("DX", photometric=name)], tmp_path / name)
        (volume,) = result.accepted
        assert volume["polarity_inverted"] is (name == "MONOCHROME1")
        shown[name] = result.values(volume)
    assert ("POL-001" in result.codes) is False
    np.testing.assert_array_equal(shown["MONOCHROME1"], shown["MONOCHROME2"])
    assert set(np.unique(shown["MONOCHROME1"])) == {200, 3000}


def test_high_bit_15_with_12_bits_stored(tmp_path):
    result = process(ct(bits_stored=12, high_bit=15), tmp_path)
    (volume,) = result.accepted
    assert "PIX-002" in result.codes
    assert_right(result, volume)


def test_signed_12_bit_values_without_sign_extension(tmp_path):
    result = process(
        ct(bits_stored=12, pixel_representation=1, sign_extended=False, slope=1, intercept=0), tmp_path
    )
    (volume,) = result.accepted
    assert_right(result, volume)
    assert volume["statistics"]["min"] == -1000


def test_garbage_above_the_stored_bits(tmp_path):
    result = process(ct(bits_stored=12, garbage=True), tmp_path)
    (volume,) = result.accepted
    assert "PIX-003" in result.codes
    assert_right(result, volume)


def test_padding_is_neither_tissue_nor_air(tmp_path):
    result = process(ct(bits_stored=16, pixel_representation=1, intercept=-1024, padding=-2000), tmp_path)
    (volume,) = result.accepted
    mask = data.padding_mask(64, 64)
    assert volume["padding_voxels"] == 20 * int(mask.sum())
    values = result.values(volume)
    assert set(np.unique(values[:, mask])) == {-1024}
    np.testing.assert_array_equal(values[:, ~mask], expected_hu(result.points(volume))[:, ~mask])
    assert volume["statistics"]["min"] == -1000


def test_a_slope_that_differs_per_slice(tmp_path):
    slopes = [1, 0.5, 2] * 6 + [1, 0.5]
    result = process(ct(bits_stored=16, slopes=slopes, intercept=-1024), tmp_path)
    (volume,) = result.accepted
    values = result.values(volume)
    np.testing.assert_allclose(
        values, expected_hu(result.points(volume)), atol=1.0
    )  # half of the coarsest step
    assert volume["spacing_mm"][2] == 2.0
    assert values.dtype.kind == "f"


def test_without_positions_there_is_no_volume(tmp_path):
    result = process(ct(ImagePositionPatient=None, ImageOrientationPatient=None), tmp_path)
    assert result.accepted == []
    assert "GEO-001" in result.codes
    assert list(result.folder.glob("*.nii.gz")) == []


def test_spacing_at_the_detector_is_labelled(tmp_path):
    result = process([data.projection("DX", pixel_spacing=None, imager_pixel_spacing=(0.15, 0.15))], tmp_path)
    (volume,) = result.report["volumes"]
    assert any(code.startswith("SPC-") for code in result.codes)
    assert volume["spacing_mm"][:2] in ([0.15, 0.15], [None, None])
    assert volume["orientation"] is None


def test_no_spacing_is_never_one_millimetre(tmp_path):
    result = process([data.projection("DX", pixel_spacing=None, imager_pixel_spacing=None)], tmp_path)
    (volume,) = result.report["volumes"]
    assert volume["spacing_mm"] == [None, None, None]
    assert "SPC-001" in result.codes
