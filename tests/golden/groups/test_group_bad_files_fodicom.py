"""Malformed files: a codestream that is none, mixed encodings, private classes."""

from __future__ import annotations

from real_groups import group_of


def test_bad_files_fodicom():
    judged, unread = group_of("bad_files_fodicom")
    assert len(unread) >= 4
    damaged = [each for each in judged.values() if "ING-004" in each.codes]
    assert {each.verdict for each in damaged} == {"REJECT"}
