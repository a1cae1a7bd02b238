"""Deflated data sets: a report, a waveform and a secondary capture."""

from __future__ import annotations

from real_groups import group_of


def test_deflated_nonimage():
    judged, _ = group_of("deflated_nonimage")
    assert {each.verdict for each in judged.values()} == {"REJECT"}
    assert sorted("TRI-SC-001" in each.codes for each in judged.values()) == [False, False, True]
    assert sorted("TRI-OBJ-001" in each.codes for each in judged.values()) == [False, True, True]
    assert not any("ING-001" in each.codes for each in judged.values())
