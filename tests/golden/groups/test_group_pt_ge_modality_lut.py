"""Two PET slices: a slope of 5.9e-8 is no mistake."""

from __future__ import annotations

from real_groups import group_of


def test_pt_ge_modality_lut():
    judged, _ = group_of("pt_ge_modality_lut")
    assert {each.verdict for each in judged.values()} == {"ACCEPT_WARN"}
    assert all(each.shapes == {(128, 128, 1): 1} for each in judged.values())
    assert not any({"RSC-003", "HU-001", "LOS-001"} & each.codes for each in judged.values())
