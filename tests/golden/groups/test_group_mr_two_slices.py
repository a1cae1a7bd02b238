"""Two sagittal slices: a volume, but too thin for three-dimensional work."""

from __future__ import annotations

from real_groups import real


def test_mr_two_slices():
    series = real("mr_two_slices")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(2, 256, 256): 1}
    assert {"TRI-DER-006", "NRM-ORI-001"} <= series.codes
    assert not series.codes & {"GEO-005", "GEO-006", "SPL-003", "TRI-LOC-001", "TRI-SC-001", "LOS-001"}
