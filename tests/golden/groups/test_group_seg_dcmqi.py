"""A segmentation is no image of the patient."""

from __future__ import annotations

from real_groups import real


def test_seg_dcmqi():
    series = real("seg_dcmqi")
    assert series.verdict == "REJECT"
    assert series.shapes == {(24, 38, 3): 1}
    assert {"TRI-OBJ-001"} <= series.codes
    assert not series.codes & {"CON-002"}
