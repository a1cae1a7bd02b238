"""Four enhanced objects of six frames, one for each time point."""

from __future__ import annotations

from real_groups import real


def test_emr_siemens_xa10_multi():
    series = real("emr_siemens_xa10_multi")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(64, 64, 6): 4}
    assert {"SPL-001"} <= series.codes
    assert not series.codes & {"SPL-003", "SPL-009"}
