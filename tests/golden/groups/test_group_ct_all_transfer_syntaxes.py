"""One slice in fifteen transfer syntaxes, lossless and lossy, under few UIDs."""

from __future__ import annotations

from real_groups import real


def test_ct_all_transfer_syntaxes():
    series = real("ct_all_transfer_syntaxes")
    assert series.verdict == "QUARANTINE"
    assert series.shapes == {(512, 512, 2): 1}
    assert {"ING-002", "LOS-001", "HU-007"} <= series.codes
    assert not series.codes & {"TRI-LOC-001"}
