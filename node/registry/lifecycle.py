"""Move one series on its way: complete, start, finish, fail, put back; each with its event.

A job names the revision that it works on. When the series has gone on to a later one, what
the job reports is noted, but it changes nothing: these functions return False then.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from node.errors import IllegalMoveError, RegistryError
from node.registry.history import record
from node.registry.registering import UNJUDGED
from node.registry.schema import Series
from node.registry.states import ENDS, OPENS_A_REVISION, SeriesState, move


def load(connection: Connection, series_uid: str) -> Row[Any]:
    """Read a series and keep others from changing it until the transaction ends.

    Raises:
        RegistryError: there is no such series.
    """
    row = connection.execute(
        select(Series.__table__).where(Series.SeriesInstanceUID == series_uid).with_for_update()
    ).one_or_none()
    if row is None:
        raise RegistryError(f"no series {series_uid} in the registry; `prepnode series list` shows all")
    return row


def advance(connection: Connection, row: Row[Any], target: SeriesState, now: datetime, **values: Any) -> int:
    """Move a loaded series to `target` and set `values`; return its revision afterwards.

    Raises:
        IllegalMoveError: it cannot go there from where it is.
    """
    source = SeriesState(row.state)
    try:
        values["state"] = move(source, target)
    except IllegalMoveError as error:
        raise IllegalMoveError(f"{row.SeriesInstanceUID}: {error}") from None
    revision = int(row.revision)
    if (source, target) in OPENS_A_REVISION:
        revision += 1
        values = {**UNJUDGED, "released": row.released, "completed_at": now, "revision": revision, **values}
    connection.execute(
        update(Series).where(Series.SeriesInstanceUID == row.SeriesInstanceUID).values(due_at=None, **values)
    )
    return revision


def complete(
    connection: Connection, series_uid: str, reason: str, evidence: Mapping[str, Any], now: datetime
) -> int:
    """Take a series as complete, for a reason; return the revision that may be processed now.

    Raises:
        RegistryError: there is no such series, or it is not RECEIVING (IllegalMoveError).
    """
    row = load(connection, series_uid)
    if row.state != SeriesState.RECEIVING:
        raise IllegalMoveError(f"{series_uid}: is {row.state}; only a RECEIVING series can become complete")
    revision = advance(
        connection,
        row,
        SeriesState.COMPLETE,
        now,
        reason=reason,
        evidence=dict(evidence),
        completed_at=now,
    )
    record(connection, "series.complete", now, series_uid=series_uid, revision=revision, reason=reason)
    return revision


def start(
    connection: Connection, series_uid: str, revision: int, now: datetime, *, profile: str | None
) -> bool:
    """Say whether a job for this revision is to be done, and note that it is.

    True also when it was started before and did not come to its end.
    """
    row = load(connection, series_uid)
    if row.revision != revision or row.state in ENDS:
        return False
    values = {} if profile is None else {"profile": profile}
    if row.state == SeriesState.PROCESSING:
        connection.execute(
            update(Series).where(Series.SeriesInstanceUID == series_uid).values(error=None, **values)
        )
    else:
        advance(connection, row, SeriesState.PROCESSING, now, error=None, **values)
    record(connection, "series.processing", now, series_uid=series_uid, revision=revision, **values)
    return True


def fail(connection: Connection, series_uid: str, revision: int, error: str, now: datetime) -> bool:
    """Note that processing this revision failed for good; `error` says what a person has to mend."""
    row = load(connection, series_uid)
    if not is_current(row, revision):
        record(connection, "series.stale", now, series_uid=series_uid, revision=revision, error=error)
        return False
    advance(connection, row, SeriesState.FAILED, now, error=error, processed_at=now)
    record(connection, "series.failed", now, series_uid=series_uid, revision=revision, error=error)
    return True


def requeue(connection: Connection, series_uid: str, revision: int, now: datetime) -> bool:
    """Put a series whose job was lost back to COMPLETE, so that it is submitted again."""
    row = load(connection, series_uid)
    if not is_current(row, revision):
        return False
    advance(connection, row, SeriesState.COMPLETE, now)
    record(connection, "series.requeued", now, series_uid=series_uid, revision=revision)
    return True


def is_current(row: Row[Any], revision: int) -> bool:
    """Say whether a loaded series is being processed at this revision."""
    return bool(row.revision == revision and row.state == SeriesState.PROCESSING)
