"""Enhanced MR with pixels of 1.59 x 1.61 mm, 138 rows and 112 columns."""

from __future__ import annotations

from real_groups import real


def test_emr_hyperfine():
    series = real("emr_hyperfine")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(112, 138, 8): 1}
    assert {"GEO-014"} <= series.codes
    assert not series.codes & {"GEO-005", "GEO-006", "SPL-003", "TRI-LOC-001", "TRI-SC-001", "LOS-001"}
