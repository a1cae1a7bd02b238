"""The sweep: what is due gets a job, what is lost gets a new one, what kills workers has failed."""

import pytest

from node.jobs import JobState
from node.sweep import Sweep
from registered import SERIES, Node


class Jobs:
    """A job engine that only remembers."""

    destinations = frozenset({"research"})

    def __init__(self):
        self.submitted, self.deliveries, self.states = [], [], {}

    def submit(self, series_uid, revision):
        self.submitted.append((series_uid, revision))

    def submit_delivery(self, delivery_id, destination):
        self.deliveries.append((delivery_id, destination))

    def state(self, series_uid, revision):
        return self.states.get((series_uid, revision), JobState.NONE)


class Runner:
    def __init__(self):
        self.warmed = 0

    def warm(self):
        self.warmed += 1

    def close_idle(self):
        return 0


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path / "data")
    path = tmp_path / "a.dcm"
    path.write_bytes(b"a")
    node.arrive([path])
    yield node
    node.close()


@pytest.fixture
def jobs():
    return Jobs()


@pytest.fixture
def runner():
    return Runner()


@pytest.fixture
def sweep(node, jobs, runner):
    return Sweep(node.repository, jobs, runner, now=node.clock, again_s=0)


def test_a_receiving_series_gets_a_warm_child_but_no_job(sweep, jobs, runner):
    assert sweep.run_once() == 0
    assert jobs.submitted == []
    assert runner.warmed == 1


def test_a_complete_series_gets_a_job(sweep, jobs, runner, node):
    node.complete()
    assert sweep.run_once() == 1
    assert jobs.submitted == [(SERIES, 1)]
    assert runner.warmed == 0


def test_what_was_submitted_a_moment_ago_is_not_asked_about_again(node, jobs, runner):
    node.complete()
    sweep = Sweep(node.repository, jobs, runner, now=node.clock, again_s=3600)
    sweep.run_once()
    sweep.run_once()
    assert jobs.submitted == [(SERIES, 1)]


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.WAITING])
def test_a_processing_series_with_a_living_job_is_left_alone(sweep, jobs, node, state):
    node.complete()
    node.repository.start(SERIES, 1, node.clock())
    jobs.states[SERIES, 1] = state
    assert sweep.run_once() == 0
    assert node.series()["state"] == "PROCESSING"


@pytest.mark.parametrize("state", [JobState.NONE, JobState.DONE, JobState.FAILED])
def test_a_processing_series_whose_job_is_gone_goes_back_and_gets_a_new_one(sweep, jobs, node, state):
    node.complete()
    node.repository.start(SERIES, 1, node.clock())
    jobs.states[SERIES, 1] = state
    assert sweep.run_once() == 1
    assert node.series()["state"] == "COMPLETE"
    assert node.series()["revision"] == 1
    assert jobs.submitted == [(SERIES, 1)]


def test_a_series_that_kills_every_worker_has_failed_and_says_so(sweep, jobs, node):
    node.complete()
    node.repository.start(SERIES, 1, node.clock())
    jobs.states[SERIES, 1] = JobState.POISONED
    sweep.run_once()
    assert node.series()["state"] == "FAILED"
    assert "the worker died each time" in node.series()["error"]
    assert jobs.submitted == []


def test_deliveries_get_a_job_when_they_are_due(sweep, jobs, node):
    node.complete()
    node.finish(deliveries=[{"destination": "research", "send": ["report"]}])
    sweep.run_once()
    assert jobs.deliveries == [(1, "research")]
    due = node.clock()
    node.clock.advance(seconds=1)
    node.repository.delivery_attempt(1, error="down", due_at=due.replace(hour=13), now=node.clock())
    sweep.run_once()
    assert len(jobs.deliveries) == 1
    node.clock.advance(hours=1)
    sweep.run_once()
    assert len(jobs.deliveries) == 2


def test_a_delivery_to_a_destination_that_was_removed_is_given_up(sweep, jobs, node):
    node.complete()
    node.finish(deliveries=[{"destination": "gone", "send": ["report"]}])
    sweep.run_once()
    assert jobs.deliveries == []
    assert node.delivery()["state"] == "FAILED"
    assert "'gone' is no longer in the configuration" in node.delivery()["error"]


def test_a_wake_ends_the_pause_between_two_passes(sweep):
    sweep.wake()
    sweep.wait(3600)
