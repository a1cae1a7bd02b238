"""A scout: ImageType LOCALIZER, ScanOptions SURVIEW."""

from __future__ import annotations

from real_groups import real


def test_ct_philips_surview():
    series = real("ct_philips_surview")
    assert series.verdict == "REJECT"
    assert series.shapes == {(512, 256, 1): 1}
    assert {"TRI-LOC-001"} <= series.codes
    assert not series.codes & {"KER-001"}
