"""Twelve bits packed, and no UID: belongs to no series."""

from __future__ import annotations

from real_groups import group_of


def test_bits_packed_12():
    judged, unread = group_of("bits_packed_12")
    assert judged == {}
    assert all("UID" in reason for reason in unread.values())
    assert len(unread) == 1
