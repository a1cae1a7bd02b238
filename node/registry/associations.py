"""Write how associations begin and end; completion reads the end."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, select, update

from node.registry.database import insert_ignoring
from node.registry.history import record
from node.registry.schema import Association, Instance, Series
from node.registry.states import SeriesState

End = Literal["released", "aborted", "lost"]


def opened(  # noqa: PLR0913 - the columns of an association
    connection: Connection,
    association: str,
    *,
    calling_ae_title: str,
    called_ae_title: str,
    source_address: str,
    now: datetime,
) -> None:
    """Note a new association; the same again changes nothing."""
    row = {
        "id": association,
        "calling_ae_title": calling_ae_title,
        "called_ae_title": called_ae_title,
        "source_address": source_address,
        "opened_at": now,
        "n_received": 0,
        "n_bytes": 0,
    }
    connection.execute(insert_ignoring(connection, Association), [row])


def closed(  # noqa: PLR0913 - the columns of an association
    connection: Connection, association: str, end: End, *, n_received: int, n_bytes: int, now: datetime
) -> None:
    """Note how an association ended and what it brought; its series are looked at anew."""
    connection.execute(
        update(Association)
        .where(Association.id == association)
        .values(ended_at=now, end=end, n_received=n_received, n_bytes=n_bytes)
    )
    _look_again(connection, association)


def lose_open(connection: Connection, prefix: str, now: datetime, but: str = "") -> int:
    """Note as lost the open associations of a process that died: their ids begin with `prefix`.

    Those that begin with `but` are of a process that lives.
    """
    mine = Association.id.startswith(prefix, autoescape=True)
    if but:
        mine &= ~Association.id.startswith(but, autoescape=True)
    found = connection.scalars(select(Association.id).where(Association.end.is_(None), mine)).all()
    for association in found:
        connection.execute(
            update(Association).where(Association.id == association).values(ended_at=now, end="lost")
        )
        _look_again(connection, association)
    if found:
        record(connection, "association.lost", now, n=len(found))
    return len(found)


def _look_again(connection: Connection, association: str) -> None:
    """Make every series due that is still arriving and that this association brought."""
    brought = select(Instance.SeriesInstanceUID).where(Instance.association == association)
    connection.execute(
        update(Series)
        .where(Series.state == SeriesState.RECEIVING, Series.SeriesInstanceUID.in_(brought))
        .values(due_at=None)
    )
