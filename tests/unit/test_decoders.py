"""Every compressed transfer syntax: lossless ones give the uncompressed pixels, damaged ones a reason."""

from __future__ import annotations

import csv
import shutil
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

import data
from handlers.errors import PixelDataError
from handlers.model import Severity
from handlers.normalization import decoding
from handlers.normalization.decoding import DECODERS, DEFLATED_FRAMES, ENCAPSULATED_UNCOMPRESSED
from handlers.normalization.stored_values import decode_stored_values
from handmade import built, volume_of

LOSSY = ("JPEGProcess1T", "JPEGProcess2_4", "JPEGProcess6_8", "JPEGProcess10_12", "JPEGLSLossy", "JPEG2000T")


def stored(*paths: Path) -> np.ndarray:
    return decode_stored_values(volume_of(paths, is_placed=False)).values


@pytest.fixture(scope="module")
def facts(shared_data):
    with (shared_data / "MANIFEST.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_ct_slice_is_the_same_in_every_lossless_transfer_syntax(shared_data):
    folder = shared_data / "ct_all_transfer_syntaxes"
    plain = stored(folder / "CTImage.dcm_LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1.dcm")
    lossless = [path for path in sorted(folder.iterdir()) if not any(word in path.name for word in LOSSY)]
    assert len(lossless) == 10
    for path in lossless:
        assert np.array_equal(stored(path), plain), path.name


@pytest.mark.parametrize("kind", ["jpeg", "jpegls", "rle"])
def test_mr_slices_are_the_same_in_every_lossless_transfer_syntax(shared_data, kind):
    plain, packed = (sorted((shared_data / f"mr_generic_{name}").iterdir()) for name in ("j2k", kind))
    assert np.array_equal(stored(*plain), stored(*packed))


def test_big_endian_and_jpeg_ls_of_one_ge_slice_agree(shared_data):
    images = [stored(path) for path in sorted((shared_data / "ct_ge_ct1_syntaxes").iterdir())]
    assert len(images) == 5
    assert all(np.array_equal(image, images[0]) for image in images)


def test_every_real_file_has_the_stored_values_that_are_known_of_it(shared_data, facts):
    """GDCM's figures hold for 12-bit JPEG Extended, which pydicom's decoders get wrong by one level."""
    checked = 0
    for row in facts:
        is_grey = row["photometric"].startswith("MONOCHROME")
        if not row["stored_min"] or not is_grey or row["bits"].startswith("1/"):
            continue
        source = "gdcm" if row["transfer_syntax"].endswith(".4.51") and row["gdcm_min"] else "stored"
        values = stored(shared_data / row["path"])
        assert values.min() == float(row[f"{source}_min"]), row["path"]
        assert values.max() == float(row[f"{source}_max"]), row["path"]
        assert values.mean() == pytest.approx(float(row[f"{source}_mean"]), abs=2e-4), row["path"]
        checked += 1
    assert checked > 350


def test_the_decoder_is_recorded(shared_data):
    path = next((shared_data / "mr_generic_rle").iterdir())
    step = decode_stored_values(volume_of([path], is_placed=False)).steps[-1]
    assert step.name == "stored_values"
    assert step.parameters["decoders"] == ["pylibjpeg"]


def test_twelve_bit_jpeg_falls_back_to_a_decoder_that_can(shared_data):
    path = shared_data / "pydicom_test_files" / "JPGExtended.dcm"
    volume = decode_stored_values(volume_of([path], is_placed=False))
    assert volume.steps[-1].parameters["decoders"] == ["simpleitk"]
    assert (volume.values.min(), volume.values.max()) == (0, 264)  # MANIFEST.csv


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("signed", [False, True])
def test_compressed_frames_equal_the_native_ones(tmp_path, syntax, signed):
    layout = data.Layout(16, 12, signed=signed)
    intercept = 0 if signed else -1024
    shape = {"slices": 3, "rows": 64, "columns": 80}
    native = data.ct_series(**shape, layout=layout, intercept=intercept)
    packed = data.ct_series(**shape, layout=layout, intercept=intercept, transfer_syntax=syntax)
    plain = decode_stored_values(built(native, tmp_path / "native"))
    volume = decode_stored_values(built(packed, tmp_path / "packed"))
    assert plain.values.min() == (-1000 if signed else 24)
    assert np.array_equal(volume.values, plain.values)


@pytest.mark.parametrize("syntax", [DEFLATED_FRAMES, ENCAPSULATED_UNCOMPRESSED])
def test_frames_that_are_deflated_or_merely_wrapped_are_read(tmp_path, syntax):
    original = data.ct_series(slices=1, rows=8, columns=8)[0]
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    pixels = original.PixelData
    frame = packer.compress(pixels) + packer.flush() if syntax == DEFLATED_FRAMES else pixels
    volume = built([original], tmp_path)
    path = rewrapped(volume.frames[0].instance.path, frame, syntax)
    assert np.array_equal(stored(path).ravel(), np.frombuffer(pixels, "<u2"))


def rewrapped(path: Path, frame: bytes, syntax: str) -> Path:
    dataset = pydicom.dcmread(path)
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless  # then renamed: not every syntax can be written
    dataset.save_as(path)
    path.write_bytes(
        path.read_bytes().replace(JPEG2000Lossless.encode(), syntax.encode().ljust(22, b"\0"), 1)
    )
    return path


def test_a_multi_frame_file_gives_the_wanted_frames_in_the_wanted_order(tmp_path):
    dataset = data.enhanced_ct(slices=6, rows=16, columns=16, transfer_syntax=RLELossless)
    volume = built([dataset], tmp_path)
    frames = volume.frames[4], volume.frames[1], volume.frames[2]
    chosen = decode_stored_values(replace(volume, frames=frames, geometry=None))
    whole = decode_stored_values(volume)
    assert np.array_equal(chosen.values, whole.values[[4, 1, 2]])


def test_an_unknown_transfer_syntax_names_itself(tmp_path):
    volume = built(data.ct_series(slices=1, rows=8, columns=8), tmp_path)
    path = rewrapped(volume.frames[0].instance.path, b"\0\0\1\xb3", "1.2.840.10008.1.2.4.94")
    with pytest.raises(PixelDataError, match=r"no decoder for transfer syntax JPIP.*4\.94") as caught:
        stored(path)
    assert caught.value.code == "ING-004"


def test_a_cut_off_codestream_is_refused_with_every_decoders_reason(shared_data, tmp_path):
    source = next((shared_data / "mr_generic_jpegls").iterdir())
    path = Path(shutil.copy(source, tmp_path / "cut.dcm"))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-20000])
    with pytest.raises(PixelDataError) as caught:
        stored(path)
    assert caught.value.code == "ING-004"


def test_a_codestream_of_another_size_is_refused_before_it_is_decoded(shared_data, tmp_path):
    dataset = pydicom.dcmread(next((shared_data / "mr_generic_j2k").iterdir()))
    dataset.Rows -= 1
    path = tmp_path / "smaller.dcm"
    dataset.save_as(path)
    with pytest.raises(PixelDataError, match="the compressed frame is"):
        stored(path)


def test_a_sign_that_the_codestream_contradicts_is_taken_from_the_header_and_told(shared_data):
    path = shared_data / "pydicom_test_files" / "J2K_pixelrep_mismatch.dcm"
    volume = decode_stored_values(volume_of([path], is_placed=False))
    (finding,) = volume.findings
    assert (finding.code, finding.severity) == ("PIX-004", Severity.WARN)
    assert volume.values.min() == -2000  # padding of this scanner


def test_a_deeper_unsigned_codestream_is_only_noted(shared_data):
    volume = decode_stored_values(volume_of([next((shared_data / "mr_generic_jpegls").iterdir())]))
    assert [(finding.code, finding.severity) for finding in volume.findings] == [("PIX-004", Severity.INFO)]


def test_every_transfer_syntax_names_a_decoder():
    assert all(names for names in DECODERS.values())


def test_values_beyond_the_stated_bits_are_cleared_and_told(tmp_path):
    (dataset,) = data.mr_series(slices=1, rows=16, columns=16)
    values = np.arange(256, dtype=np.uint16).reshape(16, 16) * 17  # up to 4335: thirteen bits
    dataset.PixelData = values.tobytes()
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.compress(JPEGLSLossless, generate_instance_uid=False)
    dataset.BitsStored, dataset.HighBit = 12, 11
    volume = decode_stored_values(built([dataset], tmp_path))
    assert np.array_equal(volume.values[0], values & 0xFFF)
    assert "PIX-005" in {finding.code for finding in volume.findings}


class Panic(BaseException):
    """What a library in Rust raises where it should not have come: no Exception."""


def panicking(*_):
    raise Panic("index out of bounds")


def test_a_decoder_that_panics_is_passed_over(tmp_path, monkeypatch):
    (dataset,) = data.mr_series(slices=1, rows=16, columns=16)
    expected = dataset.pixel_array
    dataset.compress(RLELossless, generate_instance_uid=False)
    volume = built([dataset], tmp_path)
    monkeypatch.setitem(decoding.BESIDES_PYDICOM, "panicking", panicking)
    monkeypatch.setitem(DECODERS, RLELossless, ("panicking", "pydicom"))
    assert np.array_equal(decode_stored_values(volume).values[0], expected)
    monkeypatch.setitem(DECODERS, RLELossless, ("panicking",))
    with pytest.raises(PixelDataError, match="panicking: index out of bounds") as caught:
        decode_stored_values(volume)
    assert caught.value.code == "ING-004"


def test_an_offset_table_that_claims_more_than_there_is_is_refused(tmp_path):
    (dataset,) = data.mr_series(slices=1, rows=16, columns=16)
    dataset.compress(RLELossless, generate_instance_uid=False)
    content = data.file_bytes(dataset)
    at = content.index(b"\xfe\xff\x00\xe0") + 4  # the length of the Basic Offset Table
    (tmp_path / "0.dcm").write_bytes(content[:at] + (1 << 22).to_bytes(4, "little") + content[at + 4 :])
    with pytest.raises(PixelDataError, match="encapsulated pixel data is damaged") as caught:
        decode_stored_values(volume_of([tmp_path / "0.dcm"]))
    assert caught.value.code == "ING-004"
