"""The states of a series, and the legal moves between them.

    RECEIVING ──► COMPLETE ──► PROCESSING ──┬─► PROCESSED
        ▲             ▲                     ├─► HELD      (a person decides: release, reject, reprocess)
        │             │                     └─► FAILED    (reprocess, after the cause is mended)
        └─────────────┴── a late instance, a release or a reprocess opens revision r+1

PROCESSING may go back to COMPLETE when the job was lost and is submitted again.
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
OPENS_A_REVISION = frozenset(
    {
        (source, target)
        for source in (
            SeriesState.COMPLETE,
            SeriesState.PROCESSING,
            SeriesState.PROCESSED,
            SeriesState.HELD,
            SeriesState.FAILED,
        )
        for target in (SeriesState.RECEIVING,)
    }
    | {
        (source, SeriesState.COMPLETE)
        for source in (SeriesState.PROCESSED, SeriesState.HELD, SeriesState.FAILED)
    }
)


def move(source: SeriesState, target: SeriesState) -> SeriesState:
    """Return `target` when the move is legal.

    Raises:
        IllegalMoveError: a series cannot go from `source` to `target`.
    """
    if target not in LEGAL_MOVES[source]:
        raise IllegalMoveError(f"a series cannot go from {source} to {target}")
    return target
