"""Look at the series that arrive, and complete those whose evidence or patience suffices.

Deadlines are kept in the registry (`series.due_at`), so a restart forgets nothing. A new
instance, or the end of an association, clears the deadline, and the series is looked at
again; until then it costs nothing.

Times of arrival are wall-clock times. When the clock jumps, all deadlines are cleared, and
no series counts as quiet for longer than since the jump: a jump completes nothing early.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from node import logs
from node.clock import utc_now
from node.completion import Complete, CompletionPolicy, SeriesEvidence, decide
from node.errors import IllegalMoveError
from node.positions import measure
from node.registry.evidence import Arriving, Gathered, arriving, gather
from node.registry.repository import Repository

JUMP_S = 2.0  # wall clock against monotonic clock; NTP slews by less than 0.5 ms per second
SINGLE_OBJECT_MODALITIES = frozenset({  # one object each, of which a series may hold any number
    "CR", "DX", "DR", "IO", "MG", "PX", "RF", "XA", "US", "ES", "OP", "OT", "SC", "SR", "SEG", "RTSTRUCT",
    "RTPLAN", "RTDOSE", "REG", "PR", "KO", "DOC", "ECG", "SM", "XC", "GM",
})  # fmt: skip

OF_THIS_SERIES = ("InConcatenationTotalNumber",)  # an acquisition may fill several series, or a part of one

log = logs.get("node.completion")


class CompletionLoop:
    """Completes series. `on_complete(series_uid, revision)` hands each to the jobs.

    `quiet_by_peer` overrides `policy.quiet_s` by calling AE title.
    """

    def __init__(  # noqa: PLR0913 - two clocks are handed in
        self,
        repository: Repository,
        policy: CompletionPolicy,
        *,
        quiet_by_peer: Mapping[str, float] | None = None,
        on_complete: Callable[[str, int], None] | None = None,
        now: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repository = repository
        self._policy = policy
        self._quiet_by_peer = dict(quiet_by_peer or {})
        self._on_complete = on_complete
        self._now = now
        self._monotonic = monotonic
        self._started_at = now()
        self._trusted_since: datetime | None = None
        self._clocks = (self._started_at, monotonic())

    def run_once(self) -> list[tuple[str, int]]:
        """Look at every series that is due; return (SeriesInstanceUID, revision) of those completed.

        Raises:
            RegistryError: the registry cannot be read or written; nothing is lost.
        """
        now = self._now()
        self._watch_clock(now)
        completed = []
        for series in arriving(self._repository.engine, now):
            revision = self._look_at(series, now)
            if revision is not None:
                completed.append((series.series_instance_uid, revision))
        return completed

    def _look_at(self, series: Arriving, now: datetime) -> int | None:
        """Decide on one series; return its revision when it is complete now."""
        policy = self._policy_for(series)
        quiet_s = self._quiet_s(series.last_received_at, now)
        if quiet_s < min(policy.settle_s, policy.quiet_s, policy.cap_s):
            return None  # nothing can be decided yet: do not even gather, nor write
        evidence = evidence_of(series, gather(self._repository.engine, series.series_instance_uid), quiet_s)
        decision = decide(evidence, policy, now)
        if not isinstance(decision, Complete):
            self._repository.set_due(series.series_instance_uid, decision.until, waits_for=decision.because)
            return None
        try:
            revision = self._repository.complete(
                series.series_instance_uid, decision.reason, decision.evidence, now
            )
        except IllegalMoveError:  # a person was faster
            return None
        log.info(
            "series.complete",
            SeriesInstanceUID=series.series_instance_uid,
            revision=revision,
            instances=series.n_instances,
            reason=decision.reason,
        )
        if self._on_complete is not None:
            self._on_complete(series.series_instance_uid, revision)
        return revision

    def _policy_for(self, series: Arriving) -> CompletionPolicy:
        quiet_s = self._quiet_by_peer.get(series.calling_ae_title, self._policy.quiet_s)
        return CompletionPolicy(quiet_s, self._policy.settle_s, self._policy.cap_s)

    def _quiet_s(self, last_received_at: datetime, now: datetime) -> float:
        """Return for how long nothing came, as far as the clock can be trusted."""
        if last_received_at > now:  # by a clock that was set back since
            since = self._trusted_since or min(self._started_at, now)
        else:
            since = max(last_received_at, self._trusted_since or last_received_at)
        return (now - since).total_seconds()

    def _watch_clock(self, now: datetime) -> None:
        """Notice when the wall clock has moved otherwise than time did."""
        then, monotonic_then = self._clocks
        monotonic_now = self._monotonic()
        expected = then + timedelta(seconds=monotonic_now - monotonic_then)
        jump_s = (now - expected).total_seconds()
        if abs(jump_s) > JUMP_S:
            log.warning("clock.jumped", seconds=round(jump_s, 1))
            self._repository.set_all_due()
            self._trusted_since = now
        self._clocks = (now, monotonic_now)


def evidence_of(series: Arriving, gathered: Gathered, quiet_s: float) -> SeriesEvidence:
    """Make evidence of what the registry knows."""
    instances, ends = gathered.instances, gathered.associations
    expected, expected_from = _expected(series.facts)
    is_multi_frame = any((row.NumberOfFrames or 1) > 1 for row in instances)
    last_ended = [row.end for row in ends if row.end is not None]
    return SeriesEvidence(
        quiet_s=quiet_s,
        n_instances=len(instances),
        n_associations=len(ends),
        open_associations=sum(row.end is None for row in ends),
        last_end=last_ended[-1] if last_ended else None,
        row=None
        if is_multi_frame
        else measure((row.ImagePositionPatient, row.ImageOrientationPatient) for row in instances),
        is_single_object=len(instances) == 1
        and (is_multi_frame or series.modality in SINGLE_OBJECT_MODALITIES),
        number_holes=_holes(row.InstanceNumber for row in instances),
        expected=expected,
        expected_from=expected_from,
        is_expected_certain=expected_from in OF_THIS_SERIES,
    )


def _expected(facts: Mapping[str, Any]) -> tuple[int | None, str]:
    """Return how many instances were announced, and by which attribute."""
    for keyword in (*OF_THIS_SERIES, "ImagesInAcquisition"):
        announced = facts.get(keyword)
        if isinstance(announced, int) and announced > 0:
            return announced, keyword
    return None, ""


def _holes(numbers: Iterable[int | None]) -> int:
    """Count the InstanceNumbers that lie between others and did not come."""
    known = {number for number in numbers if number is not None}
    return max(known) - min(known) + 1 - len(known) if known else 0
