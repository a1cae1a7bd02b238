"""Tables, palettes, segmentations, floats and parametric maps."""

from __future__ import annotations

from real_groups import group_of


def test_pydicom_data_big():
    judged, _ = group_of("pydicom_data_big")
    assert not any({"TRI-ERR-001", "NRM-ERR-001"} & each.codes for each in judged.values())
    segmentations = [each for each in judged.values() if "SEG" in each.modalities]
    assert segmentations
    assert {each.verdict for each in segmentations} == {"REJECT"}
