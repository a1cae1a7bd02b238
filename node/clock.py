"""The wall clock, as the node writes it down."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the time as the registry keeps it: UTC without zone."""
    return datetime.now(UTC).replace(tzinfo=None)
