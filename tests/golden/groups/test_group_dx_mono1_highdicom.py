"""A DX image in MONOCHROME1."""

from __future__ import annotations

from real_groups import real


def test_dx_mono1_highdicom():
    series = real("dx_mono1_highdicom")
    assert series.verdict == "ACCEPT"
    assert series.shapes == {(211, 169, 1): 1}
    assert {"POL-001"} <= series.codes
    assert not series.codes & {"POL-003", "TRI-DER-001"}
    assert series.volume["polarity_inverted"]
