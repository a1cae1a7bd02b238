"""Every write to the registry: one method, one transaction, in which state and event change together.

What a method writes is in the room of its topic: `registering`, `associations`, `lifecycle`,
`operator`, `results`, `deliveries`, `ledger`, `commitments`, `intensity`. All raise `RegistryError` when the
database is locked, gone or refuses, and then nothing was written. Times are UTC without zone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, func, update

from node.acks import Peer
from node.clock import utc_now
from node.registry import (
    associations,
    commitments,
    deliveries,
    intensity,
    ledger,
    lifecycle,
    operator,
    registering,
    results,
)
from node.registry.arrivals import Arrival, Registered
from node.registry.associations import Ending, Opening
from node.registry.commitments import CommitmentRequest
from node.registry.database import writing
from node.registry.history import record
from node.registry.intensity import ModelState
from node.registry.schema import Instance, Series
from node.registry.states import SeriesState


class Repository:
    """The registry as those see it who change it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._gone: list[str] = []

    # what arrives

    def register(self, batch: Sequence[Arrival], now: datetime) -> list[Registered]:
        """Register received instances; idempotent. See `registering.register`."""
        if not batch:
            return []
        gone = list(self._gone)
        with writing(self.engine) as connection:
            ledger.forget(connection, gone)
            registered = registering.register(connection, batch, now)
        self._gone = self._gone[len(gone) :]
        return registered

    def forget(self, names: Sequence[str]) -> None:
        """Let names that are gone from new/ for good be forgotten, with the next batch.

        A process that dies before has them forgotten by `node.recovery.recover`.
        """
        self._gone += names

    def set_aside(self, peer: Peer, name: str, now: datetime) -> None:
        """Count an acknowledged object that cannot be registered, before its file is moved; idempotent."""
        with writing(self.engine) as connection:
            if not ledger.counted(connection, [name]):
                ledger.add(connection, {peer: {"n_set_aside": 1}})
                ledger.remember(connection, [name])
                record(connection, "instance.unreadable", now, file=name)

    def settle(self, peer: Peer, amount: int, *, who: str, now: datetime) -> None:
        """Take a difference in the ledger as known, on a person's word."""
        with writing(self.engine) as connection:
            ledger.add(connection, {peer: {"adjustment": amount}})
            day, name = peer
            record(connection, "ledger.settled", now, day=str(day), calling_ae_title=name, n=amount, who=who)

    def rebase(self, corrections: Mapping[Peer, Mapping[str, int]], now: datetime) -> None:
        """Open lines of the ledger anew, because the registry was built anew. See `ledger.rebase`."""
        with writing(self.engine) as connection:
            ledger.rebase(connection, corrections)
            record(connection, "registry.rebuilt", now, lines=len(corrections))

    def note_associations(self, openings: Sequence[Opening], endings: Sequence[Ending] = ()) -> None:
        """Note new associations and how associations ended. See `associations.opened` and `.closed`."""
        with writing(self.engine) as connection:
            associations.opened(connection, openings)
            associations.closed(connection, endings)

    def lose_associations(self, prefix: str, now: datetime, *, but: str = "") -> int:
        """Note as lost the open associations of a process that died. See `associations.lose_open`."""
        with writing(self.engine) as connection:
            return associations.lose_open(connection, prefix, now, but)

    # how a series goes on

    def set_due(self, series_uid: str, due_at: datetime | None, *, waits_for: str = "") -> None:
        """Set when completion is to look at a RECEIVING series again, and what it waits for until then.

        None: at the next occasion.
        """
        with writing(self.engine) as connection:
            connection.execute(
                update(Series)
                .where(Series.SeriesInstanceUID == series_uid, Series.state == SeriesState.RECEIVING)
                .values(due_at=due_at, reason=f"waiting: {waits_for}" if waits_for else None)
            )

    def set_all_due(self) -> None:
        """Have completion look at every RECEIVING series again, as after a jump of the clock."""
        with writing(self.engine) as connection:
            connection.execute(
                update(Series).where(Series.state == SeriesState.RECEIVING).values(due_at=None)
            )

    def complete(self, series_uid: str, reason: str, evidence: Mapping[str, Any], now: datetime) -> int:
        """Take a series as complete; return its revision. See `lifecycle.complete`."""
        with writing(self.engine) as connection:
            return lifecycle.complete(connection, series_uid, reason, evidence, now)

    def start(
        self, series_uid: str, revision: int, now: datetime | None = None, *, profile: str | None = None
    ) -> bool:
        """Say whether this revision is to be processed, and note it. See `lifecycle.start`."""
        with writing(self.engine) as connection:
            return lifecycle.start(connection, series_uid, revision, now or utc_now(), profile=profile)

    def finish(  # noqa: PLR0913, PLR0917 - the parts of one result
        self,
        series_uid: str,
        revision: int,
        report: Mapping[str, Any],
        outputs: Sequence[Mapping[str, Any]],
        deliveries: Sequence[Mapping[str, Any]],
        now: datetime,
    ) -> bool:
        """Write the result of a revision, once. See `results.finish`."""
        with writing(self.engine) as connection:
            return results.finish(connection, series_uid, revision, report, outputs, deliveries, now)

    def fail(self, series_uid: str, revision: int, error: str, now: datetime) -> bool:
        """Note that a revision cannot be processed. See `lifecycle.fail`."""
        with writing(self.engine) as connection:
            return lifecycle.fail(connection, series_uid, revision, error, now)

    def requeue(self, series_uid: str, revision: int, now: datetime) -> bool:
        """Put a series whose job was lost back to COMPLETE. See `lifecycle.requeue`."""
        with writing(self.engine) as connection:
            return lifecycle.requeue(connection, series_uid, revision, now)

    # a person's word

    def act(self, series_uid: str, action: str, *, who: str, now: datetime) -> SeriesState:
        """Complete, reprocess, release or reject a series; return its state. See `operator.act`."""
        with writing(self.engine) as connection:
            return operator.act(connection, series_uid, action, who, now)

    def complete_by_operator(self, series_uid: str, who: str, now: datetime) -> SeriesState:
        """Take a series as complete on a person's word."""
        return self.act(series_uid, "complete", who=who, now=now)

    def reprocess(self, series_uid: str, who: str, now: datetime) -> SeriesState:
        """Process a series again, as a new revision."""
        return self.act(series_uid, "reprocess", who=who, now=now)

    def release(self, series_uid: str, who: str, now: datetime) -> SeriesState:
        """Let a HELD series pass."""
        return self.act(series_uid, "release", who=who, now=now)

    def reject(self, series_uid: str, who: str, now: datetime) -> SeriesState:
        """Let a HELD series not pass."""
        return self.act(series_uid, "reject", who=who, now=now)

    # what is sent

    def delivery_attempt(self, delivery_id: int, *, error: str, due_at: datetime, now: datetime) -> bool:
        """Note an attempt that failed. See `deliveries.attempted`."""
        with writing(self.engine) as connection:
            return deliveries.attempted(connection, delivery_id, error, due_at, now)

    def delivery_progress(self, delivery_id: int, delivered: Sequence[Any]) -> None:
        """Note which parts a destination has taken so far."""
        with writing(self.engine) as connection:
            deliveries.progressed(connection, delivery_id, delivered)

    def delivery_done(self, delivery_id: int, *, delivered: Sequence[Any] = (), now: datetime) -> None:
        """Note that a destination has taken everything."""
        with writing(self.engine) as connection:
            deliveries.done(connection, delivery_id, delivered, now)

    def delivery_failed(self, delivery_id: int, *, error: str, now: datetime) -> None:
        """Give a delivery up."""
        with writing(self.engine) as connection:
            deliveries.failed(connection, delivery_id, error, now)

    def retry_delivery(self, delivery_id: int, *, now: datetime) -> None:
        """Make a delivery due now. See `deliveries.retry`."""
        with writing(self.engine) as connection:
            deliveries.retry(connection, delivery_id, now)

    def drop_delivery(self, delivery_id: int, *, now: datetime) -> None:
        """Have a delivery never happen. See `deliveries.drop`."""
        with writing(self.engine) as connection:
            deliveries.drop(connection, delivery_id, now)

    # what is deleted

    def mark_removed(self, series_uid: str, moment: datetime, now: datetime) -> list[str]:
        """Note that retention removes the files of a series; return where those received before `moment` are.

        To be done before they are removed: a file that goes without being marked is lost.
        """
        with writing(self.engine) as connection:
            return list(
                connection.scalars(
                    update(Instance)
                    .where(Instance.SeriesInstanceUID == series_uid, Instance.received_at < moment)
                    .values(removed_at=func.coalesce(Instance.removed_at, now))
                    .returning(Instance.path)
                )
            )

    # what is committed

    def commitment_requested(self, request: CommitmentRequest, now: datetime) -> None:
        """Take a storage commitment request into the registry, once. See `commitments.requested`."""
        with writing(self.engine) as connection:
            commitments.requested(connection, request, now)

    def commitment_claimed(self, commitment_id: int, due_at: datetime, until: datetime) -> bool:
        """Say whether this process may work on what is due. See `commitments.claimed`."""
        with writing(self.engine) as connection:
            return commitments.claimed(connection, commitment_id, due_at, until)

    def commitment_judged(self, token: str, outcomes: Sequence[int], due_at: datetime) -> None:
        """Note what was found of the first references. See `commitments.judged`."""
        with writing(self.engine) as connection:
            commitments.judged(connection, token, outcomes, due_at)

    def commitment_handed_over(self, commitment_id: int, *, until: datetime) -> None:
        """Note that the association which asked has the result to report."""
        with writing(self.engine) as connection:
            commitments.handed_over(connection, commitment_id, until)

    def commitment_closed(self, token: str, now: datetime) -> None:
        """Note that the association which asked can report nothing more."""
        with writing(self.engine) as connection:
            commitments.closed(connection, token, now)

    def commitment_attempt(self, commitment_id: int, *, error: str, due_at: datetime, now: datetime) -> None:
        """Note a report that did not arrive. See `commitments.attempted`."""
        with writing(self.engine) as connection:
            commitments.attempted(connection, commitment_id, error, due_at, now)

    def commitment_reported(self, token: str, *, over: str, now: datetime) -> bool:
        """Note that the requestor has the result. See `commitments.reported`."""
        with writing(self.engine) as connection:
            return commitments.reported(connection, token, over, now)

    def commitment_failed(self, commitment_id: int, *, error: str, now: datetime) -> None:
        """Give a report up."""
        with writing(self.engine) as connection:
            commitments.failed(connection, commitment_id, error, now)

    def retry_commitment(self, commitment_id: int, *, now: datetime) -> None:
        """Have a result reported now. See `commitments.retry`."""
        with writing(self.engine) as connection:
            commitments.retry(connection, commitment_id, now)

    def retry_unaddressed_commitments(self, now: datetime) -> int:
        """Make due what waits for an address. See `commitments.retry_unaddressed`."""
        with writing(self.engine) as connection:
            return commitments.retry_unaddressed(connection, now)

    # intensity models

    def add_model(self, model: Mapping[str, Any], *, who: str, now: datetime) -> None:
        """Add a fit as a candidate. See `intensity.add_model`."""
        with writing(self.engine) as connection:
            intensity.add_model(connection, model, who=who, now=now)

    def set_model_state(
        self, model: Mapping[str, Any], state: ModelState, *, who: str, now: datetime
    ) -> None:
        """Put a model into use or out of it. See `intensity.set_state`."""
        with writing(self.engine) as connection:
            intensity.set_state(connection, model, state, who=who, now=now)

    # the history

    def record_event(
        self,
        name: str,
        now: datetime,
        *,
        series_uid: str | None = None,
        revision: int | None = None,
        **details: Any,
    ) -> None:
        """Append an event that goes with no change of state."""
        with writing(self.engine) as connection:
            record(connection, name, now, series_uid=series_uid, revision=revision, **details)
