"""N4: a known shading is taken out, the same way each time, and only of MR."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import data
from handlers.normalization.bias_field import correct_bias_field
from handlers.normalization.pipeline import to_modality_units
from handmade import built


@pytest.fixture
def shaded(tmp_path):
    """A volume of one tissue in noise of air, brighter by 2.2 from one side to the other; and where it is."""
    volume = to_modality_units(built(data.mr_series(slices=10, rows=32, columns=32), tmp_path))
    rng = np.random.default_rng(5)
    tissue = volume.values > 200
    shading = np.linspace(1, 2.2, 32)[None, None, :] * np.ones(volume.values.shape)
    clean = np.where(tissue, 400 + 8 * rng.normal(size=tissue.shape), np.abs(rng.normal(0, 4, tissue.shape)))
    return replace(volume, values=(clean * shading).astype(np.float32)), tissue


def variation(values):
    return values.std() / values.mean()


def test_the_shading_of_one_tissue_disappears(shaded):
    volume, tissue = shaded
    result = correct_bias_field(volume)
    assert variation(result.values[tissue]) < 0.3 * variation(volume.values[tissue])
    (step,) = result.steps[len(volume.steps) :]
    assert step.parameters["field_max"] > step.parameters["field_min"] > 0


def test_the_same_volume_gives_the_same_bytes(shaded):
    volume, _ = shaded
    assert correct_bias_field(volume).values.tobytes() == correct_bias_field(volume).values.tobytes()


def test_ct_is_left(tmp_path):
    volume = to_modality_units(built(data.ct_series(slices=6, rows=16, columns=16), tmp_path))
    assert correct_bias_field(volume) is volume


@pytest.mark.parametrize("shape", ["flat", "thin"])
def test_without_a_field_to_fit_it_is_left_and_told(shaded, shape):
    volume, _ = shaded
    values = np.full_like(volume.values, 7) if shape == "flat" else volume.values[:3]
    result = correct_bias_field(replace(volume, values=values))
    assert result.values is values
    assert result.findings[-1].code == "NRM-INT-001"


def test_padding_stays_background(shaded):
    volume, _ = shaded
    padding = np.zeros(volume.values.shape, np.bool_)
    padding[:, :4] = True
    values = np.where(padding, 0, volume.values).astype(np.float32)
    assert (correct_bias_field(replace(volume, values=values, padding=padding)).values[padding] == 0).all()
