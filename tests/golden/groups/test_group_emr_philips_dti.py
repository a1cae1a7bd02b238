"""Enhanced MR: four volumes of eight positions in one object."""

from __future__ import annotations

from real_groups import real


def test_emr_philips_dti():
    series = real("emr_philips_dti")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(128, 128, 8): 4}
    assert {"SPL-001"} <= series.codes
    assert not series.codes & {"SPL-002", "SPL-003", "SPL-006"}
