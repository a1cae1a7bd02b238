"""Padding: declared, wrongly declared, undeclared; and that it never counts as a value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import data
from handlers.normalization.inpainting import without_padding
from handlers.normalization.pipeline import to_modality_units
from handmade import built, volume_of

SIGNED = data.Layout(16, 16, signed=True)
SMALL = {"slices": 4, "rows": 32, "columns": 32, "intercept": 0, "layout": SIGNED}
CORNERS = data.padding_mask(32, 32)


def codes(volume) -> list[str]:
    return [finding.code for finding in volume.findings]


def test_declared_padding_is_masked_counted_and_replaced(tmp_path):
    volume = to_modality_units(built(data.ct_series(**SMALL, padding=-2000), tmp_path))
    assert all(np.array_equal(plane, CORNERS) for plane in volume.padding)
    assert set(np.unique(volume.values[volume.padding])) == {-1024}
    step = next(each for each in volume.steps if each.name == "padding")
    assert step.parameters["voxels"] == 4 * CORNERS.sum()
    assert codes(volume) == ["PAD-004"]


def test_padding_never_enters_the_statistics(tmp_path):
    padded = to_modality_units(built(data.ct_series(**SMALL, padding=-2000), tmp_path / "a"))
    whole = to_modality_units(built(data.ct_series(**SMALL), tmp_path / "b"))
    inside = whole.values[:, ~CORNERS]
    assert padded.measured["min"] == -1000
    assert padded.measured["mean"] == pytest.approx(inside.mean(dtype=float))


def test_a_range_limit_widens_the_padding(tmp_path):
    series = data.ct_series(**SMALL, padding=-2000, PixelPaddingRangeLimit=-1990)
    for dataset in series:
        pixels = np.frombuffer(dataset.PixelData, "<i2").reshape(32, 32).copy()
        pixels[0, 0], pixels[0, 1], pixels[0, 2] = -1990, -1995, -1989
        dataset.PixelData = pixels.tobytes()
    volume = to_modality_units(built(series, tmp_path))
    assert volume.padding[0, 0, :3].tolist() == [True, True, False]
    assert volume.values[0, 0, 2] == -1989


def test_padding_is_compared_before_the_rescale(tmp_path):
    series = data.ct_series(slices=4, rows=32, columns=32, padding=0)  # stored 0 would be -1024 HU
    volume = to_modality_units(built(series, tmp_path))
    assert np.array_equal(volume.padding[0], CORNERS)
    assert volume.measured["min"] == -1000


@pytest.mark.parametrize("declared", [63536, -2000])
def test_a_padding_value_of_the_wrong_sign_is_reinterpreted(tmp_path, declared):
    volume = built(data.ct_series(**SMALL, padding=-2000), tmp_path)
    for instance in volume.instances:
        del instance.header["PixelPaddingValue"]
        instance.header.add_new("PixelPaddingValue", "SL", declared)
    volume = to_modality_units(volume)
    assert np.array_equal(volume.padding[0], CORNERS)
    assert codes(volume) == [*(["PAD-002"] if declared == 63536 else []), "PAD-004"]


def test_a_padding_value_that_is_no_number_is_ignored_and_told(tmp_path):
    volume = built(data.ct_series(**SMALL), tmp_path)
    for instance in volume.instances:
        instance.header.add_new("PixelPaddingValue", "LO", "none")
    volume = to_modality_units(volume)
    assert volume.padding is None
    assert codes(volume) == ["PAD-002"]


def test_a_padding_value_that_is_also_anatomy_masks_nothing(tmp_path):
    volume = built(data.ct_series(**SMALL, PixelPaddingValue=0), tmp_path)  # 0 HU: the water of the phantom
    volume = to_modality_units(volume)
    assert codes(volume) == ["PAD-001"]
    assert volume.padding is None
    assert 0 in volume.values


def test_padding_in_a_winding_border_region_is_not_taken_for_anatomy(tmp_path):
    series = data.ct_series(**SMALL, PixelPaddingValue=-2000)
    for dataset in series:
        pixels = np.frombuffer(dataset.PixelData, "<i2").reshape(32, 32).copy()
        pixels[4:28, 8] = pixels[27, 8:20] = pixels[10:28, 20] = pixels[10, 12:20] = -2000
        pixels[4, :8] = -2000  # joined to the border, but in no straight line
        dataset.PixelData = pixels.tobytes()
    volume = to_modality_units(built(series, tmp_path))
    assert codes(volume) == ["PAD-004"]
    assert volume.padding[0, 10, 12]


def test_values_that_are_not_finite_are_padding(tmp_path):
    dataset = data.mr_series(slices=1, rows=4, columns=4)[0]
    for gone in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(dataset, gone)
    dataset.BitsAllocated = 32
    pixels = np.arange(16, dtype="<f4")
    pixels[[0, 15]] = np.nan, np.inf
    dataset.FloatPixelData = pixels.tobytes()
    volume = to_modality_units(built([dataset], tmp_path))
    assert volume.padding.ravel().nonzero()[0].tolist() == [0, 15]
    assert volume.values.ravel()[[0, 15]].tolist() == [0, 0]
    assert (volume.measured["min"], volume.measured["max"]) == (1, 14)


def test_float_padding_is_declared_by_its_own_attributes(tmp_path):
    dataset = data.mr_series(slices=1, rows=4, columns=4, PixelPaddingValue=3)[0]
    for gone in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(dataset, gone)
    dataset.BitsAllocated = 32
    dataset.FloatPixelData = np.arange(16, dtype="<f4").tobytes()
    dataset.FloatPixelPaddingValue, dataset.FloatPixelPaddingRangeLimit = 1.5, 0.0
    volume = to_modality_units(built([dataset], tmp_path))
    assert volume.padding.ravel().nonzero()[0].tolist() == [0, 1]


@pytest.mark.parametrize("value", [-2000, -3024, -32768])
def test_undeclared_padding_of_ct_is_found_and_masked(tmp_path, value):
    series = data.ct_series(**SMALL, padding=value, PixelPaddingValue=None)
    volume = to_modality_units(built(series, tmp_path))
    assert np.array_equal(volume.padding[0], CORNERS)
    assert codes(volume) == ["PAD-003"]
    assert volume.values.min() == -1024
    assert volume.measured["min"] == -1000


def test_a_low_value_away_from_the_borders_is_not_taken_for_padding(tmp_path):
    series = data.ct_series(**SMALL)
    for dataset in series:
        pixels = np.frombuffer(dataset.PixelData, "<i2").reshape(32, 32).copy()
        pixels[12:20, 12:20] = -2000
        dataset.PixelData = pixels.tobytes()
    volume = to_modality_units(built(series, tmp_path))
    assert volume.padding is None
    assert volume.measured["min"] == -2000


def test_low_values_of_mr_are_left_alone(tmp_path):
    layout = data.Layout(16, 16, signed=True)
    series = data.mr_series(
        slices=4, rows=32, columns=32, layout=layout, padding=-2000, PixelPaddingValue=None
    )
    assert to_modality_units(built(series, tmp_path)).padding is None


def test_padding_takes_no_part_in_the_inversion_of_polarity(tmp_path):
    dataset = data.projection("DX", rows=8, columns=8, photometric="MONOCHROME1", PixelPaddingValue=4095)
    pixels = np.frombuffer(dataset.PixelData, "<u2").reshape(8, 8).copy()
    pixels[0] = 4095
    dataset.PixelData = pixels.tobytes()
    volume = to_modality_units(built([dataset], tmp_path))
    assert volume.values[0, 0].tolist() == [0] * 8
    assert volume.padding[0, 0].all()
    assert volume.measured["min"] == 200


def test_filling_takes_the_nearest_measured_value(tmp_path):
    volume = built(data.mr_series(slices=3, rows=4, columns=4), tmp_path)
    values = np.arange(48, dtype=np.int16).reshape(3, 4, 4)
    padding = np.zeros(values.shape, np.bool_)
    padding[0, 0, :2] = padding[0, 3] = padding[1] = True
    filled = without_padding(replace(volume, values=values, padding=padding))
    assert filled[0, 0].tolist() == [2, 2, 2, 3]
    assert filled[0, 3].tolist() == values[0, 2].tolist()
    assert np.array_equal(filled[1], filled[0])
    assert np.array_equal(filled[2], values[2])


def test_real_padding_of_a_ge_slice_is_masked(shared_data):
    paths = sorted((shared_data / "ct_ge_ct1_syntaxes").iterdir())[:1]
    volume = to_modality_units(volume_of(paths, is_placed=False))
    assert volume.padding.mean() == pytest.approx(
        1 - np.pi / 4, abs=0.01
    )  # outside the reconstruction circle
    assert volume.values.min() >= -1024
