"""Two orientations in one series, two slices of each."""

from __future__ import annotations

from real_groups import real


def test_mr_mixed_orientation():
    series = real("mr_mixed_orientation")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(2, 288, 288): 1, (288, 288, 2): 1}
    assert {"SPL-001", "SPL-005"} <= series.codes
    assert not series.codes & {"SPL-003", "GEO-013"}
