"""Malformed and hostile files: a huge matrix, deep nesting, a script as a name."""

from __future__ import annotations

from real_groups import group_of


def test_bad_files_orthanc():
    judged, _ = group_of("bad_files_orthanc")
    assert {each.verdict for each in judged.values()} <= {"REJECT", "QUARANTINE"}
    assert not any({"TRI-ERR-001", "NRM-ERR-001"} & each.codes for each in judged.values())
    assert any(each.shapes == {(46341, 46341, 1): 1} for each in judged.values())
