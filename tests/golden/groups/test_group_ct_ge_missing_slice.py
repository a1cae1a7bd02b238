"""Gaps of 5, 5 and 10 mm: one slice is missing."""

from __future__ import annotations

from real_groups import real


def test_ct_ge_missing_slice():
    series = real("ct_ge_missing_slice")
    assert series.verdict == "QUARANTINE"
    assert series.shapes == {(512, 512, 4): 1}
    assert {"GEO-005"} <= series.codes
    assert not series.codes & {"GEO-006", "GEO-008", "NRM-GAP-001"}
