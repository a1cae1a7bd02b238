"""The same three slices as one legacy-converted enhanced object."""

from __future__ import annotations

from real_groups import real


def test_ct_dcmqi_legacy_enhanced():
    series, classic = real("ct_dcmqi_legacy_enhanced"), real("ct_dcmqi_24x38x3")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == classic.shapes
    for fact in ("affine_ras", "spacing_mm", "statistics", "units"):
        assert series.volume[fact] == classic.volume[fact]
