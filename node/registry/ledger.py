"""The ledger: what was registered of each peer and day, counted in the transaction of the rows.

An object is counted once, however often its file is found in new/ (after a crash, or when a
folder refused): the names that were counted stay in `intake` until they are known to be gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from node.acks import Peer, title
from node.registry.arrivals import Arrival, Outcome
from node.registry.database import insert_ignoring, reading
from node.registry.schema import Base, Instance, Intake, Ledger, Series

CHUNK = 500
COUNTS = ("n_new", "n_conflicts", "n_duplicates", "n_set_aside", "n_recovered", "adjustment")
COLUMN = {Outcome.NEW: "n_new", Outcome.CONFLICT: "n_conflicts", Outcome.DUPLICATE: "n_duplicates"}

Counts = Mapping[str, int]


# what registering writes


def counted(connection: Connection, names: Collection[str]) -> set[str]:
    """Return those of the names in new/ that are counted already."""
    wanted = sorted(names)
    return {
        name
        for start in range(0, len(wanted), CHUNK)
        for name in connection.scalars(
            select(Intake.name).where(Intake.name.in_(wanted[start : start + CHUNK]))
        )
    }


def count(connection: Connection, taken: Sequence[tuple[Arrival, Outcome]]) -> None:
    """Count what a transaction registers; what is there again is left out by the caller."""
    lines: dict[Peer, Counter[str]] = {}
    names = []
    for arrival, outcome in taken:
        line = lines.setdefault((arrival.received_at.date(), title(arrival.calling_ae_title)), Counter())
        line[COLUMN[outcome]] += 1
        if arrival.received_as:
            names.append(arrival.received_as)
            line["n_recovered"] += arrival.association is None
        else:  # not from new/, so nobody was told that it is safe: a rebuild, or a hand
            line["adjustment"] += 1
    add(connection, lines)
    remember(connection, names)


def add(connection: Connection, lines: Mapping[Peer, Counts]) -> None:
    """Add to the counts of several lines, in one order, so that two writers never wait for each other."""
    if not lines:
        return
    table = Base.metadata.tables["ledger"]
    rows = [
        {
            "day": day,
            "calling_ae_title": name,
            "is_rebuilt": False,
            **{column: lines[day, name].get(column, 0) for column in COUNTS},
        }
        for day, name in sorted(lines)
    ]
    postgres = connection.dialect.name == "postgresql"
    insert = postgresql.insert(table) if postgres else sqlite.insert(table)
    added = {column: table.c[column] + insert.excluded[column] for column in COUNTS}
    connection.execute(
        insert.on_conflict_do_update(index_elements=["day", "calling_ae_title"], set_=added), rows
    )


def remember(connection: Connection, names: Sequence[str]) -> None:
    """Note names in new/ as counted."""
    if names:
        connection.execute(insert_ignoring(connection, Intake), [{"name": name} for name in names])


def forget(connection: Connection, names: Sequence[str]) -> None:
    """Drop names that are gone from new/ for good: their removal is on stable storage."""
    for start in range(0, len(names), CHUNK):
        connection.execute(delete(Intake).where(Intake.name.in_(names[start : start + CHUNK])))


def rebase(connection: Connection, corrections: Mapping[Peer, Counts]) -> None:
    """Open lines anew after a rebuild: add what makes each balance, and mark it."""
    add(connection, corrections)
    for day, name in sorted(corrections):
        connection.execute(
            update(Ledger).where(Ledger.day == day, Ledger.calling_ae_title == name).values(is_rebuilt=True)
        )


# what the balance reads


def remembered(engine: Engine) -> list[str]:
    """Return every name that is counted and was not known to be gone."""
    with reading(engine) as connection:
        return list(connection.scalars(select(Intake.name)))


def counts(connection: Connection, since: date | None) -> dict[Peer, dict[str, Any]]:
    """Return what was counted for each peer and day, and `is_rebuilt`."""
    query = select(Base.metadata.tables["ledger"])
    if since is not None:
        query = query.where(Ledger.day >= since)
    return {
        (row["day"], row["calling_ae_title"]): {name: row[name] for name in (*COUNTS, "is_rebuilt")}
        for row in connection.execute(query).mappings()
    }


def rows_by_state(connection: Connection, since: date | None) -> dict[Peer, Counter[str]]:
    """Count the rows of instances by the state of their series; "" for those whose series is not there.

    Counted by series before their state is looked up: 1.4 s for a million rows (SQLite, all of
    them read; an index over the three columns made it slower, and every registration too).
    """
    day = func.date(Instance.received_at).label("day")
    per_series = select(day, Instance.calling_ae_title, Instance.SeriesInstanceUID, func.count().label("n"))
    if since is not None:
        per_series = per_series.where(Instance.received_at >= datetime.combine(since, time.min))
    found = per_series.group_by(day, Instance.calling_ae_title, Instance.SeriesInstanceUID).subquery()
    query = (
        select(found.c.day, found.c.calling_ae_title, Series.state, func.sum(found.c.n))
        .select_from(found)
        .outerjoin(Series, Series.SeriesInstanceUID == found.c.SeriesInstanceUID)
        .group_by(found.c.day, found.c.calling_ae_title, Series.state)
    )
    lines: dict[Peer, Counter[str]] = {}
    for text, name, state, n in connection.execute(query):
        line = lines.setdefault((date.fromisoformat(str(text)), title(name)), Counter())
        line[state or ""] += int(n)
    return lines
