"""A signed secondary capture."""

from __future__ import annotations

from real_groups import real


def test_signed_16_sc():
    series = real("signed_16_sc")
    assert series.verdict == "REJECT"
    assert series.shapes == {(512, 512, 1): 1}
    assert {"TRI-SC-001"} <= series.codes
    assert not series.codes & {"PIX-001"}
