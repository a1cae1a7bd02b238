"""Turning axes: whatever the orientation, no voxel leaves its place and no value changes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import data
from handlers.model import Volume
from handlers.normalization.orientation import Reorient

CODES = st.permutations(("LR", "PA", "SI")).flatmap(
    lambda pairs: st.tuples(*(st.sampled_from(pair) for pair in pairs)).map("".join)
)
SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))


@st.composite
def volumes(draw) -> Volume:
    shape = draw(SHAPES)
    axes = data.rotation(draw(st.integers(0, 10_000)))
    spacing = [draw(st.floats(0.2, 5.0)) for _ in range(3)]
    affine = np.eye(4)
    affine[:3, :3] = axes.T * spacing
    affine[:3, 2] += draw(st.floats(-0.4, 0.4)) * affine[:3, 1]  # a tilt
    affine[:3, 3] = [draw(st.floats(-300, 300)) for _ in range(3)]
    values = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    sizes = tuple(float(size) for size in np.linalg.norm(affine[:3, :3], axis=0))
    return Volume(0, (), "CT", values=values, padding=values % 3 == 0, affine=affine, spacing_mm=sizes)


def places(volume: Volume) -> np.ndarray:
    """Where each value lies, LPS mm, in the order of the values."""
    order = np.argsort(volume.values, axis=None)
    slices, rows, columns = (index.ravel()[order] for index in np.indices(volume.values.shape))
    indices = np.stack([columns, rows, slices, np.ones_like(slices)])
    return (volume.affine @ indices)[:3]


@settings(max_examples=200, deadline=None)
@given(volumes(), CODES)
def test_every_voxel_stays_where_it_was(volume, code):
    turned = Reorient(code)(volume)
    assert np.allclose(places(turned), places(volume), atol=1e-6)
    assert np.array_equal(turned.padding, turned.values % 3 == 0)
    assert np.allclose(turned.spacing_mm, np.linalg.norm(turned.affine[:3, :3], axis=0))


@settings(max_examples=200, deadline=None)
@given(volumes(), CODES)
def test_turning_twice_is_turning_once(volume, code):
    once = Reorient(code)(volume)
    assert Reorient(code)(once) is once


@settings(max_examples=100, deadline=None)
@given(volumes(), CODES, CODES)
def test_the_way_there_does_not_matter(volume, first, second):
    direct = Reorient(second)(volume)
    around = Reorient(second)(Reorient(first)(volume))
    assert np.array_equal(direct.values, around.values)
    assert np.allclose(direct.affine, around.affine)


@settings(max_examples=100, deadline=None)
@given(volumes(), CODES)
def test_the_closest_axes_are_taken(volume, code):
    """Summed over the axes, no other assignment would lie closer to the wanted directions."""
    turned = Reorient(code)(volume)
    letters = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
    cosines = turned.affine[:3, :3] / np.linalg.norm(turned.affine[:3, :3], axis=0)
    wanted = [letters[letter] for letter in code]
    assert all(cosines[axis, index] * sign >= -1e-9 for index, (axis, sign) in enumerate(wanted))
    got = sum(abs(cosines[axis, index]) for index, (axis, _) in enumerate(wanted))
    for other in ((0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        assert got >= sum(abs(cosines[wanted[i][0], other[i]]) for i in range(3)) - 1e-9
