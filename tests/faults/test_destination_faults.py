"""Destinations that are down: they delay no other, and nothing is lost when the worker dies while it sends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pydicom
import pytest

import data
from faulty_peers import RawPeer, ScriptedPeer
from node.clock import utc_now
from node.forwarding.attempt import DeliveryWork
from node.jobs import JobEngine
from node.sweep import Sweep
from registered import SERIES, STUDY, Node

TESTS = Path(__file__).parent.parent
WAIT_S = 60
N_SERIES = 4


def until(condition, what, *, meanwhile=lambda: None):
    deadline = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        meanwhile()
        time.sleep(0.02)
    return found


class NoRunner:
    def warm(self):
        pass

    def close_idle(self):
        return 0


@pytest.fixture
def make_node(tmp_path):
    nodes = []

    def make(*destinations):
        node = Node(tmp_path / "data", {"destination": destinations}, clock=utc_now)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.close()


@pytest.mark.slow
def test_a_dead_destination_does_not_delay_a_healthy_one(make_node, tmp_path):
    """While every attempt at the dead one still waits for its answer, the healthy one has got everything."""
    (tmp_path / "research").mkdir()
    with RawPeer("never answers") as peer:
        node = make_node(
            {"name": "dead", "kind": "dicom", "host": "127.0.0.1", "port": peer.port, "called_aet": "X"},
            {"name": "healthy", "kind": "folder", "path": str(tmp_path / "research")},
        )
        files = data.write(data.ct_series(slices=2, rows=16, columns=16), tmp_path / "in")
        deliveries = [{"destination": name, "send": ["originals"]} for name in ("dead", "healthy")]
        for number in range(N_SERIES):
            uid = f"{SERIES}.{number}"
            node.arrive(files, series=uid)
            node.complete(uid)
            node.finish(deliveries=deliveries, series=uid)
        work = DeliveryWork(node.config, node.repository, now=utc_now)
        jobs = JobEngine(node.config, lambda *_: None, work, executor_id="test")
        jobs.start()
        try:
            sweep = Sweep(node.repository, jobs, NoRunner(), now=utc_now)
            until(lambda: peer.connections >= 2, "attempts at the dead destination", meanwhile=sweep.run_once)
            rows = until(
                lambda: delivered(node, N_SERIES), "the healthy deliveries", meanwhile=sweep.run_once
            )
        finally:
            jobs.stop()
    assert {row["destination"] for row in rows if row["state"] == "DELIVERED"} == {"healthy"}
    assert all(row["attempts"] == 0 for row in rows if row["destination"] == "dead")
    assert peer.connections == 2  # no more than its `concurrency`
    assert len(list((tmp_path / "research" / STUDY).iterdir())) == N_SERIES


def delivered(node, count):
    rows = [node.delivery(number) for number in range(1, 2 * N_SERIES + 1)]
    return rows if sum(row["state"] == "DELIVERED" for row in rows) >= count else None


@pytest.mark.slow
def test_a_worker_killed_while_it_sends_delivers_everything_after_its_restart(make_node, tmp_path):
    datasets = data.ct_series(slices=12, rows=16, columns=16)
    files = {pydicom.dcmread(path).SOPInstanceUID: path for path in data.write(datasets, tmp_path / "in")}
    with ScriptedPeer(delay_s=0.2) as peer:
        pacs = {"kind": "dicom", "host": "127.0.0.1", "port": peer.port, "called_aet": "PACS"}
        node = make_node({"name": "pacs", **pacs})
        node.arrive(list(files.values()), sops=list(files))
        node.complete()
        node.finish(deliveries=[{"destination": "pacs", "send": ["originals"]}])
        first = start_worker(node)
        try:
            until(lambda: len(peer.received) >= 4, "the first objects")
        finally:
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
        assert node.delivery()["state"] == "PENDING"
        peer.delay_s = 0.0
        second = start_worker(node)
        try:
            until(lambda: node.delivery()["state"] == "DELIVERED", "the delivery")
        finally:
            second.terminate()
            assert second.wait(WAIT_S) == 0
    assert set(peer.received) == set(files)
    assert len(node.events("delivery.done")) == 1


def start_worker(node):
    return subprocess.Popen(
        [sys.executable, str(TESTS / "worker_process.py"), "host-worker", node.config.model_dump_json()],
        env=os.environ | {"PYTHONPATH": str(TESTS.parent)},
    )
