"""The loops that judge what was asked to be committed, and see that the requestor hears of it.

    request (file) ──► JUDGING ──► PENDING ──► the association that asked ──► REPORTED
                                      │ closed, or not taken in time
                                      └──────► a new association, again and again ──► REPORTED or FAILED

`CommitmentLoop` reads files and the registry and never waits for a peer; `ReportLoop` does.
Every step is written down before the next, and may be repeated: a process that dies in
between costs time, and at worst a requestor hears the same result twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import random as uniform
from typing import Any

from node import logs
from node.commitment.dataset import Request
from node.commitment.exchange import Asked, Exchange, Result
from node.commitment.judgement import Stored, is_caught_up, judge
from node.config import Config, Peer
from node.digest import digest as digest_of
from node.errors import DeliveryError
from node.forwarding import event_report
from node.forwarding.association import Target
from node.forwarding.retry import until_next
from node.registry import due
from node.registry.commitments import CommitmentRequest
from node.registry.repository import Repository
from node.registry.states import Handover

AT_ONCE = 20  # requests that are taken from their files in one pass
SLICE_S = 1.0  # how long one transaction is judged before others have their turn
CHUNK = 200  # references that are looked up, and noted, together
LEASE_S = 60.0  # for so long a process may work on what it took; then another may
NOT_CAUGHT_UP_S = 0.25  # how soon objects are looked for again that are not registered yet, at first
MOST_S = 30.0  # and at last
PASS_S = 60.0  # after which a pass of reports ends; what it took and did not come to is due again then
HANDOVER_S = 30.0  # that the association which asked has to report a result
UNADDRESSED_S = 3600.0  # how often what has no address is looked at

log = logs.get("node.commitment")


class CommitmentLoop:
    """Takes requests into the registry, judges them, and hands results to the association that asked."""

    def __init__(
        self,
        config: Config,
        repository: Repository,
        *,
        now: Callable[[], datetime],
        digest: Callable[[Path], str] = digest_of,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exchange = Exchange(config.commitment_dir)
        self._exchange.clear()
        self._new = config.spool_dir / "new"
        self._repository = repository
        self._now = now
        self._digest = digest
        self._clock = clock

    def run_once(self) -> None:
        """Do what there is to do now."""
        for asked in self._exchange.requests(AT_ONCE):
            self._repository.commitment_requested(_request(asked), self._now())
            self._exchange.done(asked.token)
        self._read_signs()
        for row in due.commitments_to_judge(self._repository.engine, self._now()):
            self._judge(row)
        for row in due.commitments_to_hand_over(self._repository.engine, self._now()):
            self._hand_over(row)

    def _read_signs(self) -> None:
        """Note what the associations that asked have reported, and which are over."""
        for token, sign in self._exchange.signs():
            if sign == "reported":
                if self._repository.commitment_reported(token, over="same association", now=self._now()):
                    log.info("commitment.reported", over="same association")
            else:
                self._repository.commitment_closed(token, self._now())
            self._exchange.forget(token)

    def _judge(self, row: Mapping[str, Any]) -> None:
        """Judge the next references of a transaction, for `SLICE_S` or until some are not registered yet."""
        now = self._now()
        if not self._repository.commitment_claimed(
            row["id"], row["due_at"], now + timedelta(seconds=LEASE_S)
        ):
            return
        end = self._clock() + SLICE_S
        outcomes: list[int] = list(row["outcomes"])
        pause_s = 0.0
        while len(outcomes) < row["n_references"] and self._clock() < end:
            found = self._judge_some(row, outcomes)
            if not found:
                age_s = (now - row["received_at"]).total_seconds()
                pause_s = min(max(NOT_CAUGHT_UP_S, age_s / 10), MOST_S)
                break
            outcomes += found
        self._repository.commitment_judged(row["token"], outcomes, self._now() + timedelta(seconds=pause_s))
        if len(outcomes) == row["n_references"]:
            n_failed = sum(1 for outcome in outcomes if outcome)
            log.info("commitment.judged", **_names(row), references=len(outcomes), failed=n_failed)

    def _judge_some(self, row: Mapping[str, Any], outcomes: Sequence[int]) -> list[int]:
        """Judge a chunk of references; nothing when one is missing that may not be registered yet."""
        references = [tuple(each) for each in row["references"][len(outcomes) : len(outcomes) + CHUNK]]
        received_at = row["received_at"].replace(tzinfo=UTC).timestamp()
        caught_up = is_caught_up(self._new, received_at)  # before the look, so that nothing slips between
        stored = due.stored_as(self._repository.engine, [uid for _, uid in references])
        if not caught_up and any(uid not in stored for _, uid in references):
            return []
        end = self._clock() + SLICE_S
        found: list[int] = []
        for sop_class, uid in references:
            objects = [Stored(of, Path(path), sha256) for of, path, sha256 in stored.get(uid, ())]
            found.append(judge((sop_class, uid), objects, self._digest))
            if self._clock() > end:
                break
        return found

    def _hand_over(self, row: Mapping[str, Any]) -> None:
        """Give the association that asked the result; or take it back, if it was not reported there."""
        now = self._now()
        if row["has_ended"]:
            self._read_signs()  # what it has reported last, it has told before its end
        elif row["handover"] == Handover.OPEN:
            self._exchange.answer(row["token"], _result(row))
            self._repository.commitment_handed_over(row["id"], until=now + timedelta(seconds=HANDOVER_S))
            return
        self._exchange.forget(row["token"])
        self._repository.commitment_closed(row["token"], now)


class ReportLoop:
    """Reports results on new associations, to the addresses of the configuration, until they are taken."""

    def __init__(
        self,
        config: Config,
        repository: Repository,
        *,
        now: Callable[[], datetime],
        random: Callable[[], float] = uniform,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._peers = {peer.calling_aet.strip(): peer for peer in config.listener.peer if peer.report_port}
        self._max_age_h = config.listener.report_max_age_h
        self._repository = repository
        self._now = now
        self._random = random
        self._is_first = True

    def run_once(self) -> None:
        """Report what is due; what goes to one requestor goes on one association."""
        if self._is_first:  # the configuration may have an address now that it had not
            self._repository.retry_unaddressed_commitments(self._now())
            self._is_first = False
        by_target: dict[Target, list[Mapping[str, Any]]] = {}
        for row in due.commitments_to_report(self._repository.engine, self._now()):
            until = self._now() + timedelta(seconds=LEASE_S)
            if not self._repository.commitment_claimed(row["id"], row["due_at"], until):
                continue
            peer = self._peers.get(row["calling_ae_title"])
            if peer is None:
                self._wait_for_address(row)
            else:
                by_target.setdefault(_target(peer, row), []).append(row)
        end = self._clock() + PASS_S
        for target, rows in by_target.items():
            if self._clock() < end:
                self._report(target, rows, end)

    def _report(self, target: Target, rows: Sequence[Mapping[str, Any]], end: float) -> None:
        left = list(rows)
        try:
            for answer in event_report.report(target, [_result(row) for row in rows]):
                row = left.pop(0)
                if answer:
                    self._again(row, answer)
                else:
                    self._repository.commitment_reported(
                        row["token"], over="new association", now=self._now()
                    )
                    log.info("commitment.reported", **_names(row), over="new association")
                if self._clock() > end:
                    break
        except DeliveryError as error:
            for row in left:
                self._again(row, str(error))

    def _again(self, row: Mapping[str, Any], error: str) -> None:
        """Note an attempt that failed, and try again later, or give up."""
        now = self._now()
        delay_s = until_next(
            row["attempts"] + 1,
            created_at=row["created_at"],
            now=now,
            max_age_h=self._max_age_h,
            random=self._random,
        )
        self._note(row, error, delay_s)

    def _wait_for_address(self, row: Mapping[str, Any]) -> None:
        """Keep a result for which there is no address, and say what to configure."""
        title = row["calling_ae_title"]
        error = (
            f"{title!r} has closed the association on which it asked, and no port of it is known;"
            f' set `report_port` in a [[listener.peer]] with calling_aet = "{title}", and restart'
        )
        age_h = (self._now() - row["created_at"]) / timedelta(hours=1)
        self._note(row, error, UNADDRESSED_S if age_h < self._max_age_h else None)

    def _note(self, row: Mapping[str, Any], error: str, delay_s: float | None) -> None:
        now = self._now()
        if delay_s is None:
            given_up = f"given up after {self._max_age_h:g} h; the last attempt: {error}"
            self._repository.commitment_failed(row["id"], error=given_up, now=now)
            log.error("commitment.given_up", **_names(row), error=given_up)
            return
        self._repository.commitment_attempt(
            row["id"], error=error, due_at=now + timedelta(seconds=delay_s), now=now
        )
        log.warning("commitment.not_reported", **_names(row), error=error, next_in_s=round(delay_s))


def _target(peer: Peer, row: Mapping[str, Any]) -> Target:
    """Return where a requestor listens; it is called by the title under which it called."""
    return Target(
        host=peer.report_host or row["source_address"],
        port=peer.report_port or 0,
        called_aet=row["calling_ae_title"],
        calling_aet=row["called_ae_title"],
    )


def _request(asked: Asked) -> CommitmentRequest:
    return CommitmentRequest(
        token=asked.token,
        transaction_uid=asked.transaction_uid,
        references=asked.references,
        calling_ae_title=asked.calling_ae_title,
        called_ae_title=asked.called_ae_title,
        source_address=asked.source_address,
        association=asked.association,
        received_at=datetime.fromtimestamp(asked.received_at, UTC).replace(tzinfo=None),
    )


def _result(row: Mapping[str, Any]) -> Result:
    references = tuple((sop_class, uid) for sop_class, uid in row["references"])
    return Result(Request(row["TransactionUID"], references), tuple(row["outcomes"]))


def _names(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "commitment": row["id"],
        "TransactionUID": row["TransactionUID"],
        "calling_aet": row["calling_ae_title"],
    }
