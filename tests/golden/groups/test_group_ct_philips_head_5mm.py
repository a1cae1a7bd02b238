"""Twelve contiguous slices of a head, 5 mm apart, kernel UB; file names out of order, eight instance numbers left out."""

from __future__ import annotations

import pytest

from real_groups import real


def test_ct_philips_head_5mm():
    series = real("ct_philips_head_5mm")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(512, 512, 12): 1}
    assert {"KER-001", "KER-003", "GEO-015", "GEO-019"} <= series.codes
    assert not series.codes & {
        "GEO-005",
        "GEO-006",
        "SPL-003",
        "TRI-LOC-001",
        "TRI-SC-001",
        "LOS-001",
        "GEO-008",
    }
    assert series.volume["spacing_mm"][2] == pytest.approx(5.0, rel=1e-3)
    assert series.volume["units"] == "[hnsf'U]"
