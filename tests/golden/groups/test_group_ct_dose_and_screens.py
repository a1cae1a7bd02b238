"""Screens and dose reports with Modality CT; some hold no pixels."""

from __future__ import annotations

from real_groups import group_of


def test_ct_dose_and_screens():
    judged, _ = group_of("ct_dose_and_screens")
    assert len(judged) == 2
    assert {each.verdict for each in judged.values()} == {"REJECT"}
    assert not any(each.shapes for each in judged.values())
