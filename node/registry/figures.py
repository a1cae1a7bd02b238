"""Figures over the whole registry: what /metrics and the status page count."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Engine, func, select

from node.registry.schema import Delivery, Instance, Series
from node.registry.states import SeriesState

WAITING = (SeriesState.COMPLETE, SeriesState.PROCESSING)


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts and ages at one moment; ages in seconds, 0 when nothing waits."""

    series_by_state: dict[str, int] = field(default_factory=dict)
    series_by_verdict: dict[str, int] = field(default_factory=dict)
    deliveries_by_state: dict[tuple[str, str], int] = field(default_factory=dict)
    instances: int = 0
    queue_depth: int = 0
    queue_age_s: float = 0.0
    delivery_age_s: float = 0.0
    conflicts: int = 0


def figures(engine: Engine, now: datetime) -> Figures:
    """Count series, instances and deliveries in one read transaction."""
    with engine.connect() as connection:
        states = connection.execute(select(Series.state, func.count()).group_by(Series.state)).all()
        verdicts = connection.execute(
            select(Series.verdict, func.count()).where(Series.verdict.is_not(None)).group_by(Series.verdict)
        ).all()
        deliveries = connection.execute(
            select(Delivery.destination, Delivery.state, func.count()).group_by(
                Delivery.destination, Delivery.state
            )
        ).all()
        instances = connection.execute(select(func.coalesce(func.sum(Series.n_instances), 0))).scalar_one()
        conflicts = connection.execute(
            select(func.count()).select_from(Instance).where(Instance.is_conflict.is_(True))
        ).scalar_one()
        oldest_series = connection.execute(
            select(func.min(Series.completed_at)).where(Series.state.in_(WAITING))
        ).scalar_one()
        oldest_delivery = connection.execute(
            select(func.min(Delivery.created_at)).where(Delivery.state == "PENDING")
        ).scalar_one()
    by_state = {state.value: 0 for state in SeriesState} | {row[0]: row[1] for row in states}
    return Figures(
        series_by_state=by_state,
        series_by_verdict={row[0]: row[1] for row in verdicts if row[0]},
        deliveries_by_state={(destination, state): count for destination, state, count in deliveries},
        instances=instances,
        queue_depth=sum(by_state[state] for state in WAITING),
        queue_age_s=_age_s(oldest_series, now),
        delivery_age_s=_age_s(oldest_delivery, now),
        conflicts=conflicts,
    )


def _age_s(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since is not None else 0.0
