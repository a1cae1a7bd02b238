"""Fifteen positions at three times, and nothing but numbers to tell the times apart; slices of 3 mm every 5 mm."""

from __future__ import annotations

from real_groups import real


def test_mr_ge_fmri_4d():
    series = real("mr_ge_fmri_4d")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(64, 64, 15): 3}
    assert {"SPL-001", "SPL-002", "GEO-012"} <= series.codes
    assert not series.codes & {"SPL-003", "SPL-006"}
