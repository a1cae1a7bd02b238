"""The grid: duplicates, gaps, tilt, orientation, resampling. Where the phantom is, it stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK

import data
from handlers.api import Recipe
from handlers.errors import VolumeError
from handlers.model import Severity
from handlers.normalization.gaps import RepairGaps
from handlers.normalization.grids import antialias_variance
from handlers.normalization.orientation import Reorient
from handlers.normalization.pipeline import to_canonical, to_modality_units
from handlers.normalization.resampling import Resample
from handlers.normalization.separable import gaussian
from handmade import built, volume_of

SHAPE = {"slices": 24, "rows": 48, "columns": 40, "spacing": (0.8, 0.7), "step_mm": 1.5}


def codes(volume) -> list[str]:
    return [finding.code for finding in volume.findings]


def measured(tmp_path, **options):
    return to_modality_units(built(data.ct_series(**(SHAPE | options)), tmp_path))


def centroid_mm(volume) -> np.ndarray:
    """Centre of mass of what is denser than air, LPS mm."""
    mass = np.clip(volume.values.astype(float) + 1000, 0, None)
    indices = np.stack(np.meshgrid(*(np.arange(n) for n in mass.shape), indexing="ij")[::-1])
    centre = (indices * mass).sum(axis=(1, 2, 3)) / mass.sum()
    return volume.affine[:3, :3] @ centre + volume.affine[:3, 3]


def value_at(volume, point_mm) -> float:
    column, row, plane = np.linalg.solve(volume.affine, [*point_mm, 1])[:3].round().astype(int)
    return float(volume.values[plane, row, column])


def test_the_default_recipe_leaves_an_upright_lps_stack_untouched(tmp_path):
    volume = measured(tmp_path)
    result = to_canonical(volume, Recipe())
    assert result.values is volume.values
    assert np.array_equal(result.affine, volume.affine)
    assert result.steps == volume.steps
    assert result.spacing_mm == pytest.approx((0.7, 0.8, 1.5))


@pytest.mark.parametrize("orientation", ["axial", "sagittal", "coronal"])
@pytest.mark.parametrize("code", ["LPS", "RAS", "PIR"])
def test_every_plane_keeps_the_phantom_in_place_in_every_orientation(tmp_path, orientation, code):
    volume = measured(tmp_path, orientation=orientation, slices=40, rows=40, step_mm=0.8)
    result = Reorient(code)(volume)
    assert centroid_mm(result) == pytest.approx(centroid_mm(volume), abs=1e-6)
    letters = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
    for axis, letter in enumerate(code):
        where, sign = letters[letter]
        assert result.affine[where, axis] * sign > 0
    assert sorted(np.unique(result.values)) == sorted(np.unique(volume.values))
    assert result.values.flags.c_contiguous
    rod = data.Phantom(32).rod_centre
    assert value_at(result, rod) == value_at(volume, rod) == 1000
    if result is not volume:
        (finding,) = [each for each in result.findings if each.code == "NRM-ORI-001"]
        assert finding.severity == Severity.INFO


def test_native_orientation_leaves_the_axes(tmp_path):
    volume = measured(tmp_path, orientation="coronal")
    assert Reorient("native")(volume) is volume


def test_an_impossible_orientation_code_is_refused(tmp_path):
    volume = measured(tmp_path)
    for code in ("LRS", "LP", "XYZ"):
        with pytest.raises(VolumeError, match="no axis code"):
            Reorient(code)(volume)


def test_a_real_stack_that_runs_right_and_anterior_is_turned(shared_data):
    volume = to_modality_units(volume_of(sorted((shared_data / "ct_torchio_ras").iterdir())))
    result = Reorient("LPS")(volume)
    (finding,) = result.findings
    assert finding.evidence["flips"] == [True, True, False]
    assert np.array_equal(result.values, volume.values[:, ::-1, ::-1])


@pytest.mark.parametrize("tilt_deg", [18.5, -18.5, 7.0])
def test_tilt_is_straightened_with_the_phantom_in_place(tmp_path, tilt_deg):
    shape = {"slices": 60, "rows": 96, "columns": 48, "spacing": (0.5, 0.9), "step_mm": 0.6}
    volume = measured(tmp_path, tilt_deg=tilt_deg, **shape)
    result = to_canonical(volume, Recipe())
    axes = result.affine[:3, :3] / np.linalg.norm(result.affine[:3, :3], axis=0)
    assert axes.T @ axes == pytest.approx(np.eye(3), abs=1e-9)
    assert result.spacing_mm[2] == pytest.approx(0.6 * np.cos(np.radians(tilt_deg)), abs=1e-6)
    assert centroid_mm(result) == pytest.approx(centroid_mm(volume), abs=0.05)
    assert value_at(result, data.Phantom(48).rod_centre) == 1000
    (finding,) = [each for each in result.findings if each.code == "NRM-TLT-001"]
    assert finding.evidence["degrees"] == pytest.approx(abs(tilt_deg), abs=1e-3)
    assert result.values.dtype == np.int16


def test_what_the_upright_grid_adds_is_padding_and_holds_background(tmp_path):
    volume = measured(tmp_path, tilt_deg=15.0)
    result = to_canonical(volume, Recipe())
    assert result.values.shape[1] > volume.values.shape[1]
    assert result.padding.any()
    assert set(np.unique(result.values[result.padding])) == {-1024}
    assert result.values[~result.padding].min() >= -1000
    covered = np.count_nonzero(~result.padding) / volume.values.size
    assert covered == pytest.approx(1, abs=1 / volume.values.shape[1])


def test_declared_padding_does_not_bleed_into_tissue_when_tilt_is_straightened(tmp_path):
    layout = data.Layout(16, 16, signed=True)
    options = {"tilt_deg": 12.0, "layout": layout, "intercept": 0, "padding": -30000}
    result = to_canonical(measured(tmp_path, **options), Recipe())
    assert result.values[~result.padding].min() >= -1000


def test_the_shear_below_the_threshold_stays_in_the_affine(tmp_path):
    volume = measured(tmp_path, tilt_deg=0.3)
    result = to_canonical(volume, Recipe())
    assert result.values is volume.values
    assert "NRM-TLT-001" not in codes(result)


def test_known_tilts_of_real_scanners_are_straightened(shared_data):
    for group, degrees in (("ct_philips_tilt_-18.5", 18.5), ("ct_siemens_gantrytilt", 14.0)):
        volume = to_modality_units(volume_of(sorted((shared_data / group).iterdir())))
        result = to_canonical(volume, Recipe())
        (finding,) = [each for each in result.findings if each.code == "NRM-TLT-001"]
        assert finding.evidence["degrees"] == pytest.approx(degrees, abs=0.1)
        assert len(result.values) == len(volume.values)


def test_one_missing_slice_is_filled_where_the_profile_allows_it(tmp_path):
    volume = measured(tmp_path, slices=60, step_mm=0.5, missing=[30])
    whole = measured(tmp_path / "whole", slices=60, step_mm=0.5)
    result = RepairGaps()(volume)
    assert len(result.values) == 60
    assert np.flatnonzero(result.interpolated.any(axis=(1, 2))).tolist() == [30]
    between = (whole.values[29].astype(float) + whole.values[31]) / 2
    assert np.array_equal(result.values[30], np.rint(between))
    assert result.affine == pytest.approx(whole.affine, abs=1e-6)
    assert result.spacing_mm[2] == pytest.approx(0.5)
    assert "NRM-GAP-001" in codes(result)


def test_the_mask_of_what_was_filled_follows_the_volume_through_every_step(tmp_path):
    volume = measured(tmp_path, slices=60, step_mm=0.5, missing=[30])
    recipe = Recipe(orientation="IRP", spacing_mm=(1.0, 1.0, 0.5))
    result = to_canonical(volume, recipe)
    (mask,) = result.companions
    assert (mask.name, mask.values.dtype, mask.values.shape) == (
        "interpolated",
        np.uint8,
        result.values.shape,
    )
    z = result.affine[2, 0] * np.arange(mask.values.shape[2]) + result.affine[2, 3]
    filled = volume.affine[2, 3] + 30 * 0.5
    assert np.abs(z[mask.values.any(axis=(0, 1))] - filled).max() <= 1.0
    assert mask.facts == {"voxels": int(mask.values.sum())}


def test_a_volume_that_was_measured_throughout_has_no_such_mask(tmp_path):
    assert to_canonical(measured(tmp_path, slices=12), Recipe()).companions == ()


@pytest.mark.parametrize("missing", [[30, 31], [20, 40]])
def test_larger_holes_are_filled_too_once_they_were_accepted(tmp_path, missing):
    result = RepairGaps()(measured(tmp_path, slices=60, step_mm=0.5, missing=missing))
    whole = measured(tmp_path / "whole", slices=60, step_mm=0.5)
    assert np.flatnonzero(result.interpolated.any(axis=(1, 2))).tolist() == missing
    kept = [index for index in range(60) if index not in missing]
    assert np.array_equal(result.values[kept], whole.values[kept])
    assert result.affine == pytest.approx(whole.affine, abs=1e-6)


def uneven(tmp_path):
    series = data.ct_series(**(SHAPE | {"slices": 30, "step_mm": 1.0}))
    kept = [index for index in range(30) if index < 12 or (index - 12) % 3 == 0]
    volume = to_modality_units(built([series[index] for index in kept], tmp_path))
    # 1.0 mm and 3.0 mm are multiples; a step that is none makes the spacing truly uneven
    gaps = tuple(gap if gap < 2 else 2.6 for gap in volume.geometry.gaps_mm)
    step = tuple(np.asarray(volume.geometry.normal) * sum(gaps) / len(gaps))
    geometry = replace(volume.geometry, gaps_mm=gaps, missing=(), slice_step=step, is_uniform=False)
    return replace(volume, geometry=geometry, affine=geometry.affine)


def test_uneven_spacing_is_resampled_to_the_smallest_gap(tmp_path):
    volume = uneven(tmp_path)
    result = RepairGaps()(volume)
    length = sum(volume.geometry.gaps_mm)
    assert result.spacing_mm[2] == pytest.approx(1.0)
    assert len(result.values) == int(length) + 1
    assert np.array_equal(result.values[:12], volume.values[:12])
    assert not result.interpolated[:12].any()
    share = (13 - 12) / 2.6
    expected = (1 - share) * volume.values[12].astype(float) + share * volume.values[13]
    assert np.array_equal(result.values[13], np.rint(expected))


def test_a_nearly_even_stack_is_resampled_only_where_the_profile_asks(tmp_path):
    volume = measured(tmp_path)
    gaps = tuple(gap * (1.02 if index % 2 else 0.98) for index, gap in enumerate(volume.geometry.gaps_mm))
    volume = replace(volume, geometry=replace(volume.geometry, gaps_mm=gaps, is_uniform=False))
    assert RepairGaps()(volume) is volume
    assert RepairGaps(resample_variable=True)(volume).interpolated.any()


def test_two_slices_that_nearly_touch_do_not_make_an_endless_grid(tmp_path):
    volume = measured(tmp_path)
    gaps = (0.02, *volume.geometry.gaps_mm[1:])
    volume = replace(volume, geometry=replace(volume.geometry, gaps_mm=gaps, is_uniform=False))
    assert len(RepairGaps()(volume).values) <= 4 * len(volume.values)


def test_a_filled_slice_is_padding_only_where_both_neighbours_are(tmp_path):
    volume = measured(tmp_path, slices=60, step_mm=0.5, missing=[30])
    padding = np.zeros(volume.values.shape, np.bool_)
    padding[29, 0, :2] = padding[30, 0, 1:3] = True
    volume = replace(volume, padding=padding)
    result = RepairGaps()(volume)
    assert result.padding[30, 0, :4].tolist() == [False, True, False, False]
    assert result.values[30, 0, 0] == volume.values[30, 0, 0]
    assert result.values[30, 0, 1] == -1024
    assert result.values[30, 0, 2] == volume.values[29, 0, 2]


def test_a_repeated_slice_is_dropped_when_its_pixels_are_the_same(tmp_path):
    plain = measured(tmp_path / "plain")
    volume = measured(tmp_path / "again", duplicate=5)
    assert np.array_equal(volume.values, plain.values)
    assert len(volume.frames) == SHAPE["slices"]
    assert volume.geometry.duplicates == ()
    (finding,) = volume.findings
    assert (finding.code, finding.severity) == ("GEO-007", Severity.INFO)
    assert volume.affine == pytest.approx(plain.affine)


def test_a_repeated_slice_with_other_pixels_stays(tmp_path):
    volume = measured(tmp_path, duplicate=5, duplicate_differs=True)
    assert len(volume.frames) == len(volume.values) == SHAPE["slices"] + 1
    assert "GEO-007" not in codes(volume)
    with pytest.raises(VolumeError, match="share a position") as caught:
        RepairGaps()(volume)
    assert caught.value.code == "SPL-003"


@pytest.mark.parametrize("interpolator", ["linear", "bspline", "nearest"])
@pytest.mark.parametrize("spacing", [(1.4, 1.6, 3.0), (0.5, 0.5, 1.0), (1.0, 0.4, 1.5)])
def test_resampling_keeps_the_centre_and_the_phantom(tmp_path, interpolator, spacing):
    volume = measured(tmp_path)
    result = Resample(spacing, interpolator)(volume)
    assert result.spacing_mm == pytest.approx(spacing)
    before, after = (
        each.affine @ [*((np.array(each.values.shape[::-1]) - 1) / 2), 1] for each in (volume, result)
    )
    assert after == pytest.approx(before, abs=1e-9)
    tolerance = 0.05 if interpolator != "nearest" else max(spacing) / 2
    assert centroid_mm(result) == pytest.approx(centroid_mm(volume), abs=tolerance)
    assert result.values.dtype == np.int16
    assert result.values.min() >= -1000
    assert result.values.max() <= 1000


@pytest.mark.parametrize(("interpolator", "tolerance"), [("linear", 1.0), ("bspline", 1.5)])
def test_refining_agrees_with_an_independent_resampler(tmp_path, interpolator, tolerance):
    volume = measured(tmp_path, rows=32, columns=28, slices=16)
    smooth = replace(volume, values=smooth_field(volume.values.shape))
    result = Resample((0.5, 0.6, 1.1), interpolator)(smooth)
    image = SimpleITK.GetImageFromArray(smooth.values)
    image.SetSpacing(smooth.spacing_mm)
    image.SetOrigin(tuple(map(float, smooth.affine[:3, 3])))
    kinds = {"linear": SimpleITK.sitkLinear, "bspline": SimpleITK.sitkBSpline3}
    expected = SimpleITK.GetArrayFromImage(
        SimpleITK.Resample(
            image,
            [int(n) for n in result.values.shape[::-1]],
            SimpleITK.Transform(),
            kinds[interpolator],
            tuple(map(float, result.affine[:3, 3])),
            result.spacing_mm,
            list(np.eye(3).ravel()),
            0.0,
        )
    )
    inner = (slice(2, -2),) * 3  # the edges follow different conventions
    assert np.abs(result.values[inner] - expected[inner]).max() < tolerance


def smooth_field(shape) -> np.ndarray:
    z, y, x = np.indices(shape)
    return (300 * np.sin(x / 3.0) * np.cos(y / 4.0) + 20.0 * z).astype(np.float32)


def test_coarsening_does_not_alias_noise(tmp_path):
    """White noise of 30 HU at 0.5 mm becomes 2.1 HU at 2 mm when smoothed first, 10.5 HU when not."""
    volume = measured(tmp_path, slices=48, rows=64, columns=64, spacing=(0.5, 0.5), step_mm=0.5)
    noise = np.random.default_rng(2).normal(0, 30, volume.values.shape).astype(np.float32)
    result = Resample((2.0, 2.0, 2.0))(replace(volume, values=noise))
    assert result.values[1:-1, 1:-1, 1:-1].std() == pytest.approx(2.1, abs=0.3)


@pytest.mark.parametrize("variance", [0.0, 0.01, 0.2, 1.0, 2.7, 14.0])
def test_the_gaussian_has_the_variance_that_it_is_given(variance):
    kernel = gaussian(variance)
    places = np.arange(len(kernel)) - len(kernel) // 2
    assert kernel.sum() == pytest.approx(1)
    assert (kernel * places**2).sum() == pytest.approx(variance, abs=1e-4)
    assert antialias_variance(4.0) == pytest.approx(15 / (8 * np.log(2)))


def test_spacing_within_one_percent_is_left(tmp_path):
    volume = measured(tmp_path)
    assert Resample((0.705, 0.795, 1.51))(volume) is volume


def test_an_axis_asked_for_as_0_stays(tmp_path):
    result = Resample((1.4, 1.6, 0))(measured(tmp_path))
    assert result.spacing_mm == pytest.approx((1.4, 1.6, 1.5))
    assert len(result.values) == SHAPE["slices"]


def test_padding_never_mixes_into_tissue(tmp_path):
    layout = data.Layout(16, 16, signed=True)
    options = {"layout": layout, "intercept": 0, "padding": -30000}
    padded = measured(tmp_path, **options)
    for interpolator in ("linear", "bspline"):
        for spacing in ((0.5, 0.5, 1.0), (1.5, 1.5, 3.0)):
            result = Resample(spacing, interpolator)(padded)
            assert result.padding.any()
            assert set(np.unique(result.values[result.padding])) == {-1024}
            assert result.values[~result.padding].min() >= -1000


def test_a_step_edge_does_not_overshoot(tmp_path):
    volume = measured(tmp_path)
    step = np.zeros(volume.values.shape, np.int16)
    step[:, :, 20:] = 1000
    result = Resample((0.2, 0.8, 1.5), "bspline")(replace(volume, values=step))
    assert (result.values.min(), result.values.max()) == (0, 1000)


def test_refining_an_axis_more_than_three_times_is_told(tmp_path):
    volume = measured(tmp_path)
    assert "NRM-RES-002" in codes(Resample((0.7, 0.8, 0.4))(volume))
    result = Resample((0.7, 0.8, 0.6))(volume)
    assert "NRM-RES-001" in codes(result)
    assert "NRM-RES-002" not in codes(result)


def test_a_grid_beyond_memory_is_refused_before_it_is_allocated(tmp_path):
    volume = measured(tmp_path)
    with pytest.raises(VolumeError) as caught:
        Resample((0.001, 0.001, 0.001))(volume)
    assert caught.value.code == "NRM-RES-003"


@pytest.mark.parametrize(("spacing", "interpolator"), [((1, 1, -1), "linear"), ((1, 1, 1), "lanczos")])
def test_an_unusable_resampling_is_refused(tmp_path, spacing, interpolator):
    with pytest.raises(VolumeError, match="cannot resample"):
        Resample(spacing, interpolator)(measured(tmp_path))


def test_one_slice_has_an_affine_but_no_slice_spacing(tmp_path):
    volume = measured(tmp_path, slices=1)
    assert volume.spacing_mm == (pytest.approx(0.7), pytest.approx(0.8), None)
    assert abs(np.linalg.det(volume.affine)) > 0
    result = to_canonical(volume, Recipe(orientation="RAS", spacing_mm=(1.4, 1.6, 1.5)))
    assert result.values.shape == (1, 24, 20)
    assert result.spacing_mm[2] is None


def test_projections_are_neither_turned_nor_resampled(tmp_path):
    volume = to_modality_units(built([data.projection("DX", rows=8, columns=6)], tmp_path))
    result = to_canonical(volume, Recipe(orientation="RAS", spacing_mm=(1, 1, 1)))
    assert result is volume
    assert result.affine is None


@pytest.mark.parametrize(
    ("modality", "attributes", "expected"),
    [
        ("DX", {"pixel_spacing": (0.3, 0.2), "imager_pixel_spacing": (0.4, 0.4)}, (0.2, 0.3, None)),
        ("DX", {"imager_pixel_spacing": (0.4, 0.2)}, (0.2, 0.4, None)),
        ("MG", {"EstimatedRadiographicMagnificationFactor": 2}, (0.1, 0.1, None)),
        ("DX", {"DistanceSourceToDetector": 1000, "DistanceSourceToPatient": 800}, (0.16, 0.16, None)),
        ("CR", {"imager_pixel_spacing": None, "NominalScannedPixelSpacing": [0.1, 0.1]}, (0.1, 0.1, None)),
        ("CR", {"imager_pixel_spacing": None}, (None, None, None)),
    ],
)
def test_the_spacing_of_projections_is_what_is_known_and_never_one(tmp_path, modality, attributes, expected):
    volume = to_modality_units(built([data.projection(modality, rows=8, columns=8, **attributes)], tmp_path))
    assert [None if each is None else pytest.approx(each) for each in expected] == list(volume.spacing_mm)
