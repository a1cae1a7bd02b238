"""A palette image in RLE with text at its top, beside a report."""

from __future__ import annotations

from real_groups import real


def test_us_palette_no_spacing():
    series = real("us_palette_no_spacing", "0545.3.0")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(800, 600, 1): 1}
    assert {"USX-001", "DEI-BIA-002"} <= series.codes
    assert not series.codes & {"PIX-006", "LOS-001"}


def test_us_palette_no_spacing_report():
    assert real("us_palette_no_spacing", "61927.22").verdict == "REJECT"
