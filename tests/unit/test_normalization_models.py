"""Intensity by a model of the cohort, what is done without one, and HU by bins of a histogram."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK

import data
from handlers.api import Recipe
from handlers.model import NormModel, Severity
from handlers.normalization import landmarks
from handlers.normalization.cohort import cohort
from handlers.normalization.foreground import foreground
from handlers.normalization.frequency import ScaleByFrequency, positions, quantiles
from handlers.normalization.intensity import ScaleIntensity
from handlers.normalization.pipeline import to_modality_units
from handmade import built
from runs import process

SMALL = {"slices": 6, "rows": 32, "columns": 32}


def smooth_tissue(volume):
    """The phantom with tissue of many values, and noise in air."""
    rng = np.random.default_rng(3)
    tissue = volume.values > 200
    values = np.where(tissue, 300 + 500 * rng.random(volume.values.shape) ** 2, np.abs(rng.normal(0, 5)))
    return replace(volume, values=values.astype(np.float32))


@pytest.fixture
def mr(tmp_path):
    return smooth_tissue(to_modality_units(built(data.mr_series(**SMALL), tmp_path)))


@pytest.fixture
def ct(tmp_path):
    volume = to_modality_units(built(data.ct_series(**SMALL), tmp_path))
    values = np.random.default_rng(4).integers(-1000, 1500, volume.values.shape).astype(np.int16)
    return replace(volume, values=values)


def nyul_model(volume, values=None, spread=None, kind="nyul"):
    values = tuple(np.linspace(1, 100, 11) if values is None else values)
    return NormModel(
        kind, cohort(volume), 3, landmarks.PERCENTILES, values, spread or (50.0,) * 11, 20, "ab" * 32
    )


def codes(volume):
    return [finding.code for finding in volume.findings]


def test_the_landmarks_of_the_foreground_go_to_the_standard_scale(mr):
    model, mask = nyul_model(mr), foreground(mr)
    result = ScaleIntensity("nyul", (model,))(mr)
    assert landmarks.measured(result.values[mask]) == pytest.approx(model.values, abs=0.2)
    assert (result.values[~mask] == 0).all()
    assert result.steps[-1].parameters["model"] == model.model_id == f"nyul:{cohort(mr)}:v3"
    assert "NRM-INT-002" not in codes(result)


def test_gain_and_offset_of_the_scanner_disappear(mr):
    model = nyul_model(mr)
    one = ScaleIntensity("nyul", (model,))(mr)
    other = ScaleIntensity("nyul", (model,))(replace(mr, values=mr.values * 2.5))
    inside = foreground(mr)
    assert other.values[inside] == pytest.approx(one.values[inside], abs=1e-2)


def test_landmarks_of_an_image_with_two_values_are_tied_and_do_no_harm(tmp_path):
    volume = to_modality_units(built(data.mr_series(**SMALL), tmp_path))  # 400 and 1200 only
    result = ScaleIntensity("nyul", (nyul_model(volume),))(volume)
    assert np.isfinite(result.values).all()


def test_without_a_model_percentiles_are_used_and_that_is_told(mr):
    result = ScaleIntensity("nyul")(mr)
    assert result.values == pytest.approx(ScaleIntensity("percentile")(mr).values)
    (finding,) = [each for each in result.findings if each.code == "NRM-INT-002"]
    assert (finding.severity, finding.evidence["cohort"]) == (Severity.WARN, cohort(mr))


def test_a_model_of_another_cohort_is_not_used(mr):
    other = replace(nyul_model(mr), cohort="KNEE/T2/2D/3T/plain")
    assert "NRM-INT-002" in codes(ScaleIntensity("nyul", (other,))(mr))


def test_a_volume_unlike_its_cohort_is_told(mr):
    own = landmarks.on_scale(landmarks.measured(mr.values[foreground(mr)]))
    fitting = nyul_model(mr, own, spread=(0.1,) * 11)
    assert "NRM-INT-003" not in codes(ScaleIntensity("nyul", (fitting,))(mr))
    moved = [*own[:5], own[5] + 3, *own[6:]]
    strange = nyul_model(mr, moved, spread=(0.5,) * 11)  # 3 points are more than 4 times 0.5
    (finding,) = [f for f in ScaleIntensity("nyul", (strange,))(mr).findings if f.code == "NRM-INT-003"]
    assert finding.evidence["percentile"] == 50.0
    assert finding.evidence["distance"] == pytest.approx(3, abs=1e-3)


def test_the_landmarks_are_kept_for_a_later_fit(mr):
    (told,) = ScaleIntensity("percentile")(mr).landmarks
    assert told["cohort"] == cohort(mr)
    assert told["values"] == pytest.approx(landmarks.measured(mr.values[foreground(mr)].astype(float)))


def test_histogram_matching_agrees_with_an_independent_one(mr):
    rng = np.random.default_rng(8)
    reference = (1000 + 200 * rng.normal(size=20_000)).astype(np.float32)
    mask = foreground(mr)
    own = landmarks.measured(reference.astype(float))
    result = ScaleIntensity("histogram", (nyul_model(mr, own, kind="histogram"),))(mr)
    inside = mr.values[mask]
    images = [SimpleITK.GetImageFromArray(each.reshape(1, -1)) for each in (inside, reference)]
    expected = SimpleITK.GetArrayFromImage(
        SimpleITK.HistogramMatching(*images, 1024, 9, thresholdAtMeanIntensity=False)
    )
    middle = (inside > np.percentile(inside, 5)) & (inside < np.percentile(inside, 95))
    difference = np.abs(result.values[mask] - expected.ravel())[middle]
    assert np.median(difference) < 0.02 * (own[-1] - own[0])


def test_values_before_the_window_are_kept_where_the_profile_asks(ct):
    result = ScaleIntensity("lung", keep_units=True)(ct)
    (kept,) = result.companions
    assert kept.values is ct.values
    assert kept.units == "[hnsf'U]"
    assert ScaleIntensity("none", keep_units=True)(ct).companions == ()
    assert ScaleIntensity("lung")(ct).companions == ()


def test_quantiles_by_counting_are_those_by_sorting(ct):
    at = positions(100)
    in_order = np.sort(ct.values, axis=None)
    expected = [in_order[int(in_order.size * share)] for share in at]
    assert quantiles(ct, at) == tuple(map(float, expected))
    assert quantiles(replace(ct, values=ct.values.astype(np.float32)), at) == quantiles(ct, at)


def test_padding_and_what_lies_below_the_floor_fill_no_bin(ct):
    values = ct.values.copy()
    values[:3] = -2000
    padding = np.zeros(values.shape, np.bool_)
    padding[3] = True
    at = positions(10)
    rest = np.sort(values[4:], axis=None)
    expected = tuple(float(rest[int(rest.size * share)]) for share in at)
    assert quantiles(replace(ct, values=values, padding=padding), at) == expected


def test_bins_are_filled_equally_and_the_hu_stay(ct):
    result = ScaleByFrequency(10)(ct)
    assert result.values is ct.values
    (scaled,) = result.companions
    assert (scaled.values.min(), scaled.values.max()) == (0, 1)
    counts, _ = np.histogram(scaled.values, np.linspace(0, 1, 12))
    assert counts[1:-1].min() > 0.8 * counts[1:-1].max()
    (finding,) = [each for each in result.findings if each.code == "NRM-FRQ-001"]
    assert finding.severity is Severity.WARN  # edges of this volume alone


def test_frozen_edges_give_the_same_value_to_the_same_hu(ct):
    edges = tuple(np.linspace(-1000, 1000, 12))
    model = NormModel(
        "frequency", cohort(ct), 1, tuple(100 * s for s in positions(10)), edges, (0.0,) * 12, 30, "cd"
    )
    result = ScaleByFrequency(10, (model,))(ct)
    (finding,) = [each for each in result.findings if each.code == "NRM-FRQ-001"]
    assert (finding.severity, finding.evidence["edges_from"]) == (Severity.INFO, model.model_id)
    expected = np.clip((ct.values + 1000) / 2000, 0, 1)
    assert result.companions[0].values == pytest.approx(expected, abs=1e-5)
    assert ScaleByFrequency(20, (model,))(ct).findings[-1].severity is Severity.WARN  # of other bins


def test_bins_on_values_that_are_not_hu_are_left_out(mr):
    result = ScaleByFrequency(10)(mr)
    assert result.companions == ()
    assert result.findings[-1].code == "NRM-FRQ-001"


def test_companions_are_written_beside_the_volume_and_described(tmp_path):
    recipe = Recipe(intensity="soft", keep_units=True, frequency_bins=16, spacing_mm=(1, 1, 0))
    result = process(data.ct_series(**SMALL), tmp_path, recipe)
    (volume,) = result.accepted
    assert set(volume["companions"]) == {"units", "frequency"}
    main = result.values(volume)
    hu = result.values({"file": volume["companions"]["units"]})
    bins = result.values({"file": volume["companions"]["frequency"]})
    assert main.shape == hu.shape == bins.shape
    assert main == pytest.approx(np.clip((hu + 150.0) / 400, 0, 1), abs=1e-6)
    assert hu.min() == -1000
    assert volume["spacing_mm"] == pytest.approx([1, 1, 2])
    assert [each["kind"] for each in volume["landmarks"]] == ["frequency"]


def test_companions_of_a_held_volume_are_not_written(tmp_path):
    recipe = Recipe(intensity="soft", keep_units=True, need_phase=True)
    result = process(data.ct_series(**SMALL, ContrastBolusAgent="OMNIPAQUE"), tmp_path, recipe)
    assert result.accepted == []
    assert list(result.folder.glob("*.nii.gz")) == []
