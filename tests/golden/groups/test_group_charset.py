"""Names in fifteen character sets, in tiny secondary captures and directories: all are read, none is an image."""

from __future__ import annotations

from real_groups import group_of


def test_charset():
    judged, unread = group_of("charset")
    assert all("no SOPInstanceUID" in reason for reason in unread.values())
    assert len(judged) + len(unread) == 15
    assert {each.verdict for each in judged.values()} == {"REJECT"}
    assert not any("ING-001" in each.codes for each in judged.values())
