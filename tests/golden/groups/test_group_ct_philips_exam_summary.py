"""Screens with patient information and dose, saved as secondary captures of three sizes, BurnedInAnnotation YES."""

from __future__ import annotations

from real_groups import real


def test_ct_philips_exam_summary():
    series = real("ct_philips_exam_summary")
    assert series.verdict == "REJECT"
    assert series.shapes == {(512, 256, 1): 1, (650, 512, 1): 1, (650, 741, 1): 1}
    assert {"TRI-SC-001", "DEI-BIA-001"} <= series.codes
    assert not series.codes & {"KER-001", "CON-002"}
