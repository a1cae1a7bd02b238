"""What `prepnode bench` measures on a running node: the way of one series, and idle memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select

from node.benchmark import processes
from node.cli.send import send
from node.demo import TemporaryNode
from node.errors import NodeError
from node.registry.database import read_engine
from node.registry.schema import Delivery, Series

TIMEOUT_S = 300.0
POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds that one series took, stage by stage.

    `receive_s`: sending all instances. `wait_s`: from the last instance to the decision that
    the series is complete. `process_s`: from there to the written outputs. `deliver_s`: from
    there to the delivered files. `beyond_wait_s`: from the last instance to the delivered
    files, without the completion wait.
    """

    receive_s: float
    wait_s: float
    process_s: float
    deliver_s: float

    @property
    def beyond_wait_s(self) -> float:
        """What the node needs beyond waiting for completion."""
        return self.process_s + self.deliver_s

    def __str__(self) -> str:
        """Return all figures in one line."""
        return (
            f"receive {self.receive_s:.2f} s, wait {self.wait_s:.2f} s, process {self.process_s:.2f} s, "
            f"deliver {self.deliver_s:.2f} s, beyond the wait {self.beyond_wait_s:.2f} s"
        )


def process_once(node: TemporaryNode, study: Path, delivered: Path) -> Timings:
    """Send one series and follow it until its NIfTI lies in the folder `delivered`.

    Raises:
        NodeError: it was refused, or did not arrive in time.
    """
    before = set(delivered.rglob("*.nii.gz")) if delivered.exists() else set()
    started = time.monotonic()
    arguments = [str(study), "--to", f"127.0.0.1:{node.port}", "--called", "PREPNODE"]
    if send.main(arguments, standalone_mode=False):
        raise NodeError("the node refused the series; see its log")
    receive_s = time.monotonic() - started
    deadline = time.monotonic() + TIMEOUT_S
    while not set(delivered.rglob("*.nii.gz")) - before:
        if time.monotonic() > deadline:
            raise NodeError(f"no NIfTI was delivered within {TIMEOUT_S:.0f} s; see {node.log_file}")
        time.sleep(POLL_S)
    return _from_registry(node, receive_s, deadline)


def _from_registry(node: TemporaryNode, receive_s: float, deadline: float) -> Timings:
    """Read the stages' times of the series that was processed last."""
    engine = read_engine(f"sqlite:///{node.data_dir / 'registry.db'}")
    try:
        while True:
            with engine.connect() as connection:
                series = connection.execute(
                    select(Series.__table__).order_by(Series.first_received_at.desc())
                ).first()
                delivery = connection.execute(select(Delivery.__table__).order_by(Delivery.id.desc())).first()
            if series and delivery and delivery.delivered_at and series.processed_at:
                break
            if time.monotonic() > deadline:
                raise NodeError(f"the delivery was not recorded; see {node.log_file}")
            time.sleep(POLL_S)
    finally:
        engine.dispose()
    return Timings(
        receive_s=receive_s,
        wait_s=_between(series.last_received_at, series.completed_at),
        process_s=_between(series.completed_at, series.processed_at),
        deliver_s=_between(series.processed_at, delivery.delivered_at),
    )


def _between(earlier: datetime, later: datetime) -> float:
    return (later - earlier).total_seconds()


def idle_memory_mb(node: TemporaryNode) -> float:
    """Return the resident memory of the node's whole process tree in MB (shared pages counted once: Pss)."""
    if node.process is None:
        return 0.0
    return processes.pss_mb(processes.tree(node.process.pid))
