"""Jobs that a dead worker of another machine was running go on here.

Workers on several machines share one PostgreSQL and one data folder. A worker that has
left a heartbeat, and left it long ago, is dead. One without any heartbeat is not known
here and is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from node import logs
from node.heartbeat import Heartbeat
from node.jobs import JobEngine

DEAD_AFTER_S = 60.0  # four times what the dashboard calls down: taking over too early does the work twice
PART = "worker"

log = logs.get("node.takeover")


def executor_id(host: str) -> str:
    """Return the name under which the worker of a machine runs jobs: stable over restarts."""
    return f"{host}-{PART}"


def take_over_dead(jobs: JobEngine, beats: Iterable[Heartbeat], *, now: float) -> int:
    """Take over from every worker that is dead; return how many jobs that were.

    `now` is seconds since the epoch, as in a heartbeat.
    """
    dead = {executor_id(beat.host) for beat in beats if beat.part == PART and now - beat.at > DEAD_AFTER_S}
    count = 0
    for name in sorted((dead & jobs.executors()) - {jobs.executor_id}):
        taken = jobs.take_over(name)
        log.warning("jobs.taken_over", executor=name, jobs=taken)
        count += taken
    return count
