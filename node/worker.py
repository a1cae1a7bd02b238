"""The worker process: completion, jobs, processing, forwarding, commitment, retention, each in its loop."""

from __future__ import annotations

import socket
import time
from datetime import timedelta
from typing import Any

from prometheus_client import CollectorRegistry, Histogram

from node import heartbeat
from node.clock import utc_now
from node.commitment_loop import CommitmentLoop, ReportLoop
from node.completion import CompletionPolicy
from node.completion_loop import CompletionLoop
from node.config import Config
from node.forwarding.attempt import DeliveryWork
from node.jobs import JobEngine
from node.loops import Loop
from node.processing import SeriesWork
from node.registry.database import engine
from node.registry.repository import Repository
from node.retention import Retention
from node.runner import SeriesRunner
from node.sweep import Sweep
from node.takeover import executor_id, take_over_dead

COMPLETION_S = 0.25  # how often series are looked at: a fraction of completion.settle_s
COMMITMENT_S = 0.2  # some senders wait for their result with the association open
REPORT_S = 1.0
SWEEP_S = 0.5  # how long lost work may lie before it is found; what is new wakes the sweep at once
RETENTION_S = 3600.0
TAKEOVER_S = 15.0
JOBS_KEPT = timedelta(days=7)
HANGS_S = 120.0  # a loop that has not come back for so long is reported as down
DRAIN_S = 10.0  # what runs at SIGTERM may end within this; the rest runs again at the next start
BUCKETS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)  # seconds


class Worker:
    """Everything between a received instance and a delivered product."""

    def __init__(self, config: Config) -> None:
        repository = Repository(engine(config.registry_url))
        self._durations = Histogram(
            "job_seconds", "Time to process a series.", buckets=BUCKETS, registry=CollectorRegistry()
        )
        self._runner = SeriesRunner(config)
        self._work = SeriesWork(config, repository, self._runner, now=utc_now, done=self._wake)
        deliver = DeliveryWork(config, repository, now=utc_now)
        self._jobs = JobEngine(config, self._process, deliver, executor_id=executor_id(socket.gethostname()))
        self._sweep = Sweep(repository, self._jobs, self._runner, now=utc_now)
        completion = CompletionLoop(
            repository,
            CompletionPolicy(
                quiet_s=config.completion.quiet_s,
                settle_s=config.completion.settle_s,
                cap_s=config.completion.cap_s,
            ),
            quiet_by_peer={peer.calling_aet: peer.quiet_s for peer in config.listener.peer if peer.quiet_s},
            on_complete=lambda *_: self._wake(),
        )
        retention = Retention(
            config,
            repository.engine,
            record=lambda name, uid, now, files: repository.record_event(
                name, now, series_uid=uid, files=files
            ),
            mark_removed=repository.mark_removed,
            now=utc_now,
        )
        commitment = CommitmentLoop(config, repository, now=utc_now)
        reports = ReportLoop(config, repository, now=utc_now)
        run_dir = config.node.data_dir / "run"
        self._loops = [
            Loop("completion", COMPLETION_S, completion.run_once),
            Loop("sweep", 0.0, self._sweep_once),
            Loop("commitment", COMMITMENT_S, commitment.run_once),
            Loop("reports", REPORT_S, reports.run_once),
            Loop("retention", RETENTION_S, retention.run_once),
            Loop(
                "takeover",
                TAKEOVER_S,
                lambda: take_over_dead(self._jobs, heartbeat.read_all(run_dir), now=time.time()),
            ),
            Loop("prune", RETENTION_S, lambda: self._jobs.prune(older_than=JOBS_KEPT, now=utc_now())),
        ]

    def start(self) -> None:
        """Take up what an earlier run left, and begin."""
        self._jobs.start()
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        """Take up nothing new, let what runs end for a while, and leave the rest to the next start."""
        for loop in self._loops:
            self._wake()
            loop.stop(timeout_s=2.0)
        self._jobs.stop(drain_s=DRAIN_S)
        self._runner.stop()

    def examine(self) -> tuple[bool, str, dict[str, Any]]:
        """Say whether every loop works, and how long jobs took."""
        problems = [loop.problem for loop in self._loops if loop.problem]
        problems += [
            f"{loop.name}: has not come back for {loop.silent_s():.0f} s"
            for loop in self._loops
            if loop.interval_s < HANGS_S < loop.silent_s()
        ]
        return not problems, "; ".join(problems), {"job_seconds": self._histogram()}

    def _process(self, series_uid: str, revision: int) -> None:
        with self._durations.time():
            self._work(series_uid, revision)

    def _histogram(self) -> dict[str, Any]:
        buckets: list[tuple[str, float]] = []
        total = 0.0
        for sample in next(iter(self._durations.collect())).samples:
            if sample.name.endswith("_bucket"):
                buckets.append((sample.labels["le"], sample.value))
            elif sample.name.endswith("_sum"):
                total = sample.value
        return {"buckets": buckets, "sum": total}

    def _sweep_once(self) -> None:
        self._sweep.run_once()
        self._sweep.wait(SWEEP_S)

    def _wake(self) -> None:
        self._sweep.wake()
