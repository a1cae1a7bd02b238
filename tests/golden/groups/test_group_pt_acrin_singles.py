"""Two PET slices in Bq/ml, signed, with slopes of 9.12 and 46.26."""

from __future__ import annotations

from real_groups import group_of


def test_pt_acrin_singles():
    judged, _ = group_of("pt_acrin_singles")
    assert {each.volume["units"] for each in judged.values()} == {"Bq/ml"}
    assert all(each.shapes == {(168, 168, 1): 1} for each in judged.values())
    assert {each.verdict for each in judged.values()} == {"ACCEPT_WARN"}
    assert not any("PET-001" in each.codes for each in judged.values())
