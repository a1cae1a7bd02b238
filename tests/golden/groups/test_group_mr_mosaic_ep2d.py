"""Three mosaics of 36 slices of 64 x 64, one for each time point."""

from __future__ import annotations

from real_groups import real


def test_mr_mosaic_ep2d():
    series = real("mr_mosaic_ep2d")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(64, 64, 36): 3}
    assert {"SPL-001", "SPL-007"} <= series.codes
    assert not series.codes & {"SPL-003", "GEO-005", "SPL-006"}
