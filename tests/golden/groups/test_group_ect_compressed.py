"""The same map in three transfer syntaxes under one UID, lossy ones among them."""

from __future__ import annotations

from real_groups import real


def test_ect_compressed():
    series = real("ect_compressed")
    assert series.verdict == "QUARANTINE"
    assert series.shapes == {(512, 512, 6): 1}
    assert {"ING-002", "LOS-001", "SPL-003"} <= series.codes
    assert not series.codes & {"GEO-005"}
