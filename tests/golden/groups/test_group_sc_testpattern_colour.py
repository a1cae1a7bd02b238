"""A test pattern as secondary captures: nothing of a patient."""

from __future__ import annotations

from real_groups import real


def test_sc_testpattern_colour():
    series = real("sc_testpattern_colour")
    assert series.verdict == "REJECT"
    assert series.shapes == {(640, 400, 1): 8}
    assert {"TRI-SC-001"} <= series.codes
    assert not series.codes & {"PIX-006"}
