"""What a person sees of the registry: series, deliveries, history, counts; each one reading transaction.

Rows are dicts, column name -> value; times are UTC without zone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine, Select, Table, func, select

from node.registry.database import reading
from node.registry.research import research, research_columns
from node.registry.schema import (
    Association,
    Base,
    Commitment,
    Delivery,
    Event,
    Finding,
    Instance,
    Output,
    Series,
    Study,
    Volume,
)
from node.registry.states import DeliveryState, SeriesState

__all__ = ["research", "research_columns"]

Row = dict[str, Any]


def series_list(
    engine: Engine,
    *,
    state: str | None = None,
    modality: str | None = None,
    study_uid: str | None = None,
    limit: int = 100,
) -> list[Row]:
    """Return series, the one last heard of first."""
    query = (
        select(_table(Series)).order_by(Series.last_received_at.desc(), Series.SeriesInstanceUID).limit(limit)
    )
    for column, wanted in (
        (Series.state, state),
        (Series.Modality, modality),
        (Series.StudyInstanceUID, study_uid),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    return _rows(engine, query)


def series_show(engine: Engine, series_uid: str) -> Row | None:
    """Return one series with all that belongs to it, or None.

    "volumes", "findings" and "outputs" are lists of its revision, "deliveries" and "events" of all.
    """
    with reading(engine) as connection:
        found = connection.execute(select(_table(Series)).where(Series.SeriesInstanceUID == series_uid))
        row = found.mappings().one_or_none()
        if row is None:
            return None
        shown = dict(row)
        for name, table in (("volumes", Volume), ("findings", Finding), ("outputs", Output)):
            query = (
                select(_table(table))
                .where(table.SeriesInstanceUID == series_uid, table.revision == row["revision"])
                .order_by(table.id)
            )
            shown[name] = [dict(each) for each in connection.execute(query).mappings()]
        for name, query in (
            ("deliveries", _deliveries().where(Delivery.SeriesInstanceUID == series_uid)),
            ("events", _events(series_uid)),
        ):
            shown[name] = [dict(each) for each in connection.execute(query).mappings()]
    return shown


def history(engine: Engine, series_uid: str) -> list[Row]:
    """Return the events of a series, the first one first."""
    return _rows(engine, _events(series_uid))


def study(engine: Engine, study_uid: str) -> Row | None:
    """Return one study, or None."""
    rows = _rows(engine, select(_table(Study)).where(Study.StudyInstanceUID == study_uid))
    return rows[0] if rows else None


def instances(engine: Engine, series_uid: str) -> list[Row]:
    """Return the instances of a series, conflicting ones too, by SOPInstanceUID and then as they came."""
    return _rows(
        engine,
        select(_table(Instance))
        .where(Instance.SeriesInstanceUID == series_uid)
        .order_by(Instance.SOPInstanceUID, Instance.id),
    )


def instance_count(engine: Engine) -> int:
    """Return how many rows of instances there are."""
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(Instance)).scalar_one()


def series_count(engine: Engine) -> int:
    """Return how many series there are."""
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(Series)).scalar_one()


def instance_page(engine: Engine, *, after: int, limit: int) -> list[Row]:
    """Return the next instances by id: what verifying their files needs."""
    columns = ("id", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "path", "sha256")
    query = select(
        *(getattr(Instance, name) for name in (*columns, "calling_ae_title", "removed_at")),
    )
    return _rows(engine, query.where(Instance.id > after).order_by(Instance.id).limit(limit))


def paths(engine: Engine) -> Iterator[tuple[str, str]]:
    """Yield (SOPInstanceUID, path) of every instance, without holding them all at once."""
    with reading(engine) as connection:
        query = select(Instance.SOPInstanceUID, Instance.path).order_by(Instance.id)
        for row in connection.execution_options(yield_per=1000).execute(query):
            yield row.SOPInstanceUID, row.path


def sibling_facts(engine: Engine, series_uid: str) -> dict[str, Row]:
    """Return SeriesInstanceUID -> header facts of the other series of the same study, as known now."""
    of_study = select(Series.StudyInstanceUID).where(Series.SeriesInstanceUID == series_uid).scalar_subquery()
    query = (
        select(Series.SeriesInstanceUID, Series.facts)
        .where(Series.StudyInstanceUID == of_study, Series.SeriesInstanceUID != series_uid)
        .order_by(Series.SeriesInstanceUID)
    )
    with reading(engine) as connection:
        return {uid: dict(facts) for uid, facts in connection.execute(query)}


def deliveries_list(engine: Engine, *, state: str | None = None, limit: int = 100) -> list[Row]:
    """Return deliveries, the latest first."""
    query = select(_table(Delivery)).order_by(Delivery.id.desc()).limit(limit)
    return _rows(engine, query if state is None else query.where(Delivery.state == state))


def commitments_list(engine: Engine, *, state: str | None = None, limit: int = 100) -> list[Row]:
    """Return storage commitments, the latest first, without their references."""
    columns = [
        column for column in _table(Commitment).columns if column.name not in ("references", "outcomes")
    ]
    query = select(*columns).order_by(Commitment.id.desc()).limit(limit)
    return _rows(engine, query if state is None else query.where(Commitment.state == state))


def associations_list(engine: Engine, *, limit: int = 100) -> list[Row]:
    """Return associations, the latest first; `end` is None while one is open."""
    return _rows(engine, select(_table(Association)).order_by(Association.opened_at.desc()).limit(limit))


def counts(engine: Engine) -> dict[str, dict[str, int]]:
    """Return how many series and deliveries are in each state: {"series": {...}, "deliveries": {...}}."""
    with reading(engine) as connection:
        series = connection.execute(select(Series.state, func.count()).group_by(Series.state))
        deliveries = connection.execute(select(Delivery.state, func.count()).group_by(Delivery.state))
        return {
            "series": {**dict.fromkeys(SeriesState, 0), **{row[0]: row[1] for row in series}},
            "deliveries": {**dict.fromkeys(DeliveryState, 0), **{row[0]: row[1] for row in deliveries}},
        }


def _deliveries() -> Select[Any]:
    return select(_table(Delivery)).order_by(Delivery.revision.desc(), Delivery.id)


def _events(series_uid: str) -> Select[Any]:
    return select(_table(Event)).where(Event.SeriesInstanceUID == series_uid).order_by(Event.id)


def _rows(engine: Engine, query: Select[Any]) -> list[Row]:
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def _table(entity: type[Base]) -> Table:
    return Base.metadata.tables[entity.__tablename__]
