"""Four colour secondary captures that bear the geometry of an MR."""

from __future__ import annotations

from real_groups import real


def test_mr_rgb_series():
    series = real("mr_rgb_series")
    assert series.verdict == "REJECT"
    assert series.shapes == {(52, 77, 4): 1}
    assert {"TRI-SC-001"} <= series.codes
    assert not series.codes & {"RSC-002"}
