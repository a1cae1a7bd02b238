"""Four sagittal slices in RLE; the same values in all four lossless codings."""

from __future__ import annotations

from real_groups import real


def test_mr_generic_rle():
    series = real("mr_generic_rle")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(4, 256, 256): 1}
    assert {"TRI-DER-006", "NRM-ORI-001"} <= series.codes
    assert not series.codes & {"GEO-005", "GEO-006", "SPL-003", "TRI-LOC-001", "TRI-SC-001", "LOS-001"}
    twins = [real(f"mr_generic_{each}").volume["statistics"] for each in ("j2k", "jpeg", "jpegls", "rle")]
    assert all(each == twins[0] for each in twins)
