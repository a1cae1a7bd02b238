"""Real colour images: one test pattern in every coding, and ultrasound beside other decoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from handlers.frames import frames_of
from handlers.model import Volume
from handlers.normalization import decoding
from handlers.normalization.stored_values import decode_stored_values
from handlers.reading import read_instance, series_from_files
from handlers.triage.header import text

SHARED = Path(__file__).parents[3] / "shared" / "data"
PATTERN = SHARED / "sc_testpattern_colour"
ULTRASOUND = ("us_acuson_multiframe", "us_esaote_ybr422", "us_palette_no_spacing")
# Of the same picture: nothing was lost, or how far the worst and the mean value may be off.
LOSSLESS = ("JPEG-LS-Lossless", "JPEG-Lossless_RGB")
PALETTES = ("Palette", "Palette_16")

pytestmark = pytest.mark.skipif(not PATTERN.is_dir(), reason="real data is not present")


def colours(path: Path) -> np.ndarray:
    values = decode_stored_values(Volume(0, frames_of(read_instance(path)), "")).values
    assert values.dtype == np.uint8
    assert values.shape[-1] == 3
    return values


def pattern(name: str) -> np.ndarray:
    return colours(PATTERN / f"TestPattern_{name}.dcm")


def test_the_uncompressed_pattern_is_what_its_bytes_say():
    content = pydicom.dcmread(PATTERN / "TestPattern_RGB.dcm").PixelData
    assert pattern("RGB").tobytes() == content[: 400 * 640 * 3]


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_codings_of_the_pattern_are_the_pattern(name):
    assert np.array_equal(pattern(name), pattern("RGB"))


@pytest.mark.parametrize(
    ("name", "mean"),
    [("JPEG-LS-NearLossless", 1.5), ("JPEG-Baseline_YBR422", 4.0), ("JPEG-Baseline_YBRFull", 4.0)],
)
def test_lossy_codings_of_the_pattern_look_like_it(name, mean):
    """Red and blue would be tens of levels apart if they were swapped, or taken for chrominance."""
    assert np.abs(pattern(name).astype(int) - pattern("RGB")).mean() < mean


@pytest.mark.parametrize("name", PALETTES)
def test_palettes_of_the_pattern_look_like_it(name):
    """A palette has at most 256 of its colours."""
    assert np.abs(pattern(name).astype(int) - pattern("RGB")).mean() < 20


def ultrasound() -> list[Path]:
    if not PATTERN.is_dir():
        return []
    found, _ = series_from_files(path for group in ULTRASOUND for path in (SHARED / group).iterdir())
    return [each.path for series in found for each in series.instances if text(each, "Modality") == "US"]


@pytest.mark.parametrize("path", ultrasound(), ids=lambda path: path.parent.name)
def test_ultrasound_has_the_colours_that_another_decoder_sees(path, monkeypatch):
    first = colours(path)
    seconds = {syntax: names[1:] for syntax, names in decoding.DECODERS.items() if len(names) > 1}
    monkeypatch.setattr(decoding, "DECODERS", {**decoding.DECODERS, **seconds})
    assert np.abs(first.astype(int) - colours(path)).max() <= 2  # one level of the inverse transform, in YBR
    assert first.max() > 200
