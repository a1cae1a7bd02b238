"""Processing survives what is done to it: a killed worker, a killed child, a crash among healthy series."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from node.jobs import MAX_PROCESS_RECOVERIES
from registered import SERIES, Node

TESTS = Path(__file__).parent.parent
WAIT_S = 60


def until(condition, what):
    deadline = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
    return found


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path / "data")
    path = tmp_path / "a.dcm"
    path.write_bytes(b"a")
    node.arrive([path])
    node.complete()
    yield node
    node.close()


@pytest.fixture
def worker(node):
    """Start workers; whatever still runs at the end is killed."""
    processes = []

    def start(executor_id="host-worker"):
        process = subprocess.Popen(
            [sys.executable, str(TESTS / "worker_process.py"), executor_id, node.config.model_dump_json()],
            env=os.environ | {"PYTHONPATH": str(TESTS.parent)},
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.terminate()
        try:
            process.wait(WAIT_S)
        finally:
            process.kill()


def started(node, number):
    """Wait until the work has begun for so many times; return the pids of the children."""
    path = node.folder / "started"

    def pids():
        lines = path.read_text().split() if path.exists() else []
        return lines if len(lines) >= number else None

    return [int(pid) for pid in until(pids, f"start number {number}")]


def ended(node):
    return until(lambda: node.series()["state"] == "PROCESSED", "PROCESSED") and node.series()


@pytest.mark.slow
@pytest.mark.parametrize("executor_id", ["host-worker", "renamed-host-worker"])
def test_a_worker_killed_in_the_middle_of_a_series_ends_it_exactly_once_after_its_restart(
    node, worker, executor_id
):
    first = worker()
    (child,) = started(node, 1)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    until(lambda: not is_alive(child), "the child to die with its worker")
    assert node.series()["state"] == "PROCESSING"
    worker(executor_id)
    assert len(started(node, 2)) == 2
    (node.folder / "go").touch()
    ended(node)
    assert len(node.events("series.processed")) == 1
    assert node.series()["revision"] == 1


@pytest.mark.slow
def test_a_worker_told_to_stop_in_the_middle_of_a_series_leaves_it_to_the_next(node, worker):
    first = worker()
    (child,) = started(node, 1)
    first.terminate()
    assert first.wait(WAIT_S) == 0
    assert not is_alive(child)
    assert node.series()["state"] == "PROCESSING"
    (node.folder / "go").touch()
    worker()
    ended(node)
    assert len(node.events("series.processed")) == 1


@pytest.mark.slow
def test_work_is_found_again_when_the_whole_job_database_is_lost(node, worker):
    first = worker()
    started(node, 1)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    for path in node.folder.glob("jobs.db*"):
        path.unlink()
    (node.folder / "go").touch()
    worker()
    ended(node)
    assert len(node.events("series.requeued")) == 1
    assert len(node.events("series.processed")) == 1


@pytest.mark.slow
def test_a_child_killed_from_outside_fails_its_series_with_the_reason(node, worker):
    worker()
    (child,) = started(node, 1)
    os.kill(child, signal.SIGKILL)
    until(lambda: node.series()["state"] == "FAILED", "FAILED")
    assert "the machine may have run out of memory" in node.series()["error"]


@pytest.mark.slow
def test_a_series_that_kills_the_worker_each_time_is_given_up(node, worker):
    process = worker()
    started(node, 1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    connection = sqlite3.connect(node.folder / "jobs.db")
    with connection:  # as after so many deaths: each start takes seconds
        connection.execute(
            "UPDATE workflow_status SET recovery_attempts = ? WHERE workflow_uuid = ?",
            (MAX_PROCESS_RECOVERIES + 1, f"{SERIES}:1"),
        )
    connection.close()
    worker()
    until(lambda: node.series()["state"] == "FAILED", "FAILED")
    assert "the worker died each time" in node.series()["error"]
