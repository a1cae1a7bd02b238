"""64 frames: magnitude and phase at 32 positions."""

from __future__ import annotations

from real_groups import real


def test_emr_philips_b0():
    series = real("emr_philips_b0")
    assert series.verdict == "ACCEPT"
    assert series.shapes == {(64, 64, 32): 2}
    assert {"SPL-001", "MRS-003"} <= series.codes
    assert not series.codes & {"SPL-003", "SPL-002"}
