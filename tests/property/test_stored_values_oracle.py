"""Stored values against a naive oracle, for every bit layout that the standard allows."""

from __future__ import annotations

import struct
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

import data
from handlers.normalization.stored_values import decode_stored_values
from handmade import built

FORMATS = {8: "B", 16: "H", 32: "I"}
SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)


def naive(word: int, *, stored: int, high: int, signed: bool) -> int:
    """PS3.5 section 8.1.1, one word at a time."""
    field = (word >> (high + 1 - stored)) & ((1 << stored) - 1)
    return field - (1 << stored) if signed and field >> (stored - 1) else field


@st.composite
def layouts(draw) -> dict:
    allocated = draw(st.sampled_from((8, 16, 32)))
    stored = draw(st.integers(1, allocated))
    return {
        "allocated": allocated,
        "stored": stored,
        "high": draw(st.integers(stored - 1, allocated - 1)),
        "signed": draw(st.booleans()),
    }


def with_pixels(layout: dict, words: list[int], syntax: str, *, shape: tuple[int, int, int]) -> FileDataset:
    frames, rows, columns = shape
    dataset = data.ct_series(slices=1, rows=4, columns=4, transfer_syntax=syntax)[0]
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = rows, columns, frames
    dataset.BitsAllocated, dataset.BitsStored = layout["allocated"], layout["stored"]
    dataset.HighBit, dataset.PixelRepresentation = layout["high"], int(layout["signed"])
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    pixels = struct.pack(f"{order}{len(words)}{FORMATS[layout['allocated']]}", *words)
    dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
    dataset["PixelData"].VR = "OB" if layout["allocated"] == 8 else "OW"
    return dataset


@settings(max_examples=250, deadline=None)
@given(layouts(), st.data(), st.sampled_from(SYNTAXES))
def test_stored_values_equal_the_naive_oracle(layout, draws, syntax):
    shape = draws.draw(st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)))
    count = int(np.prod(shape))
    word = st.integers(0, (1 << layout["allocated"]) - 1)
    words = draws.draw(st.lists(word, min_size=count, max_size=count))
    with TemporaryDirectory() as folder:
        dataset = with_pixels(layout, words, syntax, shape=shape)
        volume = decode_stored_values(built([dataset], Path(folder), is_placed=False))
    bits = {key: layout[key] for key in ("stored", "high", "signed")}
    assert volume.values.ravel().tolist() == [naive(each, **bits) for each in words]
    is_unusual = layout["high"] != layout["stored"] - 1
    assert any(finding.code == "PIX-002" for finding in volume.findings) == is_unusual


@settings(max_examples=60, deadline=None)
@given(layouts(), st.data())
def test_clean_and_sign_extended_words_raise_no_finding_about_unused_bits(layout, draws):
    layout = layout | {"high": layout["stored"] - 1}
    low = -(1 << (layout["stored"] - 1)) if layout["signed"] else 0
    values = draws.draw(st.lists(st.integers(low, low + (1 << layout["stored"]) - 1), min_size=4, max_size=4))
    words = [value % (1 << layout["allocated"]) for value in values]
    with TemporaryDirectory() as folder:
        dataset = with_pixels(layout, words, ExplicitVRLittleEndian, shape=(1, 2, 2))
        volume = decode_stored_values(built([dataset], Path(folder), is_placed=False))
    assert volume.values.ravel().tolist() == values
    assert volume.findings == ()


@pytest.mark.parametrize("columns", [3, 4])  # odd frames do not end at a word
def test_eight_bit_cells_in_big_endian_words_are_put_back_in_order(tmp_path, columns):
    values = list(range(1, 3 * columns * 3 + 1))
    layout = {"allocated": 8, "stored": 8, "high": 7, "signed": False}
    dataset = with_pixels(layout, values, ExplicitVRBigEndian, shape=(3, 3, columns))
    padded = bytes(values) + b"\0" * (len(values) % 2)
    dataset.PixelData = b"".join(padded[i : i + 2][::-1] for i in range(0, len(padded), 2))
    dataset["PixelData"].VR = "OW"
    volume = decode_stored_values(built([dataset], tmp_path, is_placed=False))
    assert volume.values.ravel().tolist() == values


def test_single_bits_are_unpacked_across_frame_borders(tmp_path):
    bits = [1, 0, 0, 1, 1, 1, 0, 1, 0, 1, 1, 0, 0, 0, 1]
    dataset = data.ct_series(slices=1, rows=4, columns=4)[0]
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = 1, 5, 3
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 1, 0
    packed = sum(bit << place for place, bit in enumerate(bits))
    dataset.PixelData = packed.to_bytes(2, "little")
    volume = decode_stored_values(built([dataset], tmp_path, is_placed=False))
    assert volume.values.ravel().tolist() == bits


@pytest.mark.parametrize(("keyword", "kind"), [("FloatPixelData", "<f4"), ("DoubleFloatPixelData", "<f8")])
def test_float_pixels_are_taken_as_they_are(tmp_path, keyword, kind):
    numbers = np.array([[1.5, -0.25], [1e-30, 3e7]], kind)
    dataset = data.mr_series(slices=1, rows=2, columns=2)[0]
    for gone in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(dataset, gone)
    dataset.BitsAllocated = numbers.itemsize * 8
    setattr(dataset, keyword, numbers.tobytes())
    volume = decode_stored_values(built([dataset], tmp_path, is_placed=False))
    assert np.array_equal(volume.values[0], numbers)
    assert volume.values.dtype == numbers.dtype
