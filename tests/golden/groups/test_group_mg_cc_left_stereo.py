"""A small stereotactic field of the left breast: no screening view."""

from __future__ import annotations

from real_groups import real


def test_mg_cc_left_stereo():
    series = real("mg_cc_left_stereo")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(1318, 788, 1): 1}
    assert {"MAM-006"} <= series.codes
    assert not series.codes & {"LOS-001", "MAM-001"}
