"""Whatever tilt, spacing and gaps: each voxel that is written tells where it was measured, within 0.05 mm.

The object is a ramp: its value is the coordinate along one direction, in mm. Linear
interpolation keeps a ramp, so the value of a voxel is the true coordinate of its centre,
and the NIfTI header has to say the same. Between the outermost measured centres, that is: in the half
voxel beyond them there is nothing to interpolate between, and the nearest value stands there.
"""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import data
from handlers.api import Recipe
from runs import process

PER_MM = 50  # stored levels per mm: rounding moves a value by 0.01 mm at most
TOLERANCE_MM = 0.05
DIRECTIONS = st.integers(0, 10_000).map(lambda seed: data.rotation(seed)[0])
STACKS = st.fixed_dictionaries(
    {
        "slices": st.integers(9, 14),
        "rows": st.integers(6, 11),
        "columns": st.integers(6, 11),
        "spacing": st.tuples(st.floats(0.4, 3.0), st.floats(0.4, 3.0)),
        "step_mm": st.floats(0.5, 6.0),
        "orientation": st.one_of(
            st.sampled_from(["axial", "sagittal", "coronal"]), st.integers(0, 10_000).map(data.rotation)
        ),
        "centre": st.tuples(*[st.floats(-200, 200)] * 3),
    }
)


def ramp(options: dict, direction: np.ndarray) -> list:
    """Return an MR series whose value is the coordinate along `direction`, in mm."""
    datasets = data.mr_series(**options)
    rows, columns, spacing = options["rows"], options["columns"], options["spacing"]
    missing = options.get("missing", ())
    drawn = data.planes(**{key: value for key, value in options.items() if key != "missing"})
    kept = [plane for index, plane in enumerate(drawn) if index not in missing]
    for dataset, plane in zip(datasets, kept, strict=True):
        coordinate = plane.points(rows, columns, spacing) @ direction
        stored = np.rint((coordinate + 600) * PER_MM).astype("<u2")
        dataset.PixelData = stored.tobytes()
        dataset.BitsStored, dataset.HighBit = 16, 15
        dataset.RescaleSlope, dataset.RescaleIntercept = 1 / PER_MM, -600
        dataset.RescaleType = "US"
    return datasets


def between_centres(points: np.ndarray, options: dict) -> np.ndarray:
    """Say which points lie within the parallelepiped of the centres that were drawn, shape (...)."""
    drawn = data.planes(**{key: value for key, value in options.items() if key != "missing"})
    first, last = drawn[0], drawn[-1]
    axes = np.stack(
        [
            np.multiply(first.row_cosine, options["spacing"][1] * (options["columns"] - 1)),
            np.multiply(first.column_cosine, options["spacing"][0] * (options["rows"] - 1)),
            np.subtract(last.position, first.position),
        ],
        axis=1,
    )
    share = (points - np.asarray(first.position)) @ np.linalg.inv(axes).T
    return np.all((share > -1e-4) & (share < 1 + 1e-4), axis=-1)


def assert_true(
    datasets: list,
    direction: np.ndarray,
    recipe: Recipe,
    options: dict,
    codes: tuple[str, ...] = (),
) -> None:
    with TemporaryDirectory() as folder:
        result = process(datasets, Path(folder), recipe)
        assert set(codes) <= result.codes, result.codes
        (volume,) = result.accepted
        assert not result.refused
        measured = np.ones(volume["shape"][::-1], bool)
        mask = result.folder / f"v{volume['index']}_padding.nii.gz"
        if mask.exists():
            measured = np.asarray(nib.load(mask).dataobj).transpose(2, 1, 0) == 0
        points = result.points(volume)
        inside = between_centres(points, options)
        assert np.all(measured[inside])
        assert np.count_nonzero(inside) > 50
        error = np.abs(result.values(volume)[inside] - points[inside] @ direction)
        assert error.max() <= TOLERANCE_MM


@given(STACKS, DIRECTIONS)
@settings(max_examples=25, deadline=None)
def test_plain_stacks(options, direction):
    assert_true(ramp(options, direction), direction, Recipe(release=True, save_padding_mask=True), options)


@given(STACKS, DIRECTIONS, st.floats(0.6, 30.0), st.sampled_from([-1, 1]))
@settings(max_examples=25, deadline=None)
def test_tilted_gantries(options, direction, tilt_deg, sign):
    options = options | {"tilt_deg": sign * tilt_deg}
    recipe = Recipe(release=True, save_padding_mask=True)
    assert_true(ramp(options, direction), direction, recipe, options, ("GEO-008", "NRM-TLT-001"))


@given(STACKS, DIRECTIONS, st.integers(2, 6))
@settings(max_examples=20, deadline=None)
def test_filled_gaps(options, direction, gone):
    options = options | {"slices": 14, "missing": (gone,)}
    recipe = Recipe(release=True, save_padding_mask=True, fill_missing=True)
    assert_true(ramp(options, direction), direction, recipe, options, ("GEO-005", "NRM-GAP-001"))


@given(STACKS, DIRECTIONS, st.lists(st.floats(0.75, 1.25), min_size=14, max_size=14))
@settings(max_examples=20, deadline=None)
def test_uneven_stacks(options, direction, stretches):
    """The slices lie at positions of their own; the node resamples them to an even grid."""
    assume(max(stretches[: options["slices"] - 1]) - min(stretches[: options["slices"] - 1]) > 0.2)
    datasets = ramp(options, direction)
    axes = options["orientation"]
    axes = data.AXES[axes] if isinstance(axes, str) else axes
    places = np.cumsum([0.0, *stretches[: options["slices"] - 1]])
    for index, dataset in enumerate(datasets):
        shift = axes[2] * options["step_mm"] * (places[index] - index)
        moved = np.array(dataset.ImagePositionPatient, float) + shift
        dataset.ImagePositionPatient = [f"{value:.9g}" for value in moved]
        stored = np.frombuffer(dataset.PixelData, "<u2") + shift @ direction * PER_MM
        dataset.PixelData = np.rint(stored).astype("<u2").tobytes()
    even = options["step_mm"] * places[-1] / (options["slices"] - 1)  # the even stack of this extent
    middle = axes[2] * (options["step_mm"] * places[-1] - options["step_mm"] * (options["slices"] - 1)) / 2
    extent = options | {"step_mm": even, "centre": tuple(np.asarray(options["centre"]) + middle)}
    recipe = Recipe(release=True, save_padding_mask=True, resample_variable=True)
    assert_true(datasets, direction, recipe, extent, ("GEO-006",))


@given(STACKS, DIRECTIONS, st.tuples(*[st.floats(0.7, 4.0)] * 3))
@settings(max_examples=25, deadline=None)
def test_resampled_stacks(options, direction, spacing_mm):
    """To finer spacing: coarser needs smoothing, and that has an edge of its own."""
    native = (options["spacing"][1], options["spacing"][0], options["step_mm"])
    finer = tuple(min(float(new), old) for new, old in zip(spacing_mm, native, strict=True))
    recipe = Recipe(release=True, save_padding_mask=True, spacing_mm=finer, orientation="native")
    assert_true(ramp(options, direction), direction, recipe, options)


@given(STACKS, DIRECTIONS, st.floats(0.6, 30.0), st.tuples(*[st.floats(0.3, 1.0)] * 3), st.integers(2, 6))
@settings(max_examples=25, deadline=None)
def test_tilt_gap_and_finer_spacing_together(options, direction, tilt_deg, shares, gone):
    options = options | {"slices": 14, "tilt_deg": tilt_deg, "missing": (gone,)}
    native = (
        options["spacing"][1],
        options["spacing"][0],
        options["step_mm"] * math.cos(math.radians(tilt_deg)),
    )
    finer = tuple(share * spacing for share, spacing in zip(shares, native, strict=True))
    recipe = Recipe(
        release=True, save_padding_mask=True, fill_missing=True, spacing_mm=finer, orientation="native"
    )
    codes = ("GEO-005", "GEO-008", "NRM-GAP-001", "NRM-TLT-001")
    assert_true(ramp(options, direction), direction, recipe, options, codes)
