"""Two derived frames of a perfusion map (RCBF); the normal points to the feet."""

from __future__ import annotations

from real_groups import real


def test_ect_perfusion():
    series = real("ect_perfusion")
    assert series.verdict == "ACCEPT_WARN"
    assert series.shapes == {(512, 512, 2): 1}
    assert {"TRI-DER-001", "TRI-DER-004", "HU-008"} <= series.codes
    assert not series.codes & {"LOS-001", "SPL-003"}
