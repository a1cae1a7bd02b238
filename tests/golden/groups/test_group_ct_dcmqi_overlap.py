"""Slices of 1.25 mm every millimetre; signed values, padding -2000."""

from __future__ import annotations

import pytest

from real_groups import real


def test_ct_dcmqi_overlap():
    series = real("ct_dcmqi_overlap")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(512, 512, 3): 1}
    assert {"GEO-012", "PAD-004", "KER-001"} <= series.codes
    assert not series.codes & {"GEO-005", "GEO-006", "SPL-003", "TRI-LOC-001", "TRI-SC-001", "LOS-001"}
    assert series.volume["spacing_mm"][2] == pytest.approx(1.0, rel=1e-3)
    assert series.volume["padding_voxels"] > 0
