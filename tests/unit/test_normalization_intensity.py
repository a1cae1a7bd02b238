"""Intensity: CT windows in HU, MR by its foreground, and refusal where a method does not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import data
from handlers.errors import VolumeError
from handlers.normalization.foreground import foreground
from handlers.normalization.intensity import ScaleIntensity, windows
from handlers.normalization.pipeline import to_modality_units
from handmade import built

SMALL = {"slices": 6, "rows": 32, "columns": 32}


@pytest.fixture
def ct(tmp_path):
    return to_modality_units(built(data.ct_series(**SMALL), tmp_path))


@pytest.fixture
def mr(tmp_path):
    """The MR phantom with Rician-like noise in air, as magnitude images have."""
    volume = to_modality_units(built(data.mr_series(**SMALL), tmp_path))
    noise = np.abs(np.random.default_rng(1).normal(0, 12, volume.values.shape))
    return replace(volume, values=(volume.values + noise).astype(np.float32))


def test_none_leaves_the_values(ct):
    assert ScaleIntensity("none")(ct) is ct


def test_a_window_clips_hounsfield_and_maps_it_to_zero_and_one(ct):
    values = np.array([[[-2000, -1000, -300, 400, 900]]], np.int16)
    result = ScaleIntensity("lung")(replace(ct, values=values))
    assert result.values.dtype == np.float32
    assert result.values.ravel() == pytest.approx([0, 0, 0.5, 1, 1])
    (finding,) = result.findings
    assert finding.code == "NRM-CLP-001"
    assert (finding.evidence["clipped_low"], finding.evidence["clipped_high"]) == (0.2, 0.2)
    assert (result.units, result.background) == ("1", 0.0)


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("lung", (-1000, 400)),
        ("soft", (-150, 250)),
        ("mediastinum", (-125, 225)),
        ("brain", (0, 80)),
        ("subdural", (-27, 227)),
        ("stroke", (28, 36)),
        ("liver", (-45, 105)),
        ("cta", (-100, 700)),
    ],
)
def test_the_windows_are_the_usual_ones(name, limits):
    assert windows()[name] == limits


def test_padding_does_not_count_as_clipped(ct):
    padding = np.zeros(ct.values.shape, np.bool_)
    padding[:, :16] = True
    result = ScaleIntensity("cta")(replace(ct, padding=padding))
    inside = ct.values[:, 16:]
    assert result.findings[-1].evidence["clipped_low"] == pytest.approx((inside < -100).mean(), abs=1e-6)


def test_a_window_on_values_that_are_not_hounsfield_is_refused(mr):
    with pytest.raises(VolumeError, match="'lung' is for HU"):
        ScaleIntensity("lung")(mr)


@pytest.mark.parametrize("method", ["zscore", "percentile"])
def test_scaling_by_the_foreground_is_refused_on_hounsfield(ct, method):
    with pytest.raises(VolumeError, match="without a unit"):
        ScaleIntensity(method)(ct)


def test_an_unknown_method_names_those_there_are(ct):
    with pytest.raises(VolumeError, match="zscore, percentile, nyul, histogram, lung"):
        ScaleIntensity("sharp")(ct)


def test_the_foreground_is_the_tissue_and_not_the_noise(mr):
    tissue = mr.values > 200
    mask = foreground(mr)
    overlap = 2 * np.count_nonzero(mask & tissue) / (mask.sum() + tissue.sum())
    assert overlap > 0.97


def test_a_dark_hole_in_tissue_belongs_to_the_foreground(mr):
    values = mr.values.copy()
    values[2:4, 14:18, 14:18] = 3
    assert foreground(replace(mr, values=values))[2:4, 14:18, 14:18].all()


def test_zscore_makes_the_foreground_standard(mr):
    mask = foreground(mr)
    result = ScaleIntensity("zscore")(mr)
    assert result.values[mask].mean() == pytest.approx(0, abs=1e-4)
    assert result.values[mask].std() == pytest.approx(1, abs=1e-4)
    assert result.background < 0


def test_percentiles_of_the_foreground_become_zero_and_one(mr):
    mask = foreground(mr)
    result = ScaleIntensity("percentile")(mr)
    low, high = np.percentile(mr.values[mask], (1, 99))
    assert result.values == pytest.approx(np.clip((mr.values - low) / (high - low), 0, 1), abs=1e-5)


def test_an_image_without_contrast_is_left_and_told(mr):
    for method in ("zscore", "percentile"):
        result = ScaleIntensity(method)(replace(mr, values=np.full(mr.values.shape, 7, np.float32)))
        assert result.findings[-1].code == "NRM-INT-001"
        assert np.all(result.values == 7)
