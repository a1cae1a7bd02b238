"""Gantry tilt of 18.5 degrees: ten slices 2.3708 mm apart along the normal, not 2.5 as the tag says."""

from __future__ import annotations

import math

import pytest

from real_groups import real


def test_ct_philips_tilt_18_5():
    series = real("ct_philips_tilt_-18.5")
    assert series.verdict == "ACCEPT_WARN"
    rows = 512 + math.ceil(9 * 2.3708 * math.tan(math.radians(18.5)) / 0.482421875)  # the upright box
    assert series.shapes == {(512, rows, 10): 1}
    assert {"GEO-008", "GEO-011", "NRM-TLT-001"} <= series.codes
    assert not series.codes & {"GEO-005", "GEO-006", "SPL-003", "TRI-LOC-001", "TRI-SC-001", "LOS-001"}
    assert series.volume["spacing_mm"][2] == pytest.approx(2.3708, abs=1e-3)
    assert series.volume["shear_deg"] == pytest.approx(18.5, abs=0.05)
