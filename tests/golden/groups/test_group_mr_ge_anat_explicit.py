"""Four sagittal slices in explicit VR; the implicit ones lie at the same place."""

from __future__ import annotations

from real_groups import real


def test_mr_ge_anat_explicit():
    series = real("mr_ge_anat_explicit")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(4, 256, 256): 1}
    assert {"TRI-DER-006"} <= series.codes
    assert not series.codes & {"GEO-005", "GEO-006", "SPL-003", "TRI-LOC-001", "TRI-SC-001", "LOS-001"}
    other = real("mr_ge_anat_implicit").volume
    for fact in ("affine_ras", "spacing_mm", "orientation", "units"):
        assert series.volume[fact] == other[fact]
