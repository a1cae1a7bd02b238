"""Write how associations begin and end; completion reads the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, bindparam, select, update

from node.registry.database import insert_ignoring
from node.registry.history import record
from node.registry.schema import Association, Instance, Series
from node.registry.states import SeriesState

AT_ONCE = 500  # ids in one statement

End = Literal["released", "aborted", "lost"]


@dataclass(frozen=True, slots=True)
class Opening:
    """A new association."""

    association: str
    calling_ae_title: str
    called_ae_title: str
    source_address: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Ending:
    """How an association ended, and what it brought."""

    association: str
    end: End
    at: datetime
    n_received: int = 0
    n_bytes: int = 0


def opened(connection: Connection, openings: Sequence[Opening]) -> None:
    """Note new associations; the same again changes nothing."""
    rows = [
        {
            "id": opening.association,
            "calling_ae_title": opening.calling_ae_title,
            "called_ae_title": opening.called_ae_title,
            "source_address": opening.source_address,
            "opened_at": opening.at,
            "n_received": 0,
            "n_bytes": 0,
        }
        for opening in openings
    ]
    if rows:
        connection.execute(insert_ignoring(connection, Association), rows)


def closed(connection: Connection, endings: Sequence[Ending]) -> None:
    """Note how associations ended and what they brought; their series are looked at anew."""
    if not endings:
        return
    connection.execute(
        update(Association)
        .where(Association.id == bindparam("which"))
        .values(
            ended_at=bindparam("at"),
            end=bindparam("how"),
            n_received=bindparam("n"),
            n_bytes=bindparam("size"),
        ),
        [
            {
                "which": ending.association,
                "at": ending.at,
                "how": ending.end,
                "n": ending.n_received,
                "size": ending.n_bytes,
            }
            for ending in endings
        ],
    )
    _look_again(connection, [ending.association for ending in endings])


def lose_open(connection: Connection, prefix: str, now: datetime, but: str = "") -> int:
    """Note as lost the open associations of a process that died: their ids begin with `prefix`.

    Those that begin with `but` are of a process that lives.
    """
    mine = Association.end.is_(None) & Association.id.startswith(prefix, autoescape=True)
    if but:
        mine &= ~Association.id.startswith(but, autoescape=True)
    found = connection.scalars(select(Association.id).where(Association.end.is_(None), mine)).all()
    closed_as_lost = (
        update(Association).where(Association.end.is_(None), mine).values(ended_at=now, end="lost")
    )
    if found:
        connection.execute(closed_as_lost)
        _look_again(connection, found)
        record(connection, "association.lost", now, n=len(found))
    return len(found)


def _look_again(connection: Connection, associations: Sequence[str]) -> None:
    """Make every series due that is still arriving and that one of these associations brought."""
    for at in range(0, len(associations), AT_ONCE):
        some = associations[at : at + AT_ONCE]
        brought = select(Instance.SeriesInstanceUID).where(Instance.association.in_(some))
        connection.execute(
            update(Series)
            .where(Series.state == SeriesState.RECEIVING, Series.SeriesInstanceUID.in_(brought))
            .values(due_at=None)
        )
