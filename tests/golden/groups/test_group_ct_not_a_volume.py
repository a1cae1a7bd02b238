"""Two images at one position, and nothing that tells them apart."""

from __future__ import annotations

from real_groups import real


def test_ct_not_a_volume():
    series = real("ct_not_a_volume")
    assert series.verdict == "REJECT"
    assert series.shapes == {(512, 512, 2): 1}
    assert {"SPL-003"} <= series.codes
    assert not series.codes & {"GEO-005", "NRM-RES-001"}
