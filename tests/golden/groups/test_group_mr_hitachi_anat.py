"""Four sagittal slices of a Hitachi scanner."""

from __future__ import annotations

from real_groups import real


def test_mr_hitachi_anat():
    series = real("mr_hitachi_anat")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(4, 64, 64): 1}
    assert {"TRI-DER-006"} <= series.codes
    assert not series.codes & {"GEO-005", "GEO-006", "SPL-003", "TRI-LOC-001", "TRI-SC-001", "LOS-001"}
