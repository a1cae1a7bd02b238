"""Durable jobs: what runs, what waits, what is tried again; the only room that imports the engine (DBOS).

The registry is what we know, jobs are what runs. A job's id says what it is for:
`<SeriesInstanceUID>:<revision>` processes a series, `delivery:<id>:<n>` is the n-th
attempt at a delivery. Submitting an id twice runs it once. When a job has ended and the
registry still wants the work, submitting it again makes `<SeriesInstanceUID>:<revision>:2`,
and so on, each later than the one before: work is never lost, and never a hot loop.

A job that was running when its process was killed runs again, from its beginning, when the
process with the same `executor_id` starts again, or when `take_over` gives it to another.
So what the engine is handed (`process`, `deliver`) may run twice without harm.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from dbos import (
    DBOS,
    DBOSConfig,
    DBOSPortableJSONSerializer,
    SetEnqueueOptions,
    SetWorkflowID,
    WorkflowStatus,
)
from sqlalchemy import make_url

from node.config import Config
from node.errors import NodeError

APPLICATION_VERSION = "1"  # a fixed one: work of the release before is picked up after an upgrade
PROCESS_QUEUE = "process"
PROCESS_POLL_S = 0.1  # measured: a job starts 0.05 s after it was submitted; 2.6 % of a core when idle
DELIVER_POLL_S = 0.5  # measured: 0.4 % of a core for each destination when idle
MAX_PROCESS_RECOVERIES = 5  # a series that was running whenever the worker died is suspect
MAX_DELIVER_RECOVERIES = 50
AGAIN_CAP_S = 300.0
FAR_PAST_MS = 0


class JobState(StrEnum):
    """What the engine knows of the newest job for some piece of work."""

    NONE = "NONE"
    WAITING = "WAITING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    POISONED = "POISONED"  # it was running at each of too many deaths of its process

    @property
    def is_active(self) -> bool:
        """True while the engine will still run it, or runs it now."""
        return self in (JobState.WAITING, JobState.RUNNING)


_STATES = {
    "ENQUEUED": JobState.WAITING,
    "DELAYED": JobState.WAITING,
    "PENDING": JobState.RUNNING,
    "SUCCESS": JobState.DONE,
    "ERROR": JobState.FAILED,
    "CANCELLED": JobState.FAILED,
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": JobState.POISONED,
}


@dataclass(frozen=True, slots=True)
class Job:
    """One job as the engine has it."""

    id: str
    kind: str
    state: JobState
    queue: str
    executor_id: str
    created_at: datetime


class JobEngine:
    """Runs `process(series_uid, revision)` and `deliver(delivery_id)` durably.

    `deliver` returns the seconds until its next attempt, or None when there is none to
    come. There is one queue for processing, `jobs.workers` at a time, and one for each
    destination, so that a destination that is down holds up no other. One engine can run
    per process.
    """

    def __init__(
        self,
        config: Config,
        process: Callable[[str, int], None],
        deliver: Callable[[int], float | None],
        *,
        executor_id: str,
    ) -> None:
        self._config = config
        self._process = process
        self._deliver = deliver
        self.executor_id = executor_id
        self._queues = {destination.name: destination.concurrency for destination in config.destination}
        self._is_sqlite = make_url(config.jobs_url).get_backend_name() == "sqlite"
        self._lock = threading.Lock()
        self._active = 0

    @property
    def destinations(self) -> frozenset[str]:
        """Names of the destinations that have a queue."""
        return frozenset(self._queues)

    def start(self) -> None:
        """Open the job database, take up this executor's own interrupted jobs, and begin to work."""
        url = self._config.jobs_url
        logger = logging.getLogger("dbos")
        logger.addHandler(logging.NullHandler())  # else it brings a console handler of its own
        logger.setLevel(logging.WARNING)
        settings = DBOSConfig(
            name="prepnode",
            system_database_url=url,
            application_version=APPLICATION_VERSION,
            executor_id=self.executor_id,
            serializer=DBOSPortableJSONSerializer(),
            log_level="WARNING",
            enable_otlp=False,
            run_migrations=True,
        )
        if self._is_sqlite:
            _use_wal(url)
            settings["db_engine_kwargs"] = {"connect_args": {"factory": _Connection}}
        DBOS(config=settings)
        self._define_workflows()
        DBOS.listen_queues([PROCESS_QUEUE, *(_delivery_queue(name) for name in self._queues)])
        DBOS.launch()
        if self._is_sqlite:
            for executor_id in self.executors() - {self.executor_id}:
                self.take_over(executor_id)  # this machine under an earlier name: the file has one node
        _register_queue(PROCESS_QUEUE, self._config.jobs.workers, PROCESS_POLL_S)
        for name, concurrency in self._queues.items():
            _register_queue(_delivery_queue(name), concurrency, DELIVER_POLL_S)

    def stop(self, *, drain_s: float = 0) -> None:
        """Take no further job, wait up to `drain_s` for the running ones, and close.

        A job that still runs then is left as it is and runs again at the next start.
        """
        with self._lock:
            seconds = int(drain_s) if self._active else 0
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=seconds)

    def submit(self, series_uid: str, revision: int) -> str:
        """Have a series processed, unless a job for this revision is on its way; return the job's id."""
        base = f"{series_uid}:{revision}"
        newest = self._newest(base)
        if newest is not None and _STATES[newest.status].is_active:
            return newest.workflow_id
        attempt = 1 if newest is None else _attempt(newest.workflow_id, base) + 1
        job_id = base if attempt == 1 else f"{base}:{attempt}"
        with _enqueued_as(job_id, delay_s=_again_delay(attempt)):
            DBOS.enqueue_workflow(PROCESS_QUEUE, self._process_workflow, series_uid, revision)
        return job_id

    def submit_delivery(self, delivery_id: int, destination: str, *, delay_s: float = 0) -> str:
        """Have a delivery attempted after `delay_s`; one that waits for later is brought forward to then."""
        base = f"delivery:{delivery_id}"
        newest = self._newest(base)
        if newest is not None and _STATES[newest.status].is_active:
            if newest.status == "DELAYED":
                DBOS.set_workflow_delay(newest.workflow_id, delay_seconds=delay_s)
            return newest.workflow_id
        attempt = 1 if newest is None else _attempt(newest.workflow_id, base) + 1
        return self._enqueue_delivery(delivery_id, destination, attempt=attempt, delay_s=delay_s)

    def state(self, series_uid: str, revision: int) -> JobState:
        """Return the state of the newest job for this revision of a series."""
        newest = self._newest(f"{series_uid}:{revision}")
        return JobState.NONE if newest is None else _STATES[newest.status]

    def delivery_state(self, delivery_id: int) -> JobState:
        """Return the state of the newest job for this delivery."""
        newest = self._newest(f"delivery:{delivery_id}")
        return JobState.NONE if newest is None else _STATES[newest.status]

    def cancel(self, job_id: str) -> None:
        """Keep a waiting job from starting; one that runs is not interrupted."""
        DBOS.cancel_workflow(job_id)

    def list(self, *, active_only: bool = True, limit: int = 1000) -> list[Job]:
        """Return the newest jobs first."""
        status = ["ENQUEUED", "DELAYED", "PENDING"] if active_only else None
        found = DBOS.list_workflows(
            status=status, limit=limit, sort_desc=True, load_input=False, load_output=False
        )
        return [_job(workflow) for workflow in found]

    def executors(self) -> frozenset[str]:
        """Return the ids of the executors that have running jobs, this one or others, alive or dead."""
        running = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        return frozenset(workflow.executor_id for workflow in running if workflow.executor_id)

    def take_over(self, executor_id: str) -> int:
        """Run here what a dead executor was running; return how many jobs that were.

        The caller knows that the executor is dead. Should it live after all, the engine
        keeps it from ending the jobs that it no longer owns.
        """
        orphans = DBOS.list_workflows(
            status="PENDING", executor_id=executor_id, load_input=False, load_output=False
        )
        for workflow in orphans:
            DBOS.resume_workflow(workflow.workflow_id, queue_name=workflow.queue_name)
        return len(orphans)

    def prune(self, *, older_than: timedelta, now: datetime) -> int:
        """Delete the record of jobs that ended before `now - older_than` (UTC); return how many that were."""
        ended = DBOS.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED"],
            completed_before=(now - older_than).replace(tzinfo=UTC).isoformat(),
            limit=1000,
            load_input=False,
            load_output=False,
        )
        if ended:
            DBOS.delete_workflows([workflow.workflow_id for workflow in ended])
        return len(ended)

    def _define_workflows(self) -> None:
        """Give the engine its two workflows, as functions: it takes no bound methods."""

        @DBOS.workflow(name="process_series", max_recovery_attempts=MAX_PROCESS_RECOVERIES)
        def process_series(series_uid: str, revision: int) -> None:
            self._run_process(series_uid, revision)

        @DBOS.workflow(name="deliver", max_recovery_attempts=MAX_DELIVER_RECOVERIES)
        def deliver(delivery_id: int, destination: str, attempt: int) -> None:
            self._run_deliver(delivery_id, destination, attempt)

        self._process_workflow = process_series
        self._deliver_workflow = deliver

    def _run_process(self, series_uid: str, revision: int) -> None:
        with self._working():
            self._process(series_uid, revision)

    def _run_deliver(self, delivery_id: int, destination: str, attempt: int) -> None:
        with self._working():
            delay_s = self._deliver(delivery_id)
            if delay_s is not None:
                self._enqueue_delivery(delivery_id, destination, attempt=attempt + 1, delay_s=delay_s)

    def _enqueue_delivery(self, delivery_id: int, destination: str, *, attempt: int, delay_s: float) -> str:
        job_id = f"delivery:{delivery_id}:{attempt}"
        with _enqueued_as(job_id, delay_s=delay_s):
            queue = _delivery_queue(destination)
            DBOS.enqueue_workflow(queue, self._deliver_workflow, delivery_id, destination, attempt)
        return job_id

    def _newest(self, base: str) -> WorkflowStatus | None:
        found = DBOS.list_workflows(workflow_id_prefix=base, load_input=False, load_output=False)
        ours = [each for each in found if each.workflow_id == base or each.workflow_id.startswith(f"{base}:")]
        return max(ours, key=lambda each: _attempt(each.workflow_id, base), default=None)

    @contextmanager
    def _working(self) -> Iterator[None]:
        with self._lock:
            self._active += 1
        try:
            yield
        finally:
            with self._lock:
                self._active -= 1


class _Connection(sqlite3.Connection):
    """A connection that does not flush at each commit.

    Power loss may take the last commits (never the file): the sweep over the registry,
    which does flush, submits those jobs again.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA synchronous=NORMAL")


def _use_wal(url: str) -> None:
    """Switch the database file to write-ahead logging, which the engine leaves off (2 to 4 times faster)."""
    path = make_url(url).database
    if path is None or path == ":memory:":
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.DatabaseError as error:
        raise NodeError(
            f"{path}: {error}; when it is damaged, stop the node and delete it:"
            " jobs are made again from the registry"
        ) from error
    finally:
        connection.close()


@contextmanager
def _enqueued_as(job_id: str, *, delay_s: float) -> Iterator[None]:
    with SetWorkflowID(job_id), SetEnqueueOptions(delay_seconds=delay_s if delay_s > 0 else None):
        yield


def _register_queue(name: str, concurrency: int, poll_s: float) -> None:
    DBOS.register_queue(
        name, worker_concurrency=concurrency, polling_interval_sec=poll_s, on_conflict="always_update"
    )


def _delivery_queue(destination: str) -> str:
    return f"deliver.{destination}"


def _attempt(job_id: str, base: str) -> int:
    suffix = job_id.removeprefix(base).removeprefix(":")
    return int(suffix) if suffix else 1


def _again_delay(attempt: int) -> float:
    """Return how long a job that is made again waits: the first repeat not at all, then 2, 4, ... 300 s."""
    return 0.0 if attempt <= 2 else min(AGAIN_CAP_S, 2.0 ** (attempt - 2))


def _job(workflow: WorkflowStatus) -> Job:
    return Job(
        id=workflow.workflow_id,
        kind=workflow.name,
        state=_STATES[workflow.status],
        queue=workflow.queue_name or "",
        executor_id=workflow.executor_id or "",
        created_at=datetime.fromtimestamp((workflow.created_at or FAR_PAST_MS) / 1000, UTC),
    )
