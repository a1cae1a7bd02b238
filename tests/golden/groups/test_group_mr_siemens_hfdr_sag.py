"""Sagittal, the patient on the right side; slices of 4 mm every 4.8 mm, numbered against the normal."""

from __future__ import annotations

import pytest

from real_groups import real


def test_mr_siemens_hfdr_sag():
    series = real("mr_siemens_HFDR_sag")
    assert series.verdict == "ACCEPT"
    assert series.shapes == {(10, 256, 256): 1}
    assert {"GEO-012", "GEO-018", "NRM-ORI-001"} <= series.codes
    assert not series.codes & {
        "GEO-005",
        "GEO-006",
        "SPL-003",
        "TRI-LOC-001",
        "TRI-SC-001",
        "LOS-001",
        "GEO-016",
        "GEO-017",
    }
    assert series.volume["spacing_mm"][0] == pytest.approx(4.8, rel=1e-3)
