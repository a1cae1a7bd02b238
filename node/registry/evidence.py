"""What completion needs to know of a series that arrives: its instances, and how their associations ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, or_, select

from node.registry.database import reading
from node.registry.schema import Association, Instance, Series
from node.registry.states import SeriesState


@dataclass(frozen=True, slots=True)
class Arriving:
    """One series that is RECEIVING and due for a decision."""

    series_instance_uid: str
    revision: int
    n_instances: int
    last_received_at: datetime
    calling_ae_title: str
    modality: str | None
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Gathered:
    """Its instances but the conflicting ones; the associations that brought them, as they ended."""

    instances: tuple[Any, ...]
    associations: tuple[Any, ...]


def arriving(engine: Engine, now: datetime) -> list[Arriving]:
    """Return the RECEIVING series that have no deadline or are past it, the longest waiting first."""
    with reading(engine) as connection:
        found = connection.execute(
            select(
                Series.SeriesInstanceUID,
                Series.revision,
                Series.n_instances,
                Series.last_received_at,
                Series.calling_ae_title,
                Series.Modality,
                Series.facts,
            )
            .where(Series.state == SeriesState.RECEIVING)
            .where(or_(Series.due_at.is_(None), Series.due_at <= now))
            .order_by(Series.last_received_at)
        )
        return [Arriving(*row) for row in found]


def gather(engine: Engine, series_uid: str) -> Gathered:
    """Return what is known of one series. Row names are those of the columns."""
    with reading(engine) as connection:
        instances = connection.execute(
            select(
                Instance.InstanceNumber,
                Instance.NumberOfFrames,
                Instance.ImagePositionPatient,
                Instance.ImageOrientationPatient,
                Instance.association,
            ).where(Instance.SeriesInstanceUID == series_uid, Instance.is_conflict.is_(False))
        ).all()
        brought_by = select(Instance.association).where(Instance.SeriesInstanceUID == series_uid)
        associations = connection.execute(
            select(Association.id, Association.end, Association.ended_at)
            .where(Association.id.in_(brought_by))
            .order_by(Association.ended_at, Association.id)
        ).all()
    return Gathered(tuple(instances), tuple(associations))
