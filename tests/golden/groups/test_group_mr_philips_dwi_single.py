"""One slice of a diffusion series."""

from __future__ import annotations

from real_groups import real


def test_mr_philips_dwi_single():
    series = real("mr_philips_dwi_single")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(176, 176, 1): 1}
    assert {"TRI-DER-006"} <= series.codes
    assert not series.codes & {"GEO-005", "GEO-006", "SPL-003", "TRI-LOC-001", "TRI-SC-001", "LOS-001"}
