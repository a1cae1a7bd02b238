"""Uncompressed now, but lossy once; stored with halved chrominance."""

from __future__ import annotations

from real_groups import real


def test_us_esaote_ybr422():
    series = real("us_esaote_ybr422")
    assert series.verdict == "QUARANTINE"
    assert series.shapes == {(800, 555, 1): 1}
    assert {"LOS-001", "USX-001", "TRI-SC-002"} <= series.codes
    assert not series.codes & {"PIX-006"}
