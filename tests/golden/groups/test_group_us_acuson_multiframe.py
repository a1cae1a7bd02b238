"""A colour Doppler loop of eight frames, JPEG baseline without an offset table."""

from __future__ import annotations

from real_groups import real


def test_us_acuson_multiframe():
    series = real("us_acuson_multiframe")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(320, 240, 8): 1}
    assert {"LOS-001", "USX-001"} <= series.codes
    assert not series.codes & {"USX-002", "PIX-006"}
