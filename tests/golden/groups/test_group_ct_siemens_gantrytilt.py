"""A tilt of 14 degrees that is in the positions only: no tag says so. Four slices."""

from __future__ import annotations

import math

import pytest

from real_groups import real


def test_ct_siemens_gantrytilt():
    series = real("ct_siemens_gantrytilt")
    assert series.verdict == "ACCEPT_WARN"
    rows = 512 + math.ceil(3 * 4.8515 * math.tan(math.radians(14)) / 0.41796875)  # the upright box
    assert series.shapes == {(512, rows, 4): 1}
    assert {"GEO-008", "NRM-TLT-001", "KER-002", "TRI-DER-006"} <= series.codes
    assert not series.codes & {
        "GEO-005",
        "GEO-006",
        "SPL-003",
        "TRI-LOC-001",
        "TRI-SC-001",
        "LOS-001",
        "GEO-009",
    }
    assert series.volume["shear_deg"] == pytest.approx(14, abs=0.5)
