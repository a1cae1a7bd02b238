"""Append to the history: every change of a series is an event, written in the transaction of the change."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from node.registry.schema import Event


def record(
    connection: Connection,
    name: str,
    at: datetime,
    *,
    series_uid: str | None = None,
    revision: int | None = None,
    **details: Any,
) -> None:
    """Append one event; `details` are JSON-able and hold nothing that names a patient."""
    connection.execute(
        insert(Event).values(
            at=at, name=name, SeriesInstanceUID=series_uid, revision=revision, details=details
        )
    )
