"""A second decoder, of another library where there is one, agrees with the first for every transfer syntax.

Lossless and near-lossless codestreams have one right answer. Of a lossy one, the standards leave
the last bit of the inverse transform to the decoder (ISO/IEC 10918-2 allows a difference of one level).
There is no grey HTJ2K among the real files, and no encoder of it among the libraries: it is not here.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

import data
from handlers.errors import PixelDataError
from handlers.normalization import decoding
from handlers.normalization.stored_values import decode_stored_values
from handmade import volume_of
from transcoding import BY_GDCM, by_gdcm

# The decoders beside the first of `decoding.DECODERS`. SimpleITK's JPEG is GDCM's: it is no second opinion there.
SECOND = {
    RLELossless: ("pydicom",),
    JPEGBaseline8Bit: ("pillow",),
    JPEGLSLossless: ("gdcm",),
    JPEGLSNearLossless: ("gdcm",),
    JPEG2000Lossless: ("gdcm",),
    JPEG2000: ("gdcm",),
}
LOSSY = (JPEGBaseline8Bit, JPEG2000)
BY_DCMTK = {
    JPEGLossless: "dcmdjpeg",
    JPEGLosslessSV1: "dcmdjpeg",
    JPEGLSLossless: "dcmdjpls",
    RLELossless: "dcmdrle",
}
# Where every other decoder is known to refuse or to be wrong; test_decoders holds the first to the facts.
NO_SECOND = {
    "J2K_pixelrep_mismatch.dcm": "GDCM takes the sign of the codestream",
    "JLSL_08_07_0_1F.dcm": "neither GDCM nor dcmtk decodes seven bits of JPEG-LS",
}


def stored(path: Path) -> np.ndarray:
    return decode_stored_values(volume_of([path], is_placed=False)).values


def stored_by(path: Path, syntax: str, name: str, monkeypatch) -> np.ndarray:
    with monkeypatch.context() as patch:
        patch.setitem(decoding.DECODERS, syntax, (name,))
        volume = decode_stored_values(volume_of([path], is_placed=False))
    assert volume.steps[-1].parameters["decoders"] == [name]
    return volume.values


def dcmtk(path: Path, syntax: str, target: Path) -> np.ndarray:
    """Decode a file with a program of dcmtk, and take its pixels as they are."""
    program = shutil.which(BY_DCMTK[syntax])
    if program is None:
        pytest.skip(f"{BY_DCMTK[syntax]} is not installed")
    subprocess.run([program, str(path), str(target)], check=True, capture_output=True)
    return stored(target)


@pytest.fixture(scope="module")
def real(shared_data) -> list[tuple[Path, str]]:
    """Every compressed grey file with one sample per pixel that is whole."""
    with (shared_data / "MANIFEST.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["stored_min"]]
    wanted = [
        row
        for row in rows
        if row["photometric"].startswith("MONOCHROME") and not row["bits"].startswith("1/")
    ]
    found = [(shared_data / row["path"], row["path"]) for row in wanted]
    return [(path, str(pydicom.dcmread(path, specific_tags=["Rows"], force=True).file_meta.get("TransferSyntaxUID", "")))
            for path, _ in found]  # fmt: skip


@pytest.mark.parametrize("syntax", SECOND, ids=lambda uid: uid.keyword)
def test_two_decoders_agree_on_real_files(real, syntax, monkeypatch):
    paths = [path for path, uid in real if uid == syntax]
    if not paths:
        pytest.skip(f"no real file in {syntax.name}")
    for path in paths:
        if path.name in NO_SECOND:
            continue
        first = stored(path)
        for name in SECOND[syntax]:
            second = stored_by(path, syntax, name, monkeypatch)
            difference = np.abs(first.astype(np.int64) - second.astype(np.int64)).max()
            assert difference <= (1 if syntax in LOSSY else 0), (path.name, name)


@pytest.mark.parametrize("syntax", BY_DCMTK, ids=lambda uid: uid.keyword)
def test_dcmtk_agrees_on_real_files(real, syntax, tmp_path):
    paths = [path for path, uid in real if uid == syntax]
    if not paths:
        pytest.skip(f"no real file in {syntax.name}")
    for number, path in enumerate(path for path in paths if path.name not in NO_SECOND):
        assert np.array_equal(stored(path), dcmtk(path, syntax, tmp_path / f"{number}.dcm")), path.name


LAYOUTS = {
    "8": data.Layout(8, 8),
    "12": data.Layout(16, 12),
    "12 signed": data.Layout(16, 12, signed=True),
    "16": data.Layout(16, 16),
    "16 signed": data.Layout(16, 16, signed=True),
}


@pytest.fixture(params=LAYOUTS)
def noise(request, tmp_path) -> tuple[Path, np.ndarray]:
    """One native file of noise over the whole range of its bits, and what it holds."""
    layout = LAYOUTS[request.param]
    low = -(1 << (layout.stored - 1)) if layout.signed else 0
    values = np.random.default_rng(5).integers(low, low + (1 << layout.stored), (48, 56))
    values[0, :2] = low, low + (1 << layout.stored) - 1
    dataset = data.ct_series(slices=1, rows=48, columns=56, layout=data.Layout(16, 12))[0]
    dataset.BitsAllocated, dataset.BitsStored = layout.allocated, layout.stored
    dataset.HighBit, dataset.PixelRepresentation = layout.high_bit, int(layout.signed)
    pixels = layout.encode(values)
    dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
    dataset["PixelData"].VR = "OB" if layout.allocated == 8 else "OW"
    (path,) = data.write([dataset], tmp_path / "native")
    return path, values


@pytest.mark.parametrize("syntax", BY_GDCM, ids=lambda uid: uid.keyword)
def test_every_decoder_returns_the_noise_that_was_encoded(noise, syntax, tmp_path, monkeypatch):
    """Noise has no redundancy: one lost bit anywhere shows. JPEG lossless has one decoder and dcmtk."""
    source, values = noise
    packed = by_gdcm(source, tmp_path / "packed.dcm", syntax)
    assert np.array_equal(stored(packed)[0], values)
    for name in SECOND.get(syntax, ()):
        assert np.array_equal(stored_by(packed, syntax, name, monkeypatch)[0], values), name


@pytest.mark.parametrize("syntax", BY_DCMTK, ids=lambda uid: uid.keyword)
def test_dcmtk_returns_the_noise_that_was_encoded(noise, syntax, tmp_path):
    source, values = noise
    packed = by_gdcm(source, tmp_path / "packed.dcm", syntax)
    assert np.array_equal(dcmtk(packed, syntax, tmp_path / "plain.dcm")[0], values)


def test_twelve_bit_jpeg_has_no_second_decoder_that_can():
    """It is held to GDCM's figures in test_decoders; this names the gap, so that a new decoder is noticed."""
    assert JPEGExtended12Bit not in SECOND
    assert decoding.DECODERS[JPEGExtended12Bit] == ("gdcm", "simpleitk")


def test_a_second_decoder_that_fails_is_not_hidden(noise, tmp_path, monkeypatch):
    source, _ = noise
    packed = by_gdcm(source, tmp_path / "packed.dcm", JPEGLSLossless)
    with pytest.raises(PixelDataError):
        stored_by(packed, JPEGLSLossless, "pillow", monkeypatch)
