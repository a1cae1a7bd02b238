"""The job engine on SQLite: ids, repeats, queues, retries."""

import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from node.config import Config
from node.errors import NodeError
from node.jobs import JobEngine, JobState

UID = "1.2.826.0.1.3680043.8.498.1"
WAIT_S = 30


class Work:
    """What the engine is handed: records each call, and says when."""

    def __init__(self):
        self.processed, self.delivered, self.times = [], [], []
        self.changed = threading.Condition()
        self.on_process = lambda uid, revision: None
        self.on_deliver = lambda delivery_id: None

    def process(self, uid, revision):
        with self.changed:
            self.processed.append((uid, revision))
            self.times.append(time.monotonic())
            self.changed.notify_all()
        self.on_process(uid, revision)

    def deliver(self, delivery_id):
        with self.changed:
            self.delivered.append(delivery_id)
            self.changed.notify_all()
        return self.on_deliver(delivery_id)

    def wait_for(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, WAIT_S)


def until(condition):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def config(tmp_path):
    folder = {"kind": "folder", "path": tmp_path}
    destinations = ({"name": "dead", "concurrency": 1, **folder}, {"name": "healthy", **folder})
    return Config(node={"data_dir": tmp_path}, jobs={"workers": 2}, destination=destinations)


@pytest.fixture
def work():
    return Work()


@pytest.fixture
def engine(config, work):
    engine = JobEngine(config, work.process, work.deliver, executor_id="test-0")
    engine.start()
    yield engine
    engine.stop()


def test_a_submitted_series_is_processed_once_however_often_it_is_submitted(engine, work):
    gate = threading.Event()
    work.on_process = lambda uid, revision: gate.wait(WAIT_S)
    ids = {engine.submit(UID, 1) for _ in range(5)}
    work.wait_for(lambda: work.processed)
    ids |= {engine.submit(UID, 1) for _ in range(5)}
    assert engine.state(UID, 1) is JobState.RUNNING
    gate.set()
    until(lambda: engine.state(UID, 1) is JobState.DONE)
    assert ids == {f"{UID}:1"}
    assert work.processed == [(UID, 1)]


def test_a_job_starts_within_a_fifth_of_a_second(engine, work):
    engine.submit(UID, 1)  # the first brings the queue's thread up
    work.wait_for(lambda: len(work.times) == 1)
    waits = []
    for revision in range(2, 12):
        submitted = time.monotonic()
        engine.submit(UID, revision)
        work.wait_for(lambda n=revision: len(work.times) == n)
        waits.append(work.times[-1] - submitted)
    assert sorted(waits)[len(waits) // 2] < 0.2, waits


def test_work_that_the_registry_wants_again_gets_a_job_of_its_own(engine, work):
    assert engine.submit(UID, 1) == f"{UID}:1"
    until(lambda: engine.state(UID, 1) is JobState.DONE)
    assert engine.submit(UID, 1) == f"{UID}:1:2"
    until(lambda: engine.state(UID, 1) is JobState.DONE)
    assert engine.submit(UID, 1) == f"{UID}:1:3"
    assert (
        work.processed == [(UID, 1)] * 2
    )  # the third waits a little: a job that always fails is no hot loop
    assert engine.state(UID, 1) is JobState.WAITING


def test_revision_one_is_not_mistaken_for_revision_ten(engine, work):
    engine.submit(UID, 10)
    work.wait_for(lambda: work.processed == [(UID, 10)])
    assert engine.state(UID, 1) is JobState.NONE
    assert engine.submit(UID, 1) == f"{UID}:1"


def test_a_job_whose_work_raises_ends_as_failed_and_is_not_repeated_by_itself(engine, work):
    def fail(uid, revision):
        raise OSError("the registry cannot be reached")

    work.on_process = fail
    engine.submit(UID, 1)
    until(lambda: engine.state(UID, 1) is JobState.FAILED)
    assert work.processed == [(UID, 1)]


def test_no_more_series_run_at_once_than_there_are_workers(engine, work):
    running, peak, lock, gate = 0, 0, threading.Lock(), threading.Event()

    def count(uid, revision):
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        gate.wait(0.3)
        with lock:
            running -= 1

    work.on_process = count
    for number in range(6):
        engine.submit(f"{UID}.{number}", 1)
    until(lambda: len(work.processed) == 6 and not engine.list())
    assert peak == 2


def test_a_destination_that_hangs_delays_no_other(engine, work):
    gate = threading.Event()
    work.on_deliver = lambda delivery_id: gate.wait(WAIT_S) and None if delivery_id < 100 else None
    for number in range(3):
        engine.submit_delivery(number, "dead")
    work.wait_for(lambda: work.delivered)
    engine.submit_delivery(100, "healthy")
    work.wait_for(lambda: 100 in work.delivered)
    assert len([number for number in work.delivered if number < 100]) == 1
    gate.set()
    until(lambda: not engine.list())


def test_a_delivery_that_wants_another_attempt_waits_without_a_thread(engine, work):
    waits = iter([0.01, 3600.0])
    work.on_deliver = lambda delivery_id: next(waits)
    engine.submit_delivery(7, "healthy")
    work.wait_for(lambda: work.delivered == [7, 7])
    until(lambda: [job.id for job in engine.list()] == ["delivery:7:3"])
    assert engine.delivery_state(7) is JobState.WAITING


def test_an_operator_brings_a_waiting_delivery_forward(engine, work):
    waits = iter([3600.0, None])
    work.on_deliver = lambda delivery_id: next(waits)
    engine.submit_delivery(7, "healthy")
    until(lambda: [job.id for job in engine.list()] == ["delivery:7:2"])
    assert engine.submit_delivery(7, "healthy") == "delivery:7:2"
    work.wait_for(lambda: work.delivered == [7, 7])
    until(lambda: engine.delivery_state(7) is JobState.DONE)


def test_a_waiting_job_can_be_cancelled(engine, work):
    engine.submit_delivery(7, "healthy", delay_s=3600)
    engine.cancel("delivery:7:1")
    assert engine.delivery_state(7) is JobState.FAILED
    assert work.delivered == []


def test_ended_jobs_are_pruned_and_waiting_ones_kept(engine, work):
    engine.submit(UID, 1)
    engine.submit_delivery(7, "healthy", delay_s=3600)
    until(lambda: engine.state(UID, 1) is JobState.DONE)
    later = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=8)
    assert engine.prune(older_than=timedelta(days=9), now=later) == 0
    assert engine.prune(older_than=timedelta(days=7), now=later) == 1
    assert engine.state(UID, 1) is JobState.NONE
    assert engine.delivery_state(7) is JobState.WAITING


def test_what_waited_when_the_engine_stopped_runs_after_its_next_start(config, work):
    first = JobEngine(config, work.process, work.deliver, executor_id="test-0")
    first.start()
    first.submit_delivery(7, "healthy", delay_s=2)
    first.stop()
    assert work.delivered == []
    second = JobEngine(config, work.process, work.deliver, executor_id="test-0")
    second.start()
    try:
        work.wait_for(lambda: work.delivered == [7])
    finally:
        second.stop()


def test_the_job_database_is_in_wal_mode_and_holds_no_pickle(engine, work, config, tmp_path):
    engine.submit(UID, 1)
    until(lambda: engine.state(UID, 1) is JobState.DONE)
    connection = sqlite3.connect(tmp_path / "jobs.db")
    try:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        dump = "\n".join(connection.iterdump())
    finally:
        connection.close()
    assert f'{{"namedArgs":{{}},"positionalArgs":["{UID}",1]}}' in dump
    assert "pickle" not in dump


def test_the_engine_writes_nothing_to_the_console(config, work, capfd):
    engine = JobEngine(config, work.process, work.deliver, executor_id="test-0")
    engine.start()
    engine.stop()
    assert capfd.readouterr() == ("", "")


def test_a_damaged_database_of_jobs_is_told_with_what_to_do(config, work, tmp_path):
    (tmp_path / "jobs.db").write_bytes(b"no database at all " * 300)
    with pytest.raises(NodeError, match=r"jobs\.db: .*delete it: jobs are made again from the registry"):
        JobEngine(config, work.process, work.deliver, executor_id="here").start()
