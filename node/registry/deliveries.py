"""Write what became of a delivery: tried, done, given up, tried again, dropped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from node.errors import IllegalMoveError, RegistryError
from node.registry.history import record
from node.registry.schema import Delivery
from node.registry.states import DeliveryState, move_delivery

NOT_TAKEN = (
    "OUT-003"  # the finding code of it; a report is written before anything is sent, so the history keeps it
)


def attempted(connection: Connection, delivery_id: int, error: str, due_at: datetime, now: datetime) -> bool:
    """Note an attempt that failed, and when the next is due; False when no further one is wanted."""
    row = _load(connection, delivery_id)
    if row.state != DeliveryState.PENDING:
        return False
    _update(connection, delivery_id, attempts=row.attempts + 1, error=error, due_at=due_at)
    _record(
        connection, row, "delivery.attempt", now, finding=NOT_TAKEN, error=error, attempts=row.attempts + 1
    )
    return True


def progressed(connection: Connection, delivery_id: int, delivered: Sequence[str]) -> None:
    """Note which parts the destination has taken so far, so that the next attempt leaves them out."""
    _load(connection, delivery_id)
    _update(connection, delivery_id, delivered=list(delivered))


def done(connection: Connection, delivery_id: int, delivered: Sequence[str], now: datetime) -> None:
    """Note that the destination has taken everything. To be called after it said so."""
    row = _load(connection, delivery_id)
    if row.state == DeliveryState.DELIVERED:
        return
    _move(
        connection,
        row,
        DeliveryState.DELIVERED,
        attempts=row.attempts + 1,
        delivered=list(delivered),
        delivered_at=now,
        error=None,
    )
    _record(connection, row, "delivery.done", now, attempts=row.attempts + 1)


def failed(connection: Connection, delivery_id: int, error: str, now: datetime) -> None:
    """Give a delivery up: it is too old, or the destination refuses it for good."""
    row = _load(connection, delivery_id)
    if row.state != DeliveryState.PENDING:
        return
    _move(connection, row, DeliveryState.FAILED, attempts=row.attempts + 1, error=error)
    _record(connection, row, "delivery.failed", now, finding=NOT_TAKEN, error=error)


def retry(connection: Connection, delivery_id: int, now: datetime) -> None:
    """Make a delivery due now: one that waits for its next attempt, or one that was given up.

    Its age counts from now, so that it is tried for as long as a new one.

    Raises:
        IllegalMoveError: it was delivered, or belongs to an earlier revision.
    """
    row = _load(connection, delivery_id)
    if row.state == DeliveryState.PENDING:
        _update(connection, delivery_id, due_at=now)
    else:
        _move(connection, row, DeliveryState.PENDING, due_at=now, created_at=now)
    _record(connection, row, "delivery.retry", now)


def drop(connection: Connection, delivery_id: int, now: datetime) -> None:
    """Have a delivery never happen.

    Raises:
        IllegalMoveError: it has happened.
    """
    row = _load(connection, delivery_id)
    _move(connection, row, DeliveryState.DROPPED)
    _record(connection, row, "delivery.dropped", now)


def _load(connection: Connection, delivery_id: int) -> Row[Any]:
    row = connection.execute(
        select(Delivery.__table__).where(Delivery.id == delivery_id).with_for_update()
    ).one_or_none()
    if row is None:
        raise RegistryError(
            f"no delivery {delivery_id} in the registry; `prepnode deliveries list` shows all"
        )
    return row


def _move(connection: Connection, row: Row[Any], target: DeliveryState, **values: Any) -> None:
    try:
        state = move_delivery(DeliveryState(row.state), target)
    except IllegalMoveError as error:
        raise IllegalMoveError(f"delivery {row.id}: {error}") from None
    _update(connection, row.id, **{"due_at": None, **values, "state": state})


def _update(connection: Connection, delivery_id: int, **values: Any) -> None:
    connection.execute(update(Delivery).where(Delivery.id == delivery_id).values(**values))


def _record(connection: Connection, row: Row[Any], name: str, now: datetime, **details: Any) -> None:
    record(
        connection,
        name,
        now,
        series_uid=row.SeriesInstanceUID,
        revision=row.revision,
        destination=row.destination,
        **details,
    )
