"""Columns run to the right and rows to the front; seventeen slices of 88 x 128, without RescaleType."""

from __future__ import annotations

from real_groups import real


def test_ct_torchio_ras():
    series = real("ct_torchio_ras")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(88, 128, 17): 1}
    assert {"NRM-ORI-001", "KER-002"} <= series.codes
    assert not series.codes & {
        "GEO-005",
        "GEO-006",
        "SPL-003",
        "TRI-LOC-001",
        "TRI-SC-001",
        "LOS-001",
        "TRI-DER-006",
    }
    assert series.volume["orientation"] == "LPS"
