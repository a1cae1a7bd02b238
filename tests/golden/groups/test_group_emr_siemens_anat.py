"""Enhanced MR of eight frames."""

from __future__ import annotations

from real_groups import real


def test_emr_siemens_anat():
    series = real("emr_siemens_anat")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(256, 256, 8): 1}
    assert {"TRI-DER-006"} <= series.codes
    assert not series.codes & {"GEO-005", "GEO-006", "SPL-003", "TRI-LOC-001", "TRI-SC-001", "LOS-001"}
