"""A person's word on a series: complete, reprocess, release, reject."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from node.errors import IllegalMoveError
from node.registry.history import record
from node.registry.lifecycle import advance, complete, load
from node.registry.states import SeriesState

DONE = {"release": "released", "reject": "rejected"}
ACTIONS = ("complete", "reprocess", "release", "reject")


def act(connection: Connection, series_uid: str, action: str, who: str, now: datetime) -> SeriesState:
    """Do one of `ACTIONS`; return the state of the series afterwards.

    Raises:
        RegistryError: there is no such series.
        IllegalMoveError: the action makes no sense in the state that the series is in.
        ValueError: there is no such action.
    """
    if action not in ACTIONS:
        raise ValueError(f"no action {action!r}; there are {', '.join(ACTIONS)}")
    if action == "complete":
        complete(connection, series_uid, f"operator: {who}", {"operator": who}, now)
        return SeriesState.COMPLETE
    row = load(connection, series_uid)
    if action == "reject":
        _demand_held(row, action)
        advance(connection, row, SeriesState.PROCESSED, now, verdict="REJECT")
        record(connection, "series.rejected", now, series_uid=series_uid, revision=row.revision, who=who)
        return SeriesState.PROCESSED
    if action == "release":
        _demand_held(row, action)
    elif row.state not in (SeriesState.PROCESSED, SeriesState.HELD, SeriesState.FAILED):
        raise IllegalMoveError(f"{series_uid}: is {row.state}; it can be reprocessed once it was processed")
    revision = advance(
        connection,
        row,
        SeriesState.COMPLETE,
        now,
        reason=row.reason,
        evidence=row.evidence,
        released=row.released or action == "release",
    )
    name = "series.released" if action == "release" else "series.reprocess"
    record(connection, name, now, series_uid=series_uid, revision=revision, who=who)
    return SeriesState.COMPLETE


def _demand_held(row: Row[Any], action: str) -> None:
    if row.state != SeriesState.HELD:
        raise IllegalMoveError(
            f"{row.SeriesInstanceUID}: is {row.state}; only a HELD series can be {DONE[action]}"
        )
