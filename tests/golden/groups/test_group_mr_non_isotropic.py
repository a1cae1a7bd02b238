"""Pixels that are no squares, a slope for each slice, and an image type that says reformatted."""

from __future__ import annotations

from real_groups import real


def test_mr_non_isotropic():
    series = real("mr_non_isotropic")
    assert series.verdict == "QUARANTINE"
    assert series.shapes == {(64, 28, 4): 1}
    assert {"GEO-014", "MRS-002", "TRI-DER-002"} <= series.codes
    assert not series.codes & {"GEO-005", "SPL-003"}
