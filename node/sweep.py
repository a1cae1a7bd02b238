"""The loop that keeps jobs and registry together: what is due gets a job, and lost work gets a new one.

Every pass asks the registry what is due and submits it; submitting twice does no harm. So a
stage never calls the next: completion writes COMPLETE, a job writes PENDING deliveries,
and this loop takes both up, also those of a process that was killed, or of a person.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from datetime import datetime

from node import logs
from node.jobs import JobEngine, JobState
from node.registry import due
from node.registry.repository import Repository
from node.registry.states import SeriesState
from node.runner import SeriesRunner

AGAIN_S = 30.0  # how soon the engine is asked again about something that was submitted and is still due

log = logs.get("node.sweep")


class Sweep:
    """Submits what is due; `run_once` is one pass, and `wait` the pause between two."""

    def __init__(
        self,
        repository: Repository,
        jobs: JobEngine,
        runner: SeriesRunner,
        *,
        now: Callable[[], datetime],
        again_s: float = AGAIN_S,
    ) -> None:
        self._repository = repository
        self._engine = repository.engine
        self._jobs = jobs
        self._runner = runner
        self._now = now
        self._again_s = again_s
        self._asked: dict[Hashable, float] = {}
        self._woken = threading.Event()

    def run_once(self) -> int:
        """Submit what is due, mend what is lost, keep a child warm; return how many jobs that concerned."""
        count = self._complete() + self._processing() + self._deliveries()
        if due.is_receiving(self._engine):
            self._runner.warm()
        self._runner.close_idle()
        return count

    def wake(self) -> None:
        """Begin the next pass now: something has just become due."""
        self._woken.set()

    def wait(self, timeout_s: float) -> None:
        """Wait for the next pass."""
        self._woken.wait(timeout_s)
        self._woken.clear()

    def _complete(self) -> int:
        """COMPLETE series get a job."""
        waiting = [key for key in due.in_state(self._engine, SeriesState.COMPLETE) if self._is_news(key)]
        for series_uid, revision in waiting:
            self._jobs.submit(series_uid, revision)
        return len(waiting)

    def _processing(self) -> int:
        """PROCESSING series without a living job go back to COMPLETE; one that kills workers has failed."""
        count = 0
        for series_uid, revision in due.in_state(self._engine, SeriesState.PROCESSING):
            if not self._is_news(("processing", series_uid, revision)):
                continue
            state = self._jobs.state(series_uid, revision)
            if state.is_active:
                continue
            count += 1
            if state is JobState.POISONED:
                error = (
                    "the worker died each time this series was processed; look at the series and at the log"
                )
                self._repository.fail(series_uid, revision, error, self._now())
                log.error("series.poisoned", SeriesInstanceUID=series_uid, revision=revision)
            elif self._repository.requeue(series_uid, revision, self._now()):
                log.warning("series.job_lost", SeriesInstanceUID=series_uid, revision=revision, job=state)
                self._jobs.submit(series_uid, revision)
        return count

    def _deliveries(self) -> int:
        """PENDING deliveries whose time has come get a job; those to nowhere are given up."""
        waiting = [key for key in due.deliveries_due(self._engine, self._now()) if self._is_news(key)]
        for delivery_id, destination, _ in waiting:
            if destination in self._jobs.destinations:
                self._jobs.submit_delivery(delivery_id, destination)
            else:
                error = f"destination {destination!r} is no longer in the configuration"
                self._repository.delivery_failed(delivery_id, error=error, now=self._now())
        return len(waiting)

    def _is_news(self, key: Hashable) -> bool:
        """Say whether to ask the engine about this, which takes a query: not again within `again_s`."""
        now = time.monotonic()
        if now - self._asked.get(key, float("-inf")) < self._again_s:
            return False
        if len(self._asked) > 10_000:
            self._asked = {each: at for each, at in self._asked.items() if now - at < self._again_s}
        self._asked[key] = now
        return True
