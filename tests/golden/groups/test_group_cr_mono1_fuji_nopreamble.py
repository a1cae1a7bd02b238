"""MONOCHROME1 without preamble and file meta information."""

from __future__ import annotations

from real_groups import real


def test_cr_mono1_fuji_nopreamble():
    series = real("cr_mono1_fuji_nopreamble")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(440, 440, 1): 1}
    assert {"POL-001"} <= series.codes
    assert not series.codes & {"POL-003", "ING-001"}
    assert series.volume["polarity_inverted"]
