"""Write what becomes of a storage commitment: asked, judged, handed over, reported, given up.

A transaction is what one AE calls by one Transaction UID. Asked again with the same objects,
it is judged and reported again; with other objects, every one of them fails as a duplicate.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from node.errors import IllegalMoveError, RegistryError
from node.registry.database import insert_ignoring
from node.registry.history import record
from node.registry.schema import Commitment
from node.registry.states import CommitmentState, Handover

DUPLICATE_TRANSACTION = 0x0131  # Failure Reason, PS3.3 C.14.1.1


@dataclass(frozen=True, slots=True)
class CommitmentRequest:
    """A request as it was received; references are pairs of SOP Class and SOP Instance UID."""

    token: str
    transaction_uid: str
    references: Sequence[tuple[str, str]]
    calling_ae_title: str
    called_ae_title: str
    source_address: str
    association: str
    received_at: datetime

    @property
    def references_sha256(self) -> str:
        """Tells the objects of two requests apart, in whatever order they come."""
        return hashlib.sha256(json.dumps(sorted(self.references)).encode()).hexdigest()


def requested(connection: Connection, request: CommitmentRequest, now: datetime) -> None:
    """Begin a transaction, or begin it again; a request that was taken before is no news."""
    found = select(Commitment.__table__).where(Commitment.token == request.token)
    if connection.execute(found).one_or_none() is not None:
        return
    same = select(Commitment.__table__).where(
        Commitment.TransactionUID == request.transaction_uid,
        Commitment.calling_ae_title == request.calling_ae_title,
    )
    first = connection.execute(same.order_by(Commitment.id).limit(1).with_for_update()).one_or_none()
    is_again = first is not None and first.references_sha256 == request.references_sha256
    is_duplicate = first is not None and not is_again
    values = _values(request, now)
    if is_duplicate:
        outcomes = [DUPLICATE_TRANSACTION] * len(request.references)
        values |= {"state": CommitmentState.PENDING, "outcomes": outcomes, "n_failed": len(outcomes)}
    if first is not None and is_again:
        _update(connection, first.id, **values)
    else:
        connection.execute(insert_ignoring(connection, Commitment).values(**values))
    record(
        connection,
        "commitment.requested",
        now,
        TransactionUID=request.transaction_uid,
        calling_ae_title=request.calling_ae_title,
        n_references=len(request.references),
        is_duplicate=is_duplicate,
    )


def claimed(connection: Connection, commitment_id: int, due_at: datetime, until: datetime) -> bool:
    """Take what was due at `due_at` away from every other process until then; False when one has it."""
    mine = update(Commitment).where(Commitment.id == commitment_id, Commitment.due_at == due_at)
    return connection.execute(mine.values(due_at=until)).rowcount == 1


def judged(connection: Connection, token: str, outcomes: Sequence[int], due_at: datetime) -> None:
    """Note the outcomes of the first references; when these are all, the result is to be reported."""
    query = select(Commitment.__table__).where(Commitment.token == token).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None or row.state != CommitmentState.JUDGING:  # asked again since, under another token
        return
    is_all = len(outcomes) == row.n_references
    _update(
        connection,
        row.id,
        state=CommitmentState.PENDING if is_all else CommitmentState.JUDGING,
        outcomes=list(outcomes),
        n_failed=sum(1 for outcome in outcomes if outcome),
        due_at=due_at,
    )


def handed_over(connection: Connection, commitment_id: int, until: datetime) -> None:
    """Note that the association which asked has the result, and until when it may report it."""
    open_still = update(Commitment).where(
        Commitment.id == commitment_id, Commitment.handover == Handover.OPEN
    )
    connection.execute(open_still.values(handover=Handover.HANDED, due_at=until))


def closed(connection: Connection, token: str, now: datetime) -> None:
    """Note that the association which asked can report nothing more: a result is for a new one, now."""
    pending = Commitment.state == CommitmentState.PENDING
    mine = update(Commitment).where(Commitment.token == token, Commitment.handover != Handover.CLOSED)
    connection.execute(mine.where(pending).values(due_at=now))
    connection.execute(mine.values(handover=Handover.CLOSED))


def attempted(
    connection: Connection, commitment_id: int, error: str, due_at: datetime, now: datetime
) -> None:
    """Note a report that did not arrive, and when the next is due; the history tells each reason once."""
    row = _load(connection, commitment_id)
    if row.state != CommitmentState.PENDING:
        return
    _update(connection, commitment_id, attempts=row.attempts + 1, error=error, due_at=due_at)
    if error != row.error:
        _record(connection, row, "commitment.attempt", now, error=error, attempts=row.attempts + 1)


def reported(connection: Connection, token: str, over: str, now: datetime) -> bool:
    """Note that the requestor has the result; its references are kept no longer. False: no news."""
    query = select(Commitment.__table__).where(Commitment.token == token).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None or row.state == CommitmentState.REPORTED:
        return False
    _update(
        connection,
        row.id,
        state=CommitmentState.REPORTED,
        handover=Handover.CLOSED,
        references=[],
        outcomes=[],
        reported_at=now,
        due_at=None,
        error=None,
    )
    failures = {"n_failed": row.n_failed, "n_references": row.n_references}
    _record(connection, row, "commitment.reported", now, over=over, **failures)
    return True


def failed(connection: Connection, commitment_id: int, error: str, now: datetime) -> None:
    """Give a report up; its result is kept, so that a person can have it reported yet."""
    row = _load(connection, commitment_id)
    if row.state in (CommitmentState.REPORTED, CommitmentState.FAILED):
        return
    _update(connection, commitment_id, state=CommitmentState.FAILED, error=error, due_at=None)
    _record(connection, row, "commitment.failed", now, error=error)


def retry(connection: Connection, commitment_id: int, now: datetime) -> None:
    """Report the result now; one that was given up is tried for as long as a new one.

    Raises:
        IllegalMoveError: it was reported.
    """
    row = _load(connection, commitment_id)
    if row.state == CommitmentState.REPORTED:
        raise IllegalMoveError(f"commitment {commitment_id}: is REPORTED; the sender has its result")
    if row.state == CommitmentState.FAILED:
        is_judged = len(row.outcomes) == row.n_references
        state = CommitmentState.PENDING if is_judged else CommitmentState.JUDGING
        _update(connection, commitment_id, state=state, created_at=now)
    _update(connection, commitment_id, due_at=now)
    _record(connection, row, "commitment.retry", now)


def retry_unaddressed(connection: Connection, now: datetime) -> int:
    """Make due what no report was tried of, for want of an address: the configuration may have one now."""
    unaddressed = update(Commitment).where(
        Commitment.state == CommitmentState.PENDING,
        Commitment.handover == Handover.CLOSED,
        Commitment.error.like("%report_port%"),
    )
    return connection.execute(unaddressed.values(due_at=now)).rowcount


def _values(request: CommitmentRequest, now: datetime) -> dict[str, Any]:
    """Return the row of a transaction that begins."""
    return {
        "token": request.token,
        "TransactionUID": request.transaction_uid,
        "calling_ae_title": request.calling_ae_title,
        "called_ae_title": request.called_ae_title,
        "source_address": request.source_address,
        "association": request.association,
        "state": CommitmentState.JUDGING,
        "handover": Handover.OPEN,
        "references_sha256": request.references_sha256,
        "references": [list(reference) for reference in request.references],
        "outcomes": [],
        "n_references": len(request.references),
        "n_failed": 0,
        "received_at": request.received_at,
        "created_at": now,
        "due_at": now,
        "reported_at": None,
        "attempts": 0,
        "error": None,
    }


def _load(connection: Connection, commitment_id: int) -> Row[Any]:
    query = select(Commitment.__table__).where(Commitment.id == commitment_id).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        raise RegistryError(
            f"no commitment {commitment_id} in the registry; `prepnode commitments list` shows all"
        )
    return row


def _update(connection: Connection, commitment_id: int, **values: Any) -> None:
    connection.execute(update(Commitment).where(Commitment.id == commitment_id).values(**values))


def _record(connection: Connection, row: Row[Any], name: str, now: datetime, **details: Any) -> None:
    who = {"TransactionUID": row.TransactionUID, "calling_ae_title": row.calling_ae_title}
    record(connection, name, now, **who, **details)
