"""Whatever a header says: the handler ends, with a verdict and documented codes (B14)."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import pytest
from mutations import mutate
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

import data
import tiled_images
from handlers.api import Recipe
from handlers.findings import CODES
from handlers.model import Severity, Verdict
from handlers.preprocess import preprocess
from handlers.reading import series_from_files

SLOWEST_S = 30.0  # of one series: CharLS needs seconds for some damaged JPEG-LS frames of 64 x 64 pixels
FAILURES = frozenset({"TRI-ERR-001", "OUT-005"})  # a rule, a writer that failed
UNEXPECTED = "an unexpected error stopped the processing"
RECIPES = (
    Recipe(),
    Recipe(spacing_mm=(1.0, 1.0, 1.0), fill_missing=True, resample_variable=True, release=True),
    Recipe(
        intensity="zscore", suv="bw", mr_values="quantitative", derived_dicom=True, soften_kernel="smooth"
    ),
)


def compressed(syntax: str) -> bytes:
    (dataset,) = data.ct_series(slices=1, rows=64, columns=64)
    dataset.compress(syntax, generate_instance_uid=False)
    return data.file_bytes(dataset)


def seeds() -> list[bytes]:
    """Small objects of every kind that has rules of its own; nothing of a patient is in them."""
    small = {"rows": 8, "columns": 8}
    found = [data.file_bytes(each) for each in data.ct_series(slices=3, tilt_deg=10.0, **small)]
    found += [data.file_bytes(each) for each in data.mr_series(slices=2, **small)]
    found.append(data.file_bytes(data.enhanced_ct(slices=3, **small)))
    found.append(data.file_bytes(data.projection("MG", **small)))
    found.append(data.file_bytes(data.projection("DX", photometric="MONOCHROME1", **small)))
    found.append(data.file_bytes(tiled_images.mosaic(tiled_images.slices(4))))
    found.append(data.file_bytes(tiled_images.grid(tiled_images.slices(4))))
    found += [compressed(syntax) for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless)]
    return found


def judged(content: bytes, folder: Path, number: int) -> None:
    """Process one file as a series; fail on what is no documented answer."""
    path = folder / f"{number}.dcm"
    path.write_bytes(content)
    started = time.monotonic()
    found, unreadable = series_from_files([path])
    assert len(found) + len(unreadable) == 1
    for series in found:
        outcome = preprocess(series, folder / "out", RECIPES[number % len(RECIPES)])
        assert {finding.code for finding in outcome.findings} <= set(CODES)
        failed = [
            finding
            for finding in outcome.findings
            if finding.code in FAILURES or finding.message.startswith(UNEXPECTED)
        ]
        assert failed == []
        if max((finding.severity for finding in outcome.findings), default=Severity.INFO) is Severity.ERROR:
            assert outcome.verdict is not Verdict.ACCEPT
    assert time.monotonic() - started < SLOWEST_S
    path.unlink()


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.soak)])
def test_mutated_objects_end_with_documented_codes(tmp_path: Path, count: int) -> None:
    population, random = seeds(), Random(14)
    for number in range(count):
        content = mutate(random.choice(population), population, random)
        try:
            judged(content, tmp_path, number)
        except BaseException:
            (tmp_path / "failed.bin").write_bytes(content)
            raise
