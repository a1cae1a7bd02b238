"""A nuclear medicine reconstruction of 13 frames: a picture for each, no claim of a place."""

from __future__ import annotations

from real_groups import real


def test_nm_multiframe():
    series = real("nm_multiframe")
    assert series.verdict == "ACCEPT"
    assert series.shapes == {(64, 64, 13): 1}
    assert not series.codes & {"GEO-001", "SPL-003", "LOS-001"}
