"""The same anatomy, however it is encoded, gives the same voxels and affine: the same NIfTI file, byte for byte.

The oracle is the construction: every form is drawn from one phantom on one stack of planes.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

import data
from handlers.preprocess import preprocess
from handlers.reading import series_from_files
from runs import ACCEPTED, Result, expected_hu, process
from transcoding import BY_GDCM, BY_PYDICOM, DEFLATED_FRAMES, WRAPPED, by_gdcm, by_hand

NATIVE = (ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
STACKS = {
    "axial": {"slices": 6, "rows": 40, "columns": 36, "spacing": (1.0, 1.1), "step_mm": 2.0},
    "sagittal": {"slices": 6, "rows": 36, "columns": 40, "spacing": (1.0, 1.0), "step_mm": 2.5},
    "oblique": {"slices": 5, "rows": 36, "columns": 36, "spacing": (1.2, 1.0), "step_mm": 3.0},
}
ORIENTATIONS = {"axial": "axial", "sagittal": "sagittal", "oblique": data.rotation(11)}


def stack(name: str) -> dict:
    return STACKS[name] | {"orientation": ORIENTATIONS[name]}


def of_files(paths: list[Path], folder: Path) -> Result:
    (series,), unreadable = series_from_files(paths)
    assert unreadable == []
    preprocess(series, folder)
    return Result(folder, json.loads((folder / "report.json").read_text("utf-8")))


def nifti(result: Result) -> bytes:
    (volume,) = result.report["volumes"]
    assert volume["verdict"] in ACCEPTED, result.codes
    return (result.folder / volume["file"]).read_bytes()


@pytest.fixture(scope="module", params=STACKS)
def plain(request, tmp_path_factory) -> tuple[str, bytes]:
    """The classic series in explicit little endian, checked against the phantom itself."""
    options = stack(request.param)
    result = process(data.ct_series(**options), tmp_path_factory.mktemp(request.param))
    (volume,) = result.accepted
    field_mm = max(options["rows"] * options["spacing"][0], options["columns"] * options["spacing"][1])
    assert np.array_equal(result.values(volume), expected_hu(result.points(volume), field_mm))
    return request.param, nifti(result)


@pytest.mark.parametrize("syntax", [*NATIVE, *BY_PYDICOM], ids=lambda uid: uid.keyword)
def test_classic_series_is_the_same_in_every_transfer_syntax(plain, tmp_path, syntax):
    name, expected = plain
    assert nifti(process(data.ct_series(**stack(name), transfer_syntax=syntax), tmp_path)) == expected


@pytest.mark.parametrize("syntax", BY_GDCM, ids=lambda uid: uid.keyword)
def test_classic_series_is_the_same_when_another_library_compressed_it(plain, tmp_path, syntax):
    name, expected = plain
    sources = data.write(data.ct_series(**stack(name)), tmp_path / "native")
    packed = [by_gdcm(path, tmp_path / path.name, syntax) for path in sources]
    assert nifti(of_files(packed, tmp_path / "out")) == expected


@pytest.mark.parametrize("syntax", [DEFLATED_FRAMES, WRAPPED], ids=["deflated-frames", "wrapped"])
def test_classic_series_is_the_same_deflated_or_merely_wrapped(plain, tmp_path, syntax):
    name, expected = plain
    series = data.ct_series(**stack(name))
    packed = [by_hand(each, tmp_path / f"{n}.dcm", syntax) for n, each in enumerate(series)]
    assert nifti(of_files(packed, tmp_path / "out")) == expected


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"reversed_frames": True},
        *({"transfer_syntax": syntax} for syntax in (*NATIVE, *BY_PYDICOM)),
        {"slopes": [1.0] * 6},
        {"slope": 0.5},
        {"layout": data.Layout(16, 16, signed=True), "intercept": 0},
    ],
    ids=[
        "plain",
        "reversed",
        "implicit",
        "big",
        "deflated",
        "rle",
        "jpegls",
        "j2k",
        "per-frame",
        "halves",
        "signed",
    ],
)
def test_enhanced_multi_frame_is_the_same_as_the_classic_series(plain, tmp_path, form):
    name, expected = plain
    if "slopes" in form:
        form = form | {"slopes": form["slopes"][: STACKS[name]["slices"]]}
    result = process([data.enhanced_ct(**stack(name), **form)], tmp_path)
    if form.get("slope") == 0.5:  # then HU are stored as float32, as halves can occur
        (volume,) = result.accepted
        points = result.points(volume)
        field = max(np.multiply((STACKS[name]["rows"], STACKS[name]["columns"]), STACKS[name]["spacing"]))
        assert np.array_equal(result.values(volume), expected_hu(points, field))
        return
    assert nifti(result) == expected


def concatenation(whole: FileDataset, sizes: tuple[int, ...]) -> list[FileDataset]:
    """Cut a multi-frame instance into the parts of a concatenation (PS3.3 C.7.6.16.2.2.4)."""
    frame = len(whole.PixelData) // int(whole.NumberOfFrames)
    parts, first = [], 0
    for number, size in enumerate(sizes, 1):
        part = copy.deepcopy(whole)
        part.SOPInstanceUID = part.file_meta.MediaStorageSOPInstanceUID = data.uid("part", number)
        part.NumberOfFrames = size
        part.PerFrameFunctionalGroupsSequence = whole.PerFrameFunctionalGroupsSequence[first : first + size]
        part.PixelData = whole.PixelData[first * frame : (first + size) * frame]
        part.ConcatenationUID = data.uid("concatenation")
        part.SOPInstanceUIDOfConcatenationSource = whole.SOPInstanceUID
        part.ConcatenationFrameOffsetNumber = first
        part.InConcatenationNumber, part.InConcatenationTotalNumber = number, len(sizes)
        parts.append(part)
        first += size
    return parts


def test_a_concatenation_is_the_same_as_the_whole(plain, tmp_path):
    name, expected = plain
    n = STACKS[name]["slices"]
    parts = concatenation(data.enhanced_ct(**stack(name)), (1, n - 3, 2))
    assert nifti(process(parts[::-1], tmp_path)) == expected


@pytest.mark.parametrize(
    "bits",
    [
        {"bits_allocated": 16, "bits_stored": 16},
        {"bits_allocated": 16, "bits_stored": 12, "pixel_representation": 1, "intercept": 0},
        {"bits_allocated": 16, "bits_stored": 13, "garbage": True},
        {"bits_allocated": 16, "bits_stored": 12, "high_bit": 15},
        {"bits_allocated": 32, "bits_stored": 20},
    ],
    ids=["sixteen", "signed", "garbage", "high", "thirty-two"],
)
def test_the_layout_of_bits_makes_no_difference(plain, tmp_path, bits):
    name, expected = plain
    assert nifti(process(data.ct_series(**stack(name), **bits), tmp_path)) == expected


def test_mr_is_the_same_classic_and_enhanced(tmp_path):
    options = stack("axial")
    classic = process(data.mr_series(**options), tmp_path / "classic")
    enhanced = process([data.enhanced_mr(**options)], tmp_path / "enhanced")
    one, other = classic.accepted[0], enhanced.accepted[0]
    assert np.array_equal(classic.values(one), enhanced.values(other))
    assert np.array_equal(classic.points(one), enhanced.points(other))
