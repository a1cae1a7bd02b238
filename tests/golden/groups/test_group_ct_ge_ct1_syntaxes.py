"""One slice as big endian, implicit and JPEG-LS, under one UID."""

from __future__ import annotations

from real_groups import real


def test_ct_ge_ct1_syntaxes():
    series = real("ct_ge_ct1_syntaxes")
    assert series.verdict == "QUARANTINE"
    assert series.shapes == {(512, 512, 1): 1}
    assert {"ING-002", "KER-001"} <= series.codes
    assert not series.codes & {"LOS-001"}
