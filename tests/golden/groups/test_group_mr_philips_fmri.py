"""Two positions at four times, without a temporal position."""

from __future__ import annotations

from real_groups import real


def test_mr_philips_fmri():
    series = real("mr_philips_fmri")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(80, 80, 2): 4}
    assert {"SPL-001", "SPL-002"} <= series.codes
    assert not series.codes & {"SPL-003"}
