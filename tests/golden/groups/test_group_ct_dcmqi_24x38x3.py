"""A classic CT of 24 x 38 x 3, the same picture as its legacy-converted twin."""

from __future__ import annotations

from real_groups import real


def test_ct_dcmqi_24x38x3():
    series = real("ct_dcmqi_24x38x3")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(24, 38, 3): 1}
    assert {"TRI-DER-006"} <= series.codes
    assert not series.codes & {"GEO-005", "GEO-006", "SPL-003", "TRI-LOC-001", "TRI-SC-001", "LOS-001"}
