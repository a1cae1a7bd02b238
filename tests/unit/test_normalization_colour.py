"""Colour becomes red, green and blue: beside a naive oracle, beside second decoders, and on to the files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.dataset import FileDataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    UltrasoundMultiFrameImageStorage,
)

import data
import pictures
from handlers.api import Recipe
from handlers.errors import PixelDataError
from handlers.model import Verdict
from handlers.normalization.pipeline import to_modality_units
from handlers.preprocess import preprocess
from handlers.reading import series_from_files
from handlers.triage.burned_in_text import burned_in_text
from handlers.volumes import split
from handmade import built

FRAMES, ROWS, COLUMNS = 2, 6, 8
RNG = np.random.default_rng(11)
RGB = RNG.integers(0, 256, (FRAMES, ROWS, COLUMNS, 3), np.uint8)


def image(pixels: np.ndarray, photometric: str, **attributes) -> FileDataset:
    """Return an ultrasound cine of these frames, shape (frames, rows, columns[, 3])."""
    dataset = data.secondary_capture(rows=pixels.shape[1], columns=pixels.shape[2])
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    del dataset.ConversionType, dataset.SeriesDescription
    dataset.Modality, dataset.ImageType = "US", ["ORIGINAL", "PRIMARY"]
    dataset.PhotometricInterpretation = photometric
    dataset.SamplesPerPixel = 3 if pixels.ndim == 4 else 1
    dataset.PlanarConfiguration = 0
    dataset.NumberOfFrames = len(pixels)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.FrameTime = 40
    dataset.PixelData = pixels.tobytes()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def decoded(dataset: FileDataset, tmp_path: Path) -> np.ndarray:
    return to_modality_units(built([dataset], tmp_path)).values


def of_ybr(ybr: np.ndarray) -> np.ndarray:
    """PS3.3 C.7.6.3.1.2, turned around (Recommendation ITU-T T.871), pixel by pixel."""
    y, cb, cr = (ybr[..., each].astype(np.float64) for each in range(3))
    red = y + 1.402 * (cr - 128)
    green = y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128)
    blue = y + 1.772 * (cb - 128)
    return np.clip(np.stack([red, green, blue], axis=-1), 0, 255)


def test_rgb_by_pixel_and_by_plane(tmp_path):
    assert np.array_equal(decoded(image(RGB, "RGB"), tmp_path / "pixel"), RGB)
    planes = image(RGB, "RGB", PlanarConfiguration=1)
    planes.PixelData = RGB.transpose(0, 3, 1, 2).tobytes()
    assert np.array_equal(decoded(planes, tmp_path / "plane"), RGB)


def test_big_endian_words_keep_their_colours(tmp_path):
    dataset = image(RGB, "RGB")
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset.set_original_encoding(is_implicit_vr=False, is_little_endian=False)
    dataset["PixelData"].VR = "OW"
    dataset.PixelData = np.frombuffer(RGB.tobytes(), np.uint16).byteswap().tobytes()
    path = tmp_path / "0.dcm"
    dcmwrite(path, dataset, implicit_vr=False, little_endian=False, enforce_file_format=True)
    (series,), _ = series_from_files([path])
    assert np.array_equal(to_modality_units(split(series).volumes[0]).values, RGB)


def test_luminance_and_chrominance(tmp_path):
    found = decoded(image(RGB, "YBR_FULL"), tmp_path)
    assert np.abs(found.astype(float) - of_ybr(RGB)).max() <= 1


def test_chrominance_of_every_other_pixel(tmp_path):
    halved = RGB.copy()
    halved[:, :, 1::2, 1:] = halved[:, :, ::2, 1:]  # two pixels of a row share Cb and Cr
    dataset = image(halved, "YBR_FULL_422")
    pairs = halved.reshape(FRAMES, ROWS, COLUMNS // 2, 2, 3)
    cells = np.stack([pairs[..., 0, 0], pairs[..., 1, 0], pairs[..., 0, 1], pairs[..., 0, 2]], axis=-1)
    dataset.PixelData = cells.tobytes()
    found = decoded(dataset, tmp_path)
    assert np.abs(found.astype(float) - of_ybr(halved)).max() <= 1


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_lossless_codestreams_give_the_same_colours(tmp_path, syntax):
    frames = RNG.integers(0, 256, (FRAMES, 64, 64, 3), np.uint8)
    dataset = image(frames, "RGB")
    dataset.compress(syntax, generate_instance_uid=False)
    assert np.array_equal(decoded(dataset, tmp_path), frames)


def palette(dataset: FileDataset, entries: np.ndarray, *, first: int, bits: int) -> FileDataset:
    for index, name in enumerate(("Red", "Green", "Blue")):
        column = entries[:, index].astype("<u2" if bits == 16 else "u1")
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [len(entries), first, bits])
        setattr(dataset, f"{name}PaletteColorLookupTableData", column.tobytes())
    return dataset


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_is_looked_up(tmp_path, bits):
    indices = RNG.integers(0, 60, (FRAMES, ROWS, COLUMNS), np.uint8)
    entries = RNG.integers(0, 1 << bits, (40, 3))
    found = decoded(palette(image(indices, "PALETTE COLOR"), entries, first=10, bits=bits), tmp_path)
    for place in np.ndindex(indices.shape):
        entry = entries[min(max(int(indices[place]) - 10, 0), 39)]
        assert found[place].tolist() == (entry >> (bits - 8)).tolist()


@pytest.mark.parametrize(
    "change",
    [
        {"PhotometricInterpretation": "ARGB"},
        {"PhotometricInterpretation": "YBR_PARTIAL_420"},
        {"PhotometricInterpretation": "MONOCHROME2"},
        {"SamplesPerPixel": 4},
        {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15},
        {"PhotometricInterpretation": "PALETTE COLOR", "SamplesPerPixel": 1, "NumberOfFrames": 3 * FRAMES},
    ],
)
def test_other_colour_is_refused_with_what_to_do(tmp_path, change):
    with pytest.raises(PixelDataError, match="send it as RGB") as caught:
        decoded(image(RGB, "RGB", **change), tmp_path)
    assert caught.value.code == "PIX-006"


def test_colour_that_was_cut_short_is_refused(tmp_path):
    dataset = image(RGB, "RGB")
    dataset.PixelData = dataset.PixelData[:-40]
    with pytest.raises(PixelDataError) as caught:
        decoded(dataset, tmp_path)
    assert caught.value.code == "ING-004"


def test_a_cine_in_colour_becomes_a_picture_for_each_frame(tmp_path):
    data.write([image(RGB, "RGB", BurnedInAnnotation="NO")], tmp_path / "in")
    (series,), _ = series_from_files((tmp_path / "in").iterdir())
    recipe = Recipe(intensity="percentile", dtype="float32", save_padding_mask=True)
    outcome = preprocess(series, tmp_path / "out", recipe)
    assert outcome.verdict is Verdict.ACCEPT_WARN
    codes = {finding.code for finding in outcome.findings}
    assert {"USX-001", "NRM-INT-001"} <= codes
    assert "PIX-006" not in codes
    written = nib.load(tmp_path / "out" / "v0.nii.gz")
    assert written.shape == (COLUMNS, ROWS, FRAMES)
    stored = np.asarray(written.dataobj)
    together = np.stack([stored[name] for name in "RGB"], axis=-1)
    assert np.array_equal(together.transpose(2, 1, 0, 3), RGB)
    node = json.loads((tmp_path / "out" / "v0.json").read_text())["node"]
    assert node["frame_times"]["step_ms"] == 40
    assert node["units"] == "1"
    assert (tmp_path / "out" / "v0.png").exists()


def with_text(text: str, channels: int) -> FileDataset:
    grey = np.full((200, 300), 20.0)
    grey[60:140, 80:220] = 120
    pictures.write_text(grey, text, top=4, left=8, value=255)
    pixels = np.repeat(grey.astype(np.uint8)[None, ..., None], 3, axis=3)
    pixels[..., channels:] = 0
    return image(pixels, "RGB")


@pytest.mark.parametrize(
    ("text", "channels", "codes"),
    [("SMITH", 3, ["DEI-BIA-002"]), ("SMITH", 2, ["DEI-BIA-002"]), ("", 3, []), ("", 2, [])],
)
def test_text_of_any_colour_is_seen(tmp_path, text, channels, codes):
    data.write([with_text(text, channels)], tmp_path)
    (series,), _ = series_from_files(tmp_path.iterdir())
    series = split(series)
    volume = to_modality_units(series.volumes[0])
    found = burned_in_text(replace(series, volumes=(volume,)))
    assert [finding.code for finding in found] == codes
