"""Ultrasound as palette, big endian and RLE, beside a secondary capture."""

from __future__ import annotations

from real_groups import group_of


def test_us_misc():
    judged, _ = group_of("us_misc")
    accepted = [each for each in judged.values() if each.verdict.startswith("ACCEPT")]
    assert len(accepted) == 3
    assert all("USX-001" in each.codes for each in accepted)
    (refused,) = [each for each in judged.values() if each.verdict == "REJECT"]
    assert "TRI-SC-001" in refused.codes
