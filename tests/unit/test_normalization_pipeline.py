"""The steps together: their order, what they record, what they cost, and traps that others fall into."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace
from time import perf_counter

import numpy as np
import pytest

import data
from handlers.api import Recipe
from handlers.errors import PluginError
from handlers.normalization.pipeline import canonical_steps, measure_steps, to_canonical, to_modality_units
from handmade import built, volume_of

RECIPE = Recipe(orientation="RAS", spacing_mm=(1.0, 1.0, 2.0), intensity="soft")


def test_the_order_of_the_steps_is_the_written_one():
    measured = [getattr(step, "__name__", type(step).__name__) for step in measure_steps(RECIPE)]
    assert measured == [
        "DecodeStoredValues",
        "mark_declared_padding",
        "ModalityTransform",
        "UptakeValue",
        "set_polarity",
        "mark_undeclared_padding",
        "drop_duplicates",
        "place_in_space",
        "measure_values",
    ]
    names = [getattr(step, "__name__", type(step).__name__) for step in canonical_steps(RECIPE)]
    assert names == [
        "CropToRegion", "RepairGaps", "CorrectTilt", "Reorient", "Resample", "ScaleIntensity", "show_interpolated",
    ]  # fmt: skip


def test_what_was_done_is_remembered_in_order(tmp_path):
    series = data.ct_series(slices=10, rows=32, columns=32, tilt_deg=10.0)
    volume = to_canonical(to_modality_units(built(series, tmp_path)), RECIPE)
    assert [step.name for step in volume.steps] == [
        "stored_values",
        "modality_transform",
        "placement",
        "correct_tilt",
        "resample",  # with the tilt, at once
        "reorient",
        "scale_intensity",
    ]
    assert all(finding.target == "v0" for finding in volume.findings)


def test_a_step_changes_nothing_in_place(tmp_path):
    series = data.ct_series(slices=10, rows=32, columns=32, tilt_deg=10.0, orientation="coronal")
    volume = to_modality_units(built(series, tmp_path))
    values, affine = volume.values.copy(), volume.affine.copy()
    to_canonical(volume, RECIPE)
    assert np.array_equal(volume.values, values)
    assert np.array_equal(volume.affine, affine)


def test_the_same_files_give_the_same_bytes(tmp_path):
    series = data.ct_series(slices=10, rows=32, columns=32, tilt_deg=10.0)
    first, second = (to_canonical(to_modality_units(built(series, tmp_path / name)), RECIPE) for name in "ab")
    assert first.values.tobytes() == second.values.tobytes()
    assert first.steps == second.steps


def test_statistics_come_before_any_interpolation(tmp_path):
    series = data.ct_series(slices=10, rows=32, columns=32)
    volume = to_modality_units(built(series, tmp_path))
    assert to_canonical(volume, RECIPE).measured == volume.measured


def test_air_around_the_image_is_background_and_not_a_pixel_type_code(tmp_path):
    """A fill value of 2 or 8 is the resampler's type number, a mistake often copied."""
    series = data.ct_series(slices=12, rows=32, columns=32, tilt_deg=15.0)
    recipe = Recipe(spacing_mm=(0.9, 0.9, 2.5))
    volume = to_canonical(to_modality_units(built(series, tmp_path)), recipe)
    outside = volume.values[volume.padding]
    assert outside.size
    assert set(np.unique(outside)) == {-1024}


def test_metal_and_air_are_not_clipped(tmp_path):
    layout = data.Layout(16, 16, signed=True)
    series = data.ct_series(slices=4, rows=16, columns=16, layout=layout, intercept=0)
    for dataset in series:
        pixels = np.frombuffer(dataset.PixelData, "<i2").reshape(16, 16).copy()
        pixels[8, 8], pixels[8, 9] = 12000, -1090
        dataset.PixelData = pixels.tobytes()
    volume = to_canonical(to_modality_units(built(series, tmp_path)), Recipe())
    assert (volume.values.max(), volume.values.min()) == (12000, -1090)


def test_sagittal_slices_are_ordered_by_their_normal(tmp_path):
    """Every z of a sagittal series is the same; sorting by it would leave the order of arrival."""
    series = data.ct_series(slices=12, rows=32, columns=32, orientation="sagittal", shuffled=True)
    volume = to_canonical(to_modality_units(built(series, tmp_path)), Recipe())
    plain = data.ct_series(slices=12, rows=32, columns=32, orientation="sagittal")
    expected = to_canonical(to_modality_units(built(plain, tmp_path / "plain")), Recipe())
    assert np.array_equal(volume.values, expected.values)


@pytest.mark.parametrize("interpolator", ["linear", "bspline"])
def test_memory_stays_below_three_float_volumes(tmp_path, interpolator):
    shape = {"slices": 64, "rows": 192, "columns": 192, "step_mm": 0.5}
    series = data.ct_series(**shape, padding=0, orientation="coronal")
    volume = built(series, tmp_path)
    float_bytes = 64 * 192 * 192 * 4
    recipe = Recipe("x", "LPS", (0.6, 0.6, 0.6), interpolator)
    to_canonical(to_modality_units(volume), recipe)  # loads what Python loads once and keeps
    gc.collect()
    tracemalloc.start()
    try:
        to_canonical(to_modality_units(volume), recipe)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * float_bytes


@pytest.mark.slow
def test_three_hundred_slices_are_canonical_in_seconds(tmp_path):
    """1.5 s on two cores; the bound here leaves room for a busy machine."""
    template = data.ct_series(slices=1, rows=512, columns=512, padding=0)[0]
    content = data.file_bytes(template)
    folder = tmp_path / "slices"
    folder.mkdir()
    frames = []
    for index in range(300):
        (folder / f"{index}.dcm").write_bytes(content)
    single = volume_of([folder / "0.dcm"])
    for index in range(300):
        original = single.frames[0]
        instance = replace(original.instance, sop_instance_uid=f"1.2.{index}", path=folder / f"{index}.dcm")
        frames.append(replace(original, instance=instance))
    geometry = replace(single.geometry, gaps_mm=(1.0,) * 299, slice_spacing_source="positions")
    start = perf_counter()
    volume = to_canonical(
        to_modality_units(replace(single, frames=tuple(frames), geometry=geometry)), Recipe()
    )
    assert volume.values.shape == (300, 512, 512)
    assert perf_counter() - start < 5


def test_a_step_that_is_not_installed_is_named(tmp_path):
    volume = to_modality_units(built(data.ct_series(slices=3, rows=16, columns=16), tmp_path))
    with pytest.raises(PluginError, match="'no_such_step'") as caught:
        to_canonical(volume, Recipe(steps=("no_such_step",)))
    assert caught.value.code == "NRM-ERR-002"
