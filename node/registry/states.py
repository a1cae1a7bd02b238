"""The states of a series and of a delivery, and the legal moves between them.

    RECEIVING ──► COMPLETE ──► PROCESSING ──┬─► PROCESSED
        ▲             ▲                     ├─► HELD      (a person decides: release, reject, reprocess)
        │             │                     └─► FAILED    (reprocess, after the cause is mended)
        └─────────────┴── a late instance, a release or a reprocess opens revision r+1

PROCESSING may go back to COMPLETE when the job was lost and is submitted again.

    PENDING ──┬─► DELIVERED
       ▲      ├─► FAILED      (given up; a person may retry)
       │      ├─► DROPPED     (by a person)
       └──────┴─► SUPERSEDED  (a later revision was finished)

Of a storage commitment:

    JUDGING ──► PENDING ──┬─► REPORTED
                   ▲      └─► FAILED  (given up; a person may retry)
                   └──────────────┘
"""

from enum import StrEnum

from node.errors import IllegalMoveError


class SeriesState(StrEnum):
    """Where a series is on its way through the node."""

    RECEIVING = "RECEIVING"
    COMPLETE = "COMPLETE"
    PROCESSING = "PROCESSING"
    PROCESSED = "PROCESSED"
    HELD = "HELD"
    FAILED = "FAILED"


class DeliveryState(StrEnum):
    """What became of a delivery."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    DROPPED = "DROPPED"
    SUPERSEDED = "SUPERSEDED"


class CommitmentState(StrEnum):
    """Where a storage commitment transaction is: being judged, to be reported, reported, given up."""

    JUDGING = "JUDGING"
    PENDING = "PENDING"
    REPORTED = "REPORTED"
    FAILED = "FAILED"


class Handover(StrEnum):
    """Whether the association that asked can still be told: it may, it has the result, it is over."""

    OPEN = "OPEN"
    HANDED = "HANDED"
    CLOSED = "CLOSED"


LEGAL_MOVES: dict[SeriesState, frozenset[SeriesState]] = {
    SeriesState.RECEIVING: frozenset({SeriesState.COMPLETE}),
    SeriesState.COMPLETE: frozenset({SeriesState.PROCESSING, SeriesState.RECEIVING}),
    SeriesState.PROCESSING: frozenset(
        {
            SeriesState.PROCESSED,
            SeriesState.HELD,
            SeriesState.FAILED,
            SeriesState.COMPLETE,
            SeriesState.RECEIVING,
        }
    ),
    SeriesState.PROCESSED: frozenset({SeriesState.RECEIVING, SeriesState.COMPLETE}),
    SeriesState.HELD: frozenset({SeriesState.RECEIVING, SeriesState.COMPLETE, SeriesState.PROCESSED}),
    SeriesState.FAILED: frozenset({SeriesState.RECEIVING, SeriesState.COMPLETE}),
}
ENDS = frozenset({SeriesState.PROCESSED, SeriesState.HELD, SeriesState.FAILED})
OPENS_A_REVISION = frozenset(
    {(source, SeriesState.RECEIVING) for source in SeriesState if source is not SeriesState.RECEIVING}
    | {(source, SeriesState.COMPLETE) for source in ENDS}
)
LEGAL_DELIVERY_MOVES: dict[DeliveryState, frozenset[DeliveryState]] = {
    DeliveryState.PENDING: frozenset(set(DeliveryState) - {DeliveryState.PENDING}),
    DeliveryState.DELIVERED: frozenset(),
    DeliveryState.FAILED: frozenset(
        {DeliveryState.PENDING, DeliveryState.DROPPED, DeliveryState.SUPERSEDED, DeliveryState.DELIVERED}
    ),
    DeliveryState.DROPPED: frozenset({DeliveryState.PENDING, DeliveryState.DELIVERED}),
    DeliveryState.SUPERSEDED: frozenset({DeliveryState.DELIVERED}),  # it was under way, and the peer took it
}


def move(source: SeriesState, target: SeriesState) -> SeriesState:
    """Return `target` when the move is legal.

    Raises:
        IllegalMoveError: a series cannot go from `source` to `target`.
    """
    if target not in LEGAL_MOVES[source]:
        raise IllegalMoveError(f"a series cannot go from {source} to {target}")
    return target


def move_delivery(source: DeliveryState, target: DeliveryState) -> DeliveryState:
    """Return `target` when the move is legal.

    Raises:
        IllegalMoveError: a delivery cannot go from `source` to `target`.
    """
    if target not in LEGAL_DELIVERY_MOVES[source]:
        raise IllegalMoveError(f"a delivery cannot go from {source} to {target}")
    return target
