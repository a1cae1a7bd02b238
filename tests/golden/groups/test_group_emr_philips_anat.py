"""Enhanced MR of eight sagittal frames, with a rescale slope of 4.2589 for each frame."""

from __future__ import annotations

from real_groups import real


def test_emr_philips_anat():
    series = real("emr_philips_anat")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(8, 256, 256): 1}
    assert {"MRS-001", "NRM-ORI-001"} <= series.codes
    assert not series.codes & {
        "GEO-005",
        "GEO-006",
        "SPL-003",
        "TRI-LOC-001",
        "TRI-SC-001",
        "LOS-001",
        "RSC-002",
    }
