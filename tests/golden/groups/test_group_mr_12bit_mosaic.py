"""Three files of one SOPInstanceUID that hold different bits: one is used, and a person has to look."""

from __future__ import annotations

from real_groups import real


def test_mr_12bit_mosaic():
    series = real("mr_12bit_mosaic")
    assert series.verdict == "QUARANTINE"
    assert series.shapes == {(64, 64, 35): 1}
    assert {"ING-002", "SPL-007"} <= series.codes
    assert not series.codes & {"SPL-003"}
