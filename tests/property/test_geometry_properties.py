"""Geometry holds for every orientation, spacing, tilt and order of arrival."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import data
from handlers.frames import frame_table
from handlers.geometry import axis_codes, measure
from handlers.model import Instance

SPACINGS = st.floats(0.1, 5.0)
STACKS = st.fixed_dictionaries(
    {
        "slices": st.integers(2, 7),
        "spacing": st.tuples(SPACINGS, SPACINGS),
        "step_mm": st.floats(0.2, 12.0),
        "tilt_deg": st.floats(-30, 30),
        "orientation": st.integers(0, 10_000).map(data.rotation),
        "centre": st.tuples(*[st.floats(-300, 300)] * 3),
    }
)


def frames_of(options):
    datasets = data.ct_series(rows=2, columns=3, **options)
    return frame_table(
        [
            Instance(each.SOPInstanceUID, each.SOPClassUID, "", Path("none"), each, 10**6, "PixelData")
            for each in datasets
        ]
    )


@given(STACKS, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_slice_order_survives_any_arrival_order(options, random) -> None:
    frames = list(frames_of(options))
    expected_frames, expected = measure(frames)
    random.shuffle(frames)
    found_frames, found = measure(frames)
    assert found == expected
    assert [f.instance.sop_instance_uid for f in found_frames] == [
        f.instance.sop_instance_uid for f in expected_frames
    ]


@given(STACKS)
@settings(max_examples=60, deadline=None)
def test_affine_returns_every_pixel_to_where_it_was_drawn(options) -> None:
    frames, geometry = measure(frames_of(options))
    drawn = data.planes(rows=2, columns=3, **options)
    by_uid = dict(zip((f.instance.sop_instance_uid for f in frames_of(options)), drawn, strict=True))
    for index, frame in enumerate(frames):
        expected = by_uid[frame.instance.sop_instance_uid].points(2, 3, options["spacing"])[1, 2]
        found = geometry.affine @ [2, 1, index, 1]
        assert np.abs(found[:3] - expected).max() < 1e-4


@given(STACKS)
@settings(max_examples=60, deadline=None)
def test_shear_and_spacing_are_those_of_the_construction(options) -> None:
    _, geometry = measure(frames_of(options))
    tilt = math.radians(options["tilt_deg"])
    assert math.isclose(geometry.shear_deg, abs(options["tilt_deg"]), abs_tol=1e-3)
    assert math.isclose(geometry.spacing_mm[2], options["step_mm"] * math.cos(tilt), rel_tol=1e-5)
    assert geometry.is_uniform
    assert not geometry.missing


@given(st.integers(0, 10_000))
def test_axis_codes_name_three_different_axes(seed: int) -> None:
    affine = np.eye(4)
    affine[:3, :3] = data.rotation(seed).T
    codes = axis_codes(affine)
    assert [sum(letter in pair for letter in codes) for pair in ("LR", "AP", "IS")] == [1, 1, 1]


@given(st.lists(st.integers(1, 3), min_size=1, max_size=8), st.floats(0.3, 5.0))
@settings(max_examples=60, deadline=None)
def test_every_hole_in_an_even_grid_is_found(counts, step_mm: float) -> None:
    # One slice more at the usual distance than holes, so that the usual distance is the median.
    counts = [1] * (len(counts) + 1) + counts
    index = np.concatenate([[0], np.cumsum(counts)])
    total = int(index[-1]) + 1
    gone = tuple(set(range(total)) - set(index.tolist()))
    _, geometry = measure(frames_of({"slices": total, "step_mm": step_mm, "missing": gone}))
    assert geometry.missing == tuple((i, k - 1) for i, k in enumerate(counts) if k > 1)
    assert math.isclose(geometry.spacing_mm[2], step_mm, rel_tol=1e-6)
