"""The header claims 3 GB of pixels, the file has a few bytes: nothing is allocated."""

from __future__ import annotations

from real_groups import group_of


def test_bad_truncated_3gb():
    judged, _ = group_of("bad_truncated_3gb")
    (series,) = judged.values()
    assert series.verdict == "REJECT"
    assert {"PIX-001", "ING-013"} <= series.codes
