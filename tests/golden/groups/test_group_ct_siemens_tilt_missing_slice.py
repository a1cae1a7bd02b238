"""Tilted, and one slice is missing: a gap of 1.5 mm among gaps of 0.75 mm."""

from __future__ import annotations

from real_groups import real


def test_ct_siemens_tilt_missing_slice():
    series = real("ct_siemens_tilt_missing_slice")
    assert series.verdict == "QUARANTINE"
    assert series.shapes == {(512, 512, 4): 1}
    assert {"GEO-005", "GEO-008"} <= series.codes
    assert not series.codes & {"GEO-006", "NRM-TLT-001"}
    assert series.volume["missing_slices"] == 1
