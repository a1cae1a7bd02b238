from datetime import timedelta

import pytest

from node.completion import CompletionPolicy
from node.completion_loop import CompletionLoop
from node.registry.associations import Ending, Opening
from node.registry.repository import Repository
from phantoms import uid
from registries import NOON, after, arrival, registry, rows

SERIES = uid("series")
POLICY = CompletionPolicy(quiet_s=10, settle_s=1, cap_s=3600)


class Clock:
    """A wall clock and a monotonic one; `jump` moves the wall clock alone."""

    def __init__(self):
        self.wall, self.steady = NOON, 0.0

    def go(self, seconds):
        self.wall += timedelta(seconds=seconds)
        self.steady += seconds

    def jump(self, seconds):
        self.wall += timedelta(seconds=seconds)

    @property
    def at(self):
        return (self.wall - NOON).total_seconds()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def repository(tmp_path):
    made = Repository(registry(tmp_path))
    yield made
    made.engine.dispose()


def loop_of(repository, clock, **options):
    return CompletionLoop(
        repository, POLICY, now=lambda: clock.wall, monotonic=lambda: clock.steady, **options
    )


@pytest.fixture
def loop(repository, clock):
    return loop_of(repository, clock)


def receive(repository, clock, indices, association="a", **facts):
    batch = [arrival(index, at=clock.at, association=association, **facts) for index in indices]
    repository.register(batch, clock.wall)


def opened(repository, clock, association="a"):
    repository.note_associations([Opening(association, "SENDER", "PREPNODE", "::1", clock.wall)])


def send(repository, clock, indices, association="a", end="released", **facts):
    opened(repository, clock, association)
    receive(repository, clock, indices, association, **facts)
    repository.note_associations([], [Ending(association, end, clock.wall)])


def series(repository):
    return rows(repository.engine, "series")[0]


def completed_at(loop, clock, until=4000, step=0.25):
    """Run the loop until it completes a series; return the time at which it did."""
    while clock.at < until:
        if loop.run_once():
            return clock.at
        clock.go(step)
    return None


def test_a_released_contiguous_series_is_complete_a_second_after_its_last_slice(repository, clock, loop):
    send(repository, clock, range(20))
    assert completed_at(loop, clock) == 1.0
    row = series(repository)
    assert row["reason"] == "association released, 20 positions contiguous, quiet 1.0 s"
    assert row["evidence"]["n_instances"] == 20


def test_slices_in_any_order_over_several_associations_are_one_series(repository, clock, loop):
    for name, indices in (("a", range(19, 0, -2)), ("b", range(0, 20, 2))):
        send(repository, clock, indices, name)
    assert completed_at(loop, clock) == 1.0


def test_a_series_with_a_hole_waits_for_the_missing_slice(repository, clock, loop):
    send(repository, clock, [index for index in range(20) if index != 7])
    assert completed_at(loop, clock, until=600) is None
    send(repository, clock, [7], "b")
    start = clock.at
    assert completed_at(loop, clock) == start + 1.0


def test_a_hole_that_is_not_filled_is_completed_at_the_cap_with_a_finding(repository, clock, loop):
    send(repository, clock, [index for index in range(20) if index != 7])
    assert completed_at(loop, clock, step=10) == 3600
    assert series(repository)["evidence"]["findings"][0]["code"] == "GEO-015"


def test_a_repeated_transfer_heals_an_aborted_one(repository, clock, loop):
    send(repository, clock, range(20), end="aborted")
    assert completed_at(loop, clock, until=30) is None
    send(repository, clock, range(20), "again")
    start = clock.at
    assert completed_at(loop, clock) == start + 1.0


def test_a_sender_that_stalls_is_waited_for(repository, clock, loop):
    opened(repository, clock)
    for index in range(6):
        receive(repository, clock, [index])
        assert completed_at(loop, clock, until=clock.at + 9) is None
    repository.note_associations([], [Ending("a", "released", clock.wall)])
    assert completed_at(loop, clock) is not None
    assert series(repository)["revision"] == 1


def test_what_comes_after_all_opens_a_revision(repository, clock, loop):
    send(repository, clock, range(20))
    completed_at(loop, clock)
    clock.go(60)
    send(repository, clock, [20, 21], "late")
    start = clock.at
    assert completed_at(loop, clock) == start + 1.0
    assert series(repository)["revision"] == 2


def test_a_deadline_survives_a_restart(repository, clock, loop):
    receive(repository, clock, [0])
    clock.go(4)
    assert loop.run_once() == []
    assert series(repository)["due_at"] == after(10)
    assert completed_at(loop_of(repository, clock), clock) == 10.0


def test_a_series_that_waits_is_not_looked_at_before_its_deadline(repository, clock, loop, monkeypatch):
    receive(repository, clock, [0])
    clock.go(2)
    loop.run_once()
    monkeypatch.setattr(loop, "_look_at", lambda *_: pytest.fail("looked at"))
    clock.go(7)
    assert loop.run_once() == []


def test_the_end_of_an_association_is_noticed_at_once(repository, clock, loop):
    opened(repository, clock)
    receive(repository, clock, range(5))
    clock.go(3)
    assert loop.run_once() == []
    repository.note_associations([], [Ending("a", "released", clock.wall)])
    assert loop.run_once() == [(SERIES, 1)]


def test_one_multi_frame_object_is_a_series_by_itself(repository, clock, loop):
    send(repository, clock, [0], NumberOfFrames=200, ImagePositionPatient=None)
    assert completed_at(loop, clock) == 1.0


@pytest.mark.parametrize(("modality", "expected"), [("MG", 1.0), ("CT", 10.0)])
def test_one_image_is_a_series_by_itself_where_that_is_usual(repository, clock, loop, modality, expected):
    send(repository, clock, [0], Modality=modality)
    assert completed_at(loop, clock) == expected


def test_fewer_instances_than_an_acquisition_brought_are_not_taken_as_complete_at_once(
    repository, clock, loop
):
    send(repository, clock, range(20), ImagesInAcquisition=24)  # four of them may be in another series
    assert completed_at(loop, clock) == 10.0


def test_fewer_instances_than_a_concatenation_has_are_waited_for(repository, clock, loop):
    send(repository, clock, range(20), InConcatenationTotalNumber=24)
    assert completed_at(loop, clock, until=100) is None
    send(repository, clock, range(20, 24), "b")
    start = clock.at
    assert completed_at(loop, clock) == start + 1.0


def test_a_peer_may_have_its_own_patience(repository, clock):
    receive(repository, clock, [0])
    assert completed_at(loop_of(repository, clock, quiet_by_peer={"SENDER": 30.0}), clock) == 30.0


def test_a_conflicting_instance_does_not_spoil_the_geometry(repository, clock, loop):
    send(repository, clock, range(20))
    repository.register([arrival(3, content="other")], clock.wall)
    assert completed_at(loop, clock) == 1.0


def test_a_completed_series_is_handed_on(repository, clock):
    handed = []
    loop = loop_of(repository, clock, on_complete=lambda *key: handed.append(key))
    send(repository, clock, range(20))
    completed_at(loop, clock)
    assert handed == [(SERIES, 1)]


def test_a_series_that_a_person_completed_is_left_alone(repository, clock, loop):
    receive(repository, clock, [0])
    repository.complete_by_operator(SERIES, "eva", clock.wall)
    clock.go(100)
    assert loop.run_once() == []


@pytest.mark.parametrize("seconds", [3600, -3600, 365 * 86400, -365 * 86400])
def test_a_clock_that_jumps_completes_nothing_early_and_delays_nothing(repository, clock, loop, seconds):
    opened(repository, clock)
    receive(repository, clock, range(5))
    clock.go(2)
    assert loop.run_once() == []
    clock.jump(seconds)
    assert loop.run_once() == []
    clock.go(5)
    receive(repository, clock, [5])
    for _ in range(39):
        clock.go(0.25)
        assert loop.run_once() == []
    clock.go(0.25)
    assert loop.run_once() == [(SERIES, 1)]


def test_a_clock_that_was_set_back_while_the_node_was_down_holds_nothing_up(repository, clock):
    receive(repository, clock, [0])
    clock.jump(-3600)
    loop = loop_of(repository, clock)
    for _ in range(40):
        assert loop.run_once() == []
        clock.go(0.25)
    assert loop.run_once() == [(SERIES, 1)]


def test_a_series_that_waits_says_what_for_and_forgets_it_when_complete(repository, clock, loop):
    send(repository, clock, [0, 1, 2, 3, 5, 6, 7, 8, 9])
    clock.go(2)
    loop.run_once()
    (waiting,) = rows(repository.engine, "series")
    assert waiting["reason"] == "waiting: 1 position missing between others"
    assert waiting["due_at"] == after(3600)
    receive(repository, clock, [4])
    clock.go(2)
    loop.run_once()
    (complete,) = rows(repository.engine, "series")
    assert complete["reason"] == "association released, 10 positions contiguous, quiet 2.0 s"
