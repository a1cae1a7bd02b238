"""Where the pixels lie in a file, and that a header's claim is never believed before it is checked."""

from __future__ import annotations

import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

import data
from handlers.errors import MalformedAttributeError, PixelDataError
from handlers.model import Volume
from handlers.normalization import pixel_source, stored_values
from handlers.normalization.stored_values import decode_stored_values
from handmade import built, volume_of

NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
SMALL = {"slices": 1, "rows": 7, "columns": 5}


def plain(tmp_path) -> np.ndarray:
    return decode_stored_values(built(data.ct_series(**SMALL), tmp_path / "plain")).values


def claiming(volume, **claims):
    """The same volume with other claims in its header, the file as it was."""
    header = Dataset(volume.frames[0].instance.header)
    for keyword, value in claims.items():
        setattr(header, keyword, value)
    frame = replace(volume.frames[0], instance=replace(volume.frames[0].instance, header=header))
    return replace(volume, frames=(frame,), geometry=None)


@pytest.mark.parametrize("syntax", NATIVE)
def test_pixels_are_found_when_other_elements_follow_them(tmp_path, syntax):
    series = data.ct_series(**SMALL, transfer_syntax=syntax)
    series[0].add_new(0xFFFCFFFC, "OB", b"\0" * 300)
    assert np.array_equal(decode_stored_values(built(series, tmp_path)).values, plain(tmp_path))


@pytest.mark.parametrize("syntax", NATIVE)
def test_an_icon_in_the_header_is_not_taken_for_the_image(tmp_path, syntax):
    icon = Dataset()
    icon.Rows = icon.Columns = 4
    icon.PixelData = b"\7" * 16
    icon["PixelData"].VR = "OB"
    series = data.ct_series(**SMALL, transfer_syntax=syntax, IconImageSequence=[icon])
    assert np.array_equal(decode_stored_values(built(series, tmp_path)).values, plain(tmp_path))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_a_data_set_without_preamble_and_file_meta_is_read(tmp_path, syntax):
    volume = built(data.ct_series(**SMALL, transfer_syntax=syntax), tmp_path)
    path = volume.frames[0].instance.path
    content = path.read_bytes()
    length = int.from_bytes(content[140:144], "little")  # of the file meta information group
    path.write_bytes(content[144 + length :])
    assert np.array_equal(decode_stored_values(volume_of([path])).values, plain(tmp_path))


@pytest.mark.parametrize("syntax", NATIVE)
def test_a_file_that_is_cut_short_is_refused(tmp_path, syntax):
    volume = built(data.ct_series(**SMALL, transfer_syntax=syntax), tmp_path)
    path = volume.frames[0].instance.path
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(PixelDataError) as caught:
        decode_stored_values(volume)
    assert caught.value.code == "ING-004"


@pytest.mark.parametrize(
    "claims", [{"Rows": 6}, {"Columns": 4}, {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}]
)
def test_a_header_that_claims_less_than_the_pixels_there_are_is_refused(tmp_path, claims):
    volume = built(data.ct_series(**SMALL, **claims), tmp_path)
    with pytest.raises(PixelDataError, match="or more than") as caught:
        decode_stored_values(volume)
    assert caught.value.code == "ING-004"


@pytest.mark.parametrize("behind", [b"\0\xff\0\xff", b"\0" * 128])
def test_a_few_bytes_or_zeros_behind_the_pixels_are_padding(tmp_path, behind):
    datasets = data.ct_series(**SMALL)
    plain = decode_stored_values(built(datasets, tmp_path / "plain"))
    for each in datasets:
        each.PixelData += behind
    padded = decode_stored_values(built(datasets, tmp_path / "padded"))
    assert np.array_equal(padded.values, plain.values)


@pytest.mark.parametrize(
    "claims",
    [
        {"Rows": 65535, "Columns": 65535},
        {"NumberOfFrames": 2_000_000_000},
        {"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31},
        {"Rows": 0},
        {"NumberOfFrames": 0},
    ],
)
@pytest.mark.parametrize("syntax", NATIVE)
def test_a_claim_beyond_the_bytes_present_allocates_nothing(tmp_path, claims, syntax):
    volume = claiming(built(data.ct_series(**SMALL, transfer_syntax=syntax), tmp_path), **claims)
    tracemalloc.start()
    try:
        with pytest.raises(PixelDataError) as caught:
            decode_stored_values(volume)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.code == "ING-004"
    assert peak < 10_000_000


@pytest.mark.parametrize("claims", [{"Rows": 46341, "Columns": 46341}, {"Rows": 65535, "Columns": 9000}])
def test_a_compressed_frame_may_not_claim_more_than_the_cap(tmp_path, claims):
    series = data.ct_series(slices=1, rows=16, columns=16, transfer_syntax=RLELossless)
    with pytest.raises(PixelDataError, match=r"bytes a frame|could not be decoded"):
        decode_stored_values(claiming(built(series, tmp_path), **claims))


def test_a_compressed_volume_may_not_claim_more_than_the_cap(tmp_path, monkeypatch):
    series = data.ct_series(slices=4, rows=16, columns=16, transfer_syntax=RLELossless)
    monkeypatch.setattr(stored_values, "MAX_DECODED_BYTES", 1500)
    with pytest.raises(PixelDataError, match="1500 are allowed"):
        decode_stored_values(built(series, tmp_path))


def test_a_deflated_file_that_inflates_without_end_is_stopped(tmp_path, monkeypatch):
    volume = built(data.ct_series(**SMALL, transfer_syntax=DeflatedExplicitVRLittleEndian), tmp_path)
    path = volume.frames[0].instance.path
    content = path.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    path.write_bytes(content[:start] + packer.compress(bytes(3_000_000)) + packer.flush())
    monkeypatch.setattr(pixel_source, "HEADER_ALLOWANCE", 1_000_000)
    with pytest.raises(PixelDataError, match="inflates beyond"):
        decode_stored_values(volume)


def test_a_file_that_is_gone_is_named(tmp_path):
    volume = built(data.ct_series(**SMALL), tmp_path)
    uid = volume.frames[0].instance.sop_instance_uid
    volume.frames[0].instance.path.unlink()
    with pytest.raises(PixelDataError, match=f"{uid}: its file cannot be read"):
        decode_stored_values(volume)


def test_a_frame_that_does_not_exist_is_refused(tmp_path):
    volume = built(data.ct_series(**SMALL), tmp_path)
    with pytest.raises(PixelDataError, match="frame 2 of 1"):
        decode_stored_values(replace(volume, frames=(replace(volume.frames[0], number=2),)))


@pytest.mark.parametrize(
    "claims",
    [
        {"BitsStored": 0},
        {"BitsStored": 17},
        {"HighBit": 16},
        {"HighBit": 10},
        {"BitsAllocated": 12},
        {"PixelRepresentation": 2},
        {"BitsAllocated": [8, 0]},
    ],
)
def test_illegal_bits_are_refused(tmp_path, claims):
    with pytest.raises(PixelDataError) as caught:
        decode_stored_values(claiming(built(data.ct_series(**SMALL), tmp_path), **claims))
    assert caught.value.code == "PIX-001"


def test_an_object_without_pixels_says_so(tmp_path):
    volume = built(data.ct_series(**SMALL), tmp_path)
    instance = replace(volume.frames[0].instance, pixel_keyword="")
    frame = replace(volume.frames[0], instance=instance)
    with pytest.raises(PixelDataError, match="no pixel data"):
        decode_stored_values(replace(volume, frames=(frame,)))


def test_bits_outside_the_stored_ones_are_cleared_and_an_overlay_named(tmp_path):
    layout = data.Layout(16, 12, garbage=True)
    series = data.ct_series(slices=2, rows=32, columns=32, layout=layout)
    for dataset in series:
        dataset.add_new(0x60000102, "US", 12)
    volume = decode_stored_values(built(series, tmp_path / "dirty"))
    clean = decode_stored_values(built(data.ct_series(slices=2, rows=32, columns=32), tmp_path / "clean"))
    assert np.array_equal(volume.values, clean.values)
    (finding,) = volume.findings
    assert finding.code == "PIX-003"
    assert finding.evidence["overlay_groups"] == ["6000"]


def test_a_high_bit_elsewhere_gives_the_same_values_and_a_warning(tmp_path):
    series = data.ct_series(slices=1, rows=16, columns=16, high_bit=15)
    volume = decode_stored_values(built(series, tmp_path))
    assert (volume.values.min(), volume.values.max()) == (24, 2024)  # not times 16
    assert [finding.code for finding in volume.findings] == ["PIX-002"]


def test_hostile_real_files_end_in_a_reason(shared_data):
    paths = [
        path
        for group in ("bad_files_fodicom", "bad_truncated_3gb")
        for path in (shared_data / group).iterdir()
    ]
    paths += [path for path in (shared_data / "bad_files_orthanc").iterdir() if "Deeply" not in path.name]
    readable = [volume for volume in map(header_only, paths) if volume is not None]
    reasons = [reason_of(volume) for volume in readable]
    assert sum(bool(reason) for reason in reasons) > 10


def header_only(path: Path) -> Volume | None:
    try:
        return volume_of([path], is_placed=False)
    except (OSError, ValueError, TypeError):
        return None


def reason_of(volume: Volume) -> str:
    try:
        decode_stored_values(volume)
    except (PixelDataError, MalformedAttributeError) as error:
        return str(error)
    return ""
