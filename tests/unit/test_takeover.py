"""Jobs of a dead worker on another machine."""

from node.heartbeat import Heartbeat
from node.takeover import executor_id, take_over_dead

NOW = 1_000_000.0


class Jobs:
    executor_id = "here-worker"

    def __init__(self, *executors):
        self.running, self.taken = frozenset(executors), []

    def executors(self):
        return self.running

    def take_over(self, name):
        self.taken.append(name)
        return 2


def beat(host, age_s, *, part="worker"):
    return Heartbeat(part, host, 1, NOW - age_s, ok=True)


def test_the_jobs_of_a_worker_without_a_sign_of_life_are_taken_over():
    jobs = Jobs("dead-worker", "alive-worker", "here-worker")
    beats = [beat("dead", 90), beat("alive", 2), beat("here", 90), beat("listening", 90, part="listener-0")]
    assert take_over_dead(jobs, beats, now=NOW) == 2
    assert jobs.taken == ["dead-worker"]


def test_a_worker_that_never_left_a_heartbeat_here_is_left_alone():
    jobs = Jobs("stranger-worker")
    assert take_over_dead(jobs, [], now=NOW) == 0


def test_a_dead_worker_without_running_jobs_has_nothing_to_take():
    assert take_over_dead(Jobs(), [beat("dead", 90)], now=NOW) == 0


def test_the_name_of_an_executor_is_stable():
    assert executor_id("node-1") == "node-1-worker"
