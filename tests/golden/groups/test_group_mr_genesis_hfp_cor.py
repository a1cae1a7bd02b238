"""Coronal, the patient prone; eight slices, four instance numbers left out."""

from __future__ import annotations

from real_groups import real


def test_mr_genesis_hfp_cor():
    series = real("mr_genesis_HFP_cor")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(256, 8, 256): 1}
    assert {"GEO-018", "GEO-015", "NRM-ORI-001"} <= series.codes
    assert not series.codes & {"GEO-005", "GEO-006", "SPL-003", "TRI-LOC-001", "TRI-SC-001", "LOS-001"}
