"""Eight bits in sixteen, in lossless JPEG."""

from __future__ import annotations

from real_groups import real


def test_bits_mr_8in16():
    series = real("bits_mr_8in16")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(256, 1, 256): 1}
    assert {"PIX-004"} <= series.codes
    assert not series.codes & {"LOS-001", "PIX-001"}
