"""CT smoothed to a softer kernel: variances add up, nothing is sharpened, the unknown is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import data
from handlers.api import Recipe
from handlers.errors import VolumeError
from handlers.model import Verdict
from handlers.normalization.pipeline import to_modality_units
from handlers.normalization.softening import SoftenKernel
from handlers.preprocess import preprocess
from handlers.reading import series_from_files
from handlers.tables import table
from handmade import built

SPREAD = table("kernels")["point_spread"]["variance_mm2"]
SPACING = (0.4, 0.5)  # mm between rows, between columns
AT = 40


def point(tmp_path):
    """Return a volume of one bright voxel in each slice, float32."""
    volume = to_modality_units(
        built(data.ct_series(slices=3, rows=80, columns=80, spacing=SPACING), tmp_path)
    )
    values = np.zeros(volume.values.shape, np.float32)
    values[:, AT, AT] = 1000.0
    return replace(volume, values=values, padding=None)


def variance_mm2(profile: np.ndarray, spacing: float) -> float:
    places = (np.arange(len(profile)) - AT) * spacing
    return float((profile * places**2).sum() / profile.sum())


@pytest.mark.parametrize(
    ("present", "wanted"), [("sharp", "medium"), ("sharp", "smooth"), ("medium", "smooth")]
)
def test_a_point_spreads_by_the_difference_of_the_variances(tmp_path, present, wanted):
    volume = point(tmp_path)
    softened = SoftenKernel(wanted, present)(volume)
    expected = SPREAD[wanted] - SPREAD[present]
    for slice_ in softened.values:
        assert slice_.sum() == pytest.approx(1000.0, rel=1e-4)
        assert variance_mm2(slice_.sum(axis=1), SPACING[0]) == pytest.approx(expected, rel=1e-3)
        assert variance_mm2(slice_.sum(axis=0), SPACING[1]) == pytest.approx(expected, rel=1e-3)
    assert [finding.code for finding in softened.findings if finding not in volume.findings] == [
        "NRM-KER-001"
    ]
    assert softened.steps[-1].parameters == {
        "from": present,
        "to": wanted,
        "variance_mm2": round(expected, 6),
    }


@pytest.mark.parametrize(
    ("present", "wanted"), [("smooth", "medium"), ("smooth", "smooth"), ("medium", "medium")]
)
def test_nothing_is_sharpened(tmp_path, present, wanted):
    volume = point(tmp_path)
    softened = SoftenKernel(wanted, present)(volume)
    assert softened is volume
    assert "NRM-KER-001" not in {finding.code for finding in softened.findings}


@pytest.mark.parametrize("present", ["unknown", ""])
def test_an_unknown_kernel_is_refused(tmp_path, present):
    with pytest.raises(VolumeError, match="kernel class of volume v0 is not known") as caught:
        SoftenKernel("smooth", present)(point(tmp_path))
    assert caught.value.code == "KER-003"


def test_padding_takes_no_part(tmp_path):
    volume = point(tmp_path)
    padding = np.zeros(volume.values.shape, bool)
    padding[:, :, :AT] = True
    values = np.where(padding, np.float32(-1024), np.float32(50))
    softened = SoftenKernel("smooth", "sharp")(replace(volume, values=values, padding=padding))
    assert np.allclose(softened.values[~padding], 50, atol=1e-3)
    assert np.all(softened.values[padding] == -1024)


@pytest.mark.parametrize(
    ("kernel", "verdict", "is_derived"),
    [
        ("B70f", Verdict.ACCEPT_WARN, True),
        ("B30f", Verdict.ACCEPT_WARN, False),
        ("XYZ", Verdict.QUARANTINE, None),
    ],
)
def test_a_profile_asks_for_it(tmp_path, kernel, verdict, is_derived):
    data.write(data.ct_series(slices=12, kernel=kernel), tmp_path / "in")
    (series,), _ = series_from_files((tmp_path / "in").iterdir())
    outcome = preprocess(series, tmp_path / "out", Recipe(soften_kernel="smooth"))
    assert outcome.verdict is verdict
    codes = {finding.code for finding in outcome.findings}
    assert ("NRM-KER-001" in codes) is bool(is_derived)
    if is_derived is not None:
        node = json.loads((tmp_path / "out" / "v0.json").read_text())["node"]
        assert node["derived"] is is_derived
        assert node["kernel"]["raw"] == kernel
