"""Two dynamics of 35 oblique slices, told apart by TemporalPositionIdentifier; a real-world value map, no RescaleSlope."""

from __future__ import annotations

from real_groups import real


def test_mr_philips_fmri_temporal():
    series = real("mr_philips_fmri_temporal")
    assert series.verdict == "ACCEPT"
    assert series.shapes == {(80, 80, 35): 2}
    assert {"SPL-001", "GEO-020", "MRS-001", "RSC-002"} <= series.codes
    assert not series.codes & {"SPL-002", "SPL-003"}
