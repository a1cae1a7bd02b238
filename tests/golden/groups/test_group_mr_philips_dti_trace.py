"""Diffusion: two positions of four weightings, told apart by b-value and direction."""

from __future__ import annotations

from real_groups import real


def test_mr_philips_dti_trace():
    series = real("mr_philips_dti_trace")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(128, 128, 2): 4}
    assert {"SPL-001"} <= series.codes
    assert not series.codes & {"SPL-002", "SPL-003"}
