"""Stored values to modality units: rescale per frame, look-up tables, units, polarity, statistics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydicom.dataset import Dataset

import data
from handlers.errors import VolumeError
from handlers.model import Severity
from handlers.normalization.modality_transform import apply_modality_transform
from handlers.normalization.pipeline import to_modality_units
from handlers.normalization.statistics import measure_values
from handlers.normalization.stored_values import decode_stored_values
from handmade import built, volume_of

SMALL = {"slices": 3, "rows": 16, "columns": 16}


def codes(volume) -> list[str]:
    return [finding.code for finding in volume.findings]


def test_ct_becomes_hounsfield_in_int16(tmp_path):
    volume = to_modality_units(built(data.ct_series(**SMALL), tmp_path))
    assert volume.units == "[hnsf'U]"
    assert volume.background == -1024
    assert volume.values.dtype == np.int16
    assert set(np.unique(volume.values)) == {-1000, 0, 1000}
    assert codes(volume) == []


def test_the_slope_of_each_slice_is_its_own_and_not_truncated(tmp_path):
    stored = np.full((16, 16), 101)
    series = data.ct_series(**SMALL)
    for dataset, slope in zip(series, (1, 0.5, 2.25), strict=True):
        dataset.PixelData = stored.astype("<u2").tobytes()
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, 0.25
    volume = to_modality_units(built(series, tmp_path))
    assert volume.values.dtype == np.float32
    assert volume.values[:, 0, 0].tolist() == [101.25, 50.75, 227.5]
    step = next(each for each in volume.steps if each.name == "modality_transform")
    assert step.parameters["RescaleSlope"] == [1.0, 0.5, 2.25]


def test_frames_of_an_enhanced_object_use_their_own_functional_groups(tmp_path):
    dataset = data.enhanced_mr(slices=4, rows=16, columns=16, slopes=(1.0, 2.0, 4.0, 0.5))
    volume = to_modality_units(built([dataset], tmp_path))
    for plane in volume.values:
        assert set(np.unique(plane)) <= {0.0, 400.0, 1200.0}
    assert volume.values.max() == 1200


def test_unsigned_sixteen_bits_beyond_int16_become_float_and_do_not_wrap(tmp_path):
    series = data.mr_series(**SMALL, layout=data.Layout(16, 16))
    for dataset in series:
        dataset.PixelData = np.full((16, 16), 40000, "<u2").tobytes()
    volume = to_modality_units(built(series, tmp_path))
    assert volume.values.dtype == np.float32
    assert volume.values.max() == volume.values.min() == 40000


def test_minus_thousand_stays_minus_thousand_when_stored_as_such(tmp_path):
    layout = data.Layout(16, 16, signed=True)
    series = data.ct_series(**SMALL, layout=layout, intercept=0)
    volume = to_modality_units(built(series, tmp_path))
    assert volume.values.min() == -1000


@pytest.mark.parametrize(
    ("absent", "slope", "intercept"), [("RescaleSlope", 1, -1024), ("RescaleIntercept", 2, 0)]
)
def test_one_of_slope_and_intercept_alone_is_completed_and_told(tmp_path, absent, slope, intercept):
    stated = {"RescaleSlope": 2, "RescaleIntercept": -1024} | {absent: None}
    volume = to_modality_units(built(data.ct_series(**SMALL, **stated), tmp_path))
    stored = decode_stored_values(replace(volume, values=None)).values
    assert np.array_equal(volume.values, stored * slope + intercept)
    assert codes(volume) == ["RSC-001"]
    assert volume.findings[0].severity == Severity.WARN


@pytest.mark.parametrize(
    ("modality", "severity"), [("CT", Severity.ERROR), ("PT", Severity.REVIEW), ("MR", Severity.INFO)]
)
def test_absent_rescale_weighs_as_much_as_the_modality_needs_it(tmp_path, modality, severity):
    series = data.ct_series(**SMALL, RescaleSlope=None, RescaleIntercept=None, Modality=modality)
    volume = to_modality_units(built(series, tmp_path))
    assert [(each.code, each.severity) for each in volume.findings] == [("RSC-002", severity)]
    assert volume.values.min() == 24  # as stored


@pytest.mark.parametrize(("modality", "code"), [("CT", "HU-001"), ("MR", "RSC-003")])
def test_a_slope_of_zero_is_refused(tmp_path, modality, code):
    series = data.ct_series(**SMALL, RescaleSlope=0, Modality=modality)
    with pytest.raises(VolumeError, match="RescaleSlope is 0") as caught:
        to_modality_units(built(series, tmp_path))
    assert caught.value.code == code


def test_a_slope_that_is_no_number_is_refused(tmp_path):
    volume = built(data.ct_series(**SMALL), tmp_path)
    frame = replace(volume.frames[0], functional={"RescaleSlope": "NaN"})
    with pytest.raises(VolumeError) as caught:
        to_modality_units(replace(volume, frames=(frame,), geometry=None))
    assert caught.value.code == "HU-001"


def lut_item(descriptor: list[int], values: list[int] | bytes, *, signed: bool = False) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if signed else "US", descriptor)
    item.add_new(
        "LUTData", "OW", values if isinstance(values, bytes) else np.asarray(values, "<u2").tobytes()
    )
    item.ModalityLUTType = "US"
    return item


@pytest.mark.parametrize(
    ("stored", "signed", "first", "expected"),
    [
        ([0, 1, 2, 3], False, 0, [10, 20, 40, 40]),  # beyond the table: its last entry
        ([0, 5, 6, 7], False, 5, [10, 10, 20, 40]),  # before the table: its first entry
        ([-2, -1, 0, 1], True, -1, [10, 10, 20, 40]),
    ],
)
def test_a_modality_look_up_table_is_applied_and_clamped(tmp_path, stored, signed, first, expected):
    dataset = data.mr_series(slices=1, rows=2, columns=2, layout=data.Layout(16, 16, signed=signed))[0]
    dataset.PixelData = np.asarray(stored, "<i2" if signed else "<u2").tobytes()
    dataset.ModalityLUTSequence = [lut_item([3, first, 16], [10, 20, 40], signed=signed)]
    volume = to_modality_units(built([dataset], tmp_path))
    assert volume.values.ravel().tolist() == expected
    assert codes(volume) == []


def test_a_look_up_table_of_twelve_bits_ignores_what_lies_above_them(tmp_path):
    dataset = data.mr_series(slices=1, rows=2, columns=2)[0]
    dataset.PixelData = np.asarray([0, 1, 0, 1], "<u2").tobytes()
    dataset.ModalityLUTSequence = [lut_item([2, 0, 12], [0xF00A, 0x0014])]
    assert to_modality_units(built([dataset], tmp_path)).values.ravel().tolist() == [10, 20, 10, 20]


def test_a_packed_eight_bit_table_with_65536_entries_is_read(tmp_path):
    dataset = data.mr_series(slices=1, rows=2, columns=2, layout=data.Layout(16, 16))[0]
    dataset.PixelData = np.asarray([0, 1, 257, 65535], "<u2").tobytes()
    table = (np.arange(65536) % 256).astype("u1").tobytes()
    dataset.ModalityLUTSequence = [lut_item([0, 0, 8], table)]
    assert to_modality_units(built([dataset], tmp_path)).values.ravel().tolist() == [0, 1, 1, 255]


def test_rescale_at_the_top_level_wins_over_a_table(tmp_path):
    series = data.ct_series(**SMALL)
    for dataset in series:
        dataset.ModalityLUTSequence = [lut_item([2, 0, 16], [1, 2])]
    assert to_modality_units(built(series, tmp_path)).values.min() == -1000


def test_a_table_shorter_than_it_claims_is_refused(tmp_path):
    dataset = data.mr_series(slices=1, rows=2, columns=2)[0]
    dataset.ModalityLUTSequence = [lut_item([500, 0, 16], [10, 20, 40])]
    with pytest.raises(VolumeError, match="claims 500 entries"):
        to_modality_units(built([dataset], tmp_path))


@pytest.mark.parametrize(
    ("attributes", "units"),
    [
        ({"RescaleType": "HU"}, "[hnsf'U]"),
        ({"RescaleType": None}, "[hnsf'U]"),
        ({"RescaleType": "Z_EFF"}, "1"),
        ({"RescaleType": None, "MultienergyCTAcquisition": "YES"}, "1"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "1"),
        ({"Modality": "PT", "Units": "BQML"}, "Bq/ml"),
        ({"Modality": "PT", "Units": "CNTS"}, "{counts}"),
        ({"Modality": "MR"}, "1"),
    ],
)
def test_units_follow_modality_and_rescale_type(tmp_path, attributes, units):
    volume = to_modality_units(built(data.ct_series(**SMALL, **attributes), tmp_path))
    assert volume.units == units
    assert volume.background == (-1024 if units == "[hnsf'U]" else 0)


def test_monochrome1_looks_like_its_monochrome2_twin(tmp_path):
    twin = {"rows": 32, "columns": 24}
    plain = to_modality_units(built([data.projection("DX", **twin)], tmp_path / "2"))
    dark = data.projection("DX", photometric="MONOCHROME1", **twin)
    volume = to_modality_units(built([dark], tmp_path / "1"))
    assert np.array_equal(volume.values, plain.values)
    assert volume.polarity_inverted
    assert not plain.polarity_inverted
    assert "POL-001" in codes(volume)
    assert volume.measured["max"] == 3000


def test_polarity_uses_the_range_of_the_bits_and_not_of_the_image(tmp_path):
    dataset = data.projection("CR", rows=4, columns=4, photometric="MONOCHROME1", layout=data.Layout(16, 12))
    dataset.PixelData = np.full((4, 4), 100, "<u2").tobytes()
    dataset.RescaleSlope, dataset.RescaleIntercept = 2, 10
    volume = to_modality_units(built([dataset], tmp_path))
    assert volume.values.min() == volume.values.max() == (10 + 4095 * 2 + 10) - 210


@pytest.mark.parametrize("modality", ["CT", "PT", "MR", "NM"])
def test_monochrome1_is_never_inverted_in_quantitative_modalities(tmp_path, modality):
    series = data.ct_series(**SMALL, photometric="MONOCHROME1", Modality=modality)
    volume = to_modality_units(built(series, tmp_path))
    assert volume.values.min() == -1000
    assert not volume.polarity_inverted
    assert [each for each in codes(volume) if each.startswith("POL")] == ["POL-003"]


@pytest.mark.parametrize(("photometric", "shape"), [("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")])
def test_a_contradicting_presentation_shape_is_held(tmp_path, photometric, shape):
    dataset = data.projection("DX", rows=8, columns=8, photometric=photometric, PresentationLUTShape=shape)
    volume = to_modality_units(built([dataset], tmp_path))
    (finding,) = [each for each in volume.findings if each.code == "POL-002"]
    assert finding.severity == Severity.REVIEW
    assert volume.polarity_inverted == (photometric == "MONOCHROME1")


def test_statistics_are_those_of_numpy(tmp_path):
    volume = to_modality_units(built(data.ct_series(**SMALL), tmp_path))
    noise = np.random.default_rng(5).normal(0, 900, (4, 31, 33))
    for values in (noise.astype(np.int16), noise.astype(np.float32), noise.astype(np.uint8)):
        measured = measure_values(replace(volume, values=values)).measured
        assert measured["p1"] == pytest.approx(np.percentile(values.astype(float), 1), rel=1e-6)
        assert measured["p99"] == pytest.approx(np.percentile(values.astype(float), 99), rel=1e-6)
        assert measured["mean"] == pytest.approx(values.mean(dtype=float), rel=1e-9)
        assert (measured["min"], measured["max"]) == (values.min(), values.max())
        assert list(measured) == ["min", "p1", "mean", "p99", "max"]


def test_a_volume_of_one_value_has_that_value_everywhere_in_its_statistics(tmp_path):
    volume = to_modality_units(built(data.ct_series(**SMALL), tmp_path))
    for kind in (np.int16, np.float32):
        measured = measure_values(replace(volume, values=np.full((1, 1, 1), 7, kind))).measured
        assert set(measured.values()) == {7.0}


def test_rescale_beyond_float32_is_refused(tmp_path):
    volume = built(data.mr_series(slices=1, rows=4, columns=4, slope=1), tmp_path)
    frame = replace(volume.frames[0], functional={"RescaleSlope": 1e38, "RescaleIntercept": 0})
    with pytest.raises(VolumeError, match="float32") as caught:
        apply_modality_transform(decode_stored_values(replace(volume, frames=(frame,), geometry=None)))
    assert caught.value.code == "RSC-003"


def test_known_value_ranges_of_real_series_are_met(shared_data):
    for group in ("ct_philips_head_5mm", "ct_torchio_ras", "mr_hitachi_anat", "pt_acrin_singles"):
        volume = to_modality_units(volume_of(sorted((shared_data / group).iterdir()), is_placed=False))
        expected = series_facts(shared_data, group)
        assert volume.values.min() == pytest.approx(expected["value_min"], rel=1e-6)
        assert volume.values.max() == pytest.approx(expected["value_max"], rel=1e-6)
        assert volume.values.mean(dtype=float) == pytest.approx(expected["value_mean"], rel=1e-4)


def series_facts(shared_data, group: str) -> dict[str, float]:
    import csv

    with (shared_data / "SERIES.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["group"] == group]
    low, high = min(float(row["value_min"]) for row in rows), max(float(row["value_max"]) for row in rows)
    weights = [float(row["n_frames"]) for row in rows]
    mean = sum(float(row["value_mean"]) * weight for row, weight in zip(rows, weights, strict=True))
    return {"value_min": low, "value_max": high, "value_mean": mean / sum(weights)}
