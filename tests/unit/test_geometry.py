"""Stacks whose geometry is known by construction."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import data
from handlers.errors import VolumeError
from handlers.frames import frame_table
from handlers.geometry import axis_codes, measure
from handlers.model import Instance


def frames_of(datasets):
    """Frames of data sets that never were in a file."""
    instances = [
        Instance(
            each.SOPInstanceUID,
            each.SOPClassUID,
            "1.2.840.10008.1.2.1",
            Path("none"),
            each,
            10**9,
            "PixelData",
        )
        for each in datasets
    ]
    return frame_table(instances)


def stack(**options):
    return frames_of(data.ct_series(rows=8, columns=8, **options))


def at(*millimetres: float, **options):
    """An axial stack at these positions along the body axis."""
    return stack(
        slices=len(millimetres),
        ImagePositionPatient=lambda index: [-10, -20, millimetres[index]],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        **options,
    )


def test_axial_stack_is_measured_from_its_positions() -> None:
    frames, geometry = measure(
        stack(slices=5, spacing=(0.7, 0.4), step_mm=2.5, SliceThickness=9, SpacingBetweenSlices=-3)
    )
    assert geometry.spacing_mm == pytest.approx((0.4, 0.7, 2.5))
    assert geometry.normal == pytest.approx((0, 0, 1))
    assert geometry.slice_step == pytest.approx((0, 0, 2.5))
    assert geometry.gaps_mm == pytest.approx((2.5,) * 4)
    assert geometry.origin == pytest.approx((-1.4, -2.45, -5))
    assert geometry.is_uniform
    assert geometry.orientation == "LPS"
    assert geometry.slice_spacing_source == "positions"
    assert [int(frame.instance.header.InstanceNumber) for frame in frames] == [1, 2, 3, 4, 5]


def test_affine_maps_indices_to_the_patient() -> None:
    plane = data.planes(
        6, rows=8, columns=8, spacing=(0.7, 0.4), step_mm=3, tilt_deg=20, orientation=data.rotation(5)
    )
    _, geometry = measure(
        stack(slices=6, spacing=(0.7, 0.4), step_mm=3, tilt_deg=20, orientation=data.rotation(5))
    )
    expected = plane[4].points(8, 8, (0.7, 0.4))[3, 6]
    assert geometry.affine @ [6, 3, 4, 1] == pytest.approx([*expected, 1], abs=1e-6)


def test_gantry_tilt_is_a_shear_with_a_shorter_perpendicular_spacing() -> None:
    _, geometry = measure(stack(slices=10, step_mm=2.0, tilt_deg=15))
    assert geometry.shear_deg == pytest.approx(15, abs=1e-6)
    assert geometry.spacing_mm[2] == pytest.approx(2.0 * math.cos(math.radians(15)))
    assert np.linalg.norm(geometry.slice_step) == pytest.approx(2.0)
    assert geometry.residual_mm == pytest.approx(0, abs=1e-6)


def test_shear_has_no_sign() -> None:
    _, geometry = measure(stack(slices=4, tilt_deg=-12.5))
    assert geometry.shear_deg == pytest.approx(12.5, abs=1e-6)


@pytest.mark.parametrize(
    ("positions", "missing", "spacing"),
    [
        ((0, 2, 4, 8, 10), ((2, 1),), 2.0),
        ((0, 2, 8, 10, 14), ((1, 2), (3, 1)), 2.0),
        ((0, 2, 6), ((1, 1),), 2.0),
        ((0, 5, 10, 20), ((2, 1),), 5.0),
        ((0, 1.25, 203.75), ((1, 161),), 1.25),
        ((0, 2, 4, 6, 12.2, 14.2, 16.2), ((3, 2),), 2.025),  # 3.1 gaps, within 5 % of three
    ],
)
def test_interior_holes_are_counted(positions, missing, spacing) -> None:
    _, geometry = measure(at(*positions))
    assert geometry.missing == missing
    assert geometry.spacing_mm[2] == pytest.approx(spacing)
    assert not geometry.is_uniform


def test_missing_edge_slices_leave_an_even_stack() -> None:
    _, geometry = measure(stack(slices=20, missing=(0, 1, 19)))
    assert (geometry.is_uniform, geometry.missing, len(geometry.gaps_mm)) == (True, (), 16)


def test_spacing_that_is_no_multiple_is_uneven_without_holes() -> None:
    _, geometry = measure(at(0, 1.08, 2.16, 6, 13))
    assert (geometry.is_uniform, geometry.missing) == (False, ())
    assert geometry.gaps_mm == pytest.approx((1.08, 1.08, 3.84, 7))


@pytest.mark.parametrize(("jitter", "is_uniform"), [(0.009, True), (0.019, True), (0.03, False)])
def test_even_means_within_one_percent_of_the_gap(jitter: float, *, is_uniform: bool) -> None:
    _, geometry = measure(at(0, 2 + jitter, 4, 6, 8))
    assert geometry.is_uniform == is_uniform
    assert geometry.spacing_mm[2] == pytest.approx(2.0)  # fitted over the whole length


def test_duplicates_are_pairs_and_do_not_shorten_the_spacing() -> None:
    _, geometry = measure(at(0, 2, 2.0005, 2, 4, 6))
    assert geometry.duplicates == ((1, 2), (1, 3), (2, 3))
    assert geometry.spacing_mm[2] == pytest.approx(2.0)
    assert geometry.is_uniform


def test_order_ignores_every_number_in_the_header() -> None:
    frames, geometry = measure(stack(slices=9, shuffled=True))
    positions = [float(frame.instance.header.ImagePositionPatient[2]) for frame in frames]
    assert positions == sorted(positions)
    assert geometry.is_uniform


def test_positions_off_the_line_leave_a_residual() -> None:
    _, geometry = measure(
        stack(slices=3, ImagePositionPatient=lambda index: [1.5 if index == 1 else 0, 0, index * 2.0])
    )
    assert geometry.residual_mm == pytest.approx(1.5)


def test_axes_that_are_not_orthonormal_are_told_and_made_so() -> None:
    _, geometry = measure(stack(slices=3, ImageOrientationPatient=[1, 0, 0, 0.02, 1, 0]))
    assert geometry.orthonormality_error == pytest.approx(0.02, rel=1e-3)
    assert np.dot(geometry.row_cosine, geometry.column_cosine) == pytest.approx(0)
    assert np.linalg.norm(geometry.column_cosine) == pytest.approx(1)


def test_spread_is_the_largest_angle_to_the_mean_orientation() -> None:
    half = math.radians(0.5)
    tilts = (-half, 0.0, half)
    frames = stack(
        slices=3,
        ImageOrientationPatient=lambda index: [
            1,
            0,
            0,
            0,
            math.cos(tilts[index]),
            round(math.sin(tilts[index]), 12),
        ],
    )
    assert measure(frames)[1].orientation_spread_deg == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("absent", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_missing_attribute_is_geo_001(absent: str) -> None:
    with pytest.raises(VolumeError) as raised:
        measure(stack(slices=3, **{absent: None}))
    assert raised.value.code == "GEO-001"


@pytest.mark.parametrize("broken", [[1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0], [1, 0, 0], [1e9, 0, 0, 0, 1, 0]])
def test_orientation_that_spans_no_plane_is_geo_001(broken) -> None:
    with pytest.raises(VolumeError) as raised:
        measure(stack(slices=3, ImageOrientationPatient=broken))
    assert raised.value.code == "GEO-001"


@pytest.mark.parametrize("broken", [[0, 0.5], [-0.5, 0.5]])
def test_pixel_spacing_that_is_not_positive_is_geo_014(broken) -> None:
    with pytest.raises(VolumeError) as raised:
        measure(stack(slices=3, PixelSpacing=broken))
    assert raised.value.code == "GEO-014"


@pytest.mark.parametrize(
    ("attributes", "spacing", "source"),
    [
        ({"SpacingBetweenSlices": 4.5}, 4.5, "SpacingBetweenSlices"),
        ({"SliceThickness": 3}, 3.0, "SliceThickness"),
        ({"SliceThickness": None}, 1.0, "unknown"),
        ({"SpacingBetweenSlices": -2, "SliceThickness": 3}, 3.0, "SliceThickness"),
    ],
)
def test_single_slice_says_where_its_step_comes_from(attributes, spacing: float, source: str) -> None:
    _, geometry = measure(stack(slices=1, **attributes))
    assert geometry.spacing_mm[2] == pytest.approx(spacing)
    assert geometry.slice_spacing_source == source
    assert geometry.gaps_mm == ()
    assert abs(np.linalg.det(geometry.affine)) > 0


def test_frames_at_one_position_have_no_spacing_of_their_own() -> None:
    _, geometry = measure(at(3, 3, 3, SliceThickness=2))
    assert geometry.slice_spacing_source == "SliceThickness"
    assert geometry.duplicates == ((0, 1), (0, 2), (1, 2))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (((1, 0, 0), (0, 1, 0), (0, 0, 1)), "LPS"),
        (((-1, 0, 0), (0, -1, 0), (0, 0, 1)), "RAS"),
        (((0, 1, 0), (0, 0, -1), (-1, 0, 0)), "PIR"),
        (((1, 0, 0), (0, 0, -1), (0, 1, 0)), "LIP"),
        (((0, 2, 0), (0, 0, -3), (0, 0, 0)), "PIR"),  # one slice
        (((0.8, 0.6, 0), (-0.6, 0.8, 0), (0, 0.3, 1)), "LPS"),
    ],
)
def test_axis_codes_name_the_direction_of_each_index(columns, expected: str) -> None:
    affine = np.eye(4)
    affine[:3, :3] = np.array(columns, float).T
    assert axis_codes(affine) == expected


@pytest.mark.parametrize("lengths", [(1.0, 1.0, 40.0), (0.3, 25.0, 1.0)])
def test_axis_codes_do_not_depend_on_the_spacing(lengths) -> None:
    """Directions alone decide: with long slices an oblique axis must not take another's letters."""
    for seed in range(200):
        axes = data.rotation(seed).T
        unit, stretched = np.eye(4), np.eye(4)
        unit[:3, :3], stretched[:3, :3] = axes, axes * np.asarray(lengths)
        assert axis_codes(stretched) == axis_codes(unit)
