"""A radiotherapy plan is no image."""

from __future__ import annotations

from real_groups import real


def test_rt_objects():
    series = real("rt_objects")
    assert series.verdict == "REJECT"
    assert series.shapes == {}
    assert {"TRI-OBJ-001"} <= series.codes
