from dataclasses import replace

import pytest

from node.registry.arrivals import Outcome
from node.registry.associations import Ending, Opening
from node.registry.repository import Repository
from node.registry.states import SeriesState
from phantoms import uid
from registries import NOON, after, arrival, registry, report, rows

SERIES = uid("series")


@pytest.fixture
def repository(tmp_path):
    made = Repository(registry(tmp_path))
    yield made
    made.engine.dispose()


def series(repository, name="series"):
    (row,) = rows(repository.engine, "series", SeriesInstanceUID=uid(name))
    return row


def events(repository, name="series"):
    return [row["name"] for row in rows(repository.engine, "event", SeriesInstanceUID=uid(name))]


def complete(repository, at=5.0):
    return repository.complete(SERIES, "because", {}, after(at))


def test_a_first_arrival_opens_study_and_series(repository):
    (registered,) = repository.register([arrival(0)], NOON)
    assert registered.outcome is Outcome.NEW
    assert (registered.revision, registered.is_late) == (1, False)
    row = series(repository)
    assert row["state"] == SeriesState.RECEIVING
    assert (row["revision"], row["n_instances"]) == (1, 1)
    assert (row["Modality"], row["calling_ae_title"]) == ("CT", "SENDER")
    (study,) = rows(repository.engine, "study")
    assert study["PatientID"] == "PHANTOM"
    assert events(repository) == ["series.opened"]


def test_header_facts_of_a_series_do_not_name_the_patient_or_one_instance(repository):
    repository.register([arrival(0, ConvolutionKernel="B30f", AccessionNumber="4711")], NOON)
    assert series(repository)["facts"] == {
        "Modality": "CT",
        "ConvolutionKernel": "B30f",
        "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    }


def test_positions_are_kept_per_instance(repository):
    repository.register([arrival(3), arrival(4, ImagePositionPatient=None)], NOON)
    found = {
        row["InstanceNumber"]: row["ImagePositionPatient"] for row in rows(repository.engine, "instance")
    }
    assert found == {4: [0.0, 0.0, 6.0], 5: None}


def test_the_same_again_changes_nothing_but_when_it_was_last_heard_of(repository):
    batch = [arrival(index) for index in range(3)]
    repository.register(batch, NOON)
    again = repository.register([replace(each, received_at=after(7)) for each in batch], after(7))
    assert [each.outcome for each in again] == [Outcome.DUPLICATE] * 3
    row = series(repository)
    assert (row["n_instances"], row["revision"], row["last_received_at"]) == (3, 1, after(7))
    assert len(rows(repository.engine, "instance")) == 3


def test_the_same_twice_in_one_batch_is_one_instance(repository):
    outcomes = [each.outcome for each in repository.register([arrival(0), arrival(0)], NOON)]
    assert outcomes == [Outcome.NEW, Outcome.DUPLICATE]
    assert series(repository)["n_instances"] == 1


def test_a_repeated_instance_belongs_to_the_association_that_brought_it_last(repository):
    repository.register([arrival(0, association="first")], NOON)
    repository.register([arrival(0, association="second")], after(1))
    assert [row["association"] for row in rows(repository.engine, "instance")] == ["second"]


def test_other_bytes_under_a_known_uid_are_a_conflict_and_not_counted(repository):
    repository.register([arrival(0), arrival(1)], NOON)
    (registered,) = repository.register([arrival(0, content="other")], after(1))
    assert registered.outcome is Outcome.CONFLICT
    assert series(repository)["n_instances"] == 2
    assert [row["is_conflict"] for row in rows(repository.engine, "instance")] == [False, False, True]
    assert events(repository)[-1] == "instance.conflict"


def test_a_late_instance_opens_a_new_revision(repository):
    repository.register([arrival(0)], NOON)
    complete(repository)
    (registered,) = repository.register([arrival(1, at=60)], after(60))
    assert (registered.revision, registered.is_late) == (2, True)
    row = series(repository)
    assert (row["state"], row["revision"], row["n_instances"]) == (SeriesState.RECEIVING, 2, 2)
    assert (row["reason"], row["completed_at"], row["due_at"]) == (None, None, None)
    assert events(repository)[-1] == "series.reopened"


def test_a_late_instance_takes_back_verdict_and_release(repository):
    repository.register([arrival(0)], NOON)
    repository.start(SERIES, complete(repository), after(6))
    repository.finish(SERIES, 1, report("QUARANTINE"), [], [], after(7))
    repository.release(SERIES, "someone", after(8))
    assert series(repository)["released"]
    repository.register([arrival(1)], after(9))
    row = series(repository)
    assert (row["released"], row["verdict"], row["revision"]) == (False, None, 3)


def test_a_late_duplicate_opens_nothing(repository):
    repository.register([arrival(0)], NOON)
    complete(repository)
    repository.register([arrival(0, at=60)], after(60))
    row = series(repository)
    assert (row["state"], row["revision"], row["last_received_at"]) == (SeriesState.COMPLETE, 1, NOON)


def test_a_late_conflict_opens_a_revision_so_that_it_is_judged(repository):
    repository.register([arrival(0)], NOON)
    complete(repository)
    repository.register([arrival(0, content="other")], after(60))
    row = series(repository)
    assert (row["state"], row["revision"], row["n_instances"]) == (SeriesState.RECEIVING, 2, 1)


def test_a_new_instance_clears_the_deadline(repository):
    repository.register([arrival(0)], NOON)
    repository.set_due(SERIES, after(10))
    assert series(repository)["due_at"] == after(10)
    repository.register([arrival(1, at=3)], after(3))
    assert series(repository)["due_at"] is None


def test_series_that_arrive_interleaved_are_counted_apart(repository):
    batch = [arrival(index // 2, series=name) for index, name in enumerate(["left", "right"] * 50)]
    repository.register(batch, NOON)
    assert series(repository, "left")["n_instances"] == series(repository, "right")["n_instances"] == 50


def test_a_batch_of_two_thousand_is_registered(repository):
    repository.register([arrival(index) for index in range(2000)], NOON)
    assert series(repository)["n_instances"] == len(rows(repository.engine, "instance")) == 2000


def test_an_instance_of_four_gigabytes_fits(repository):
    repository.register([replace(arrival(0), size_bytes=5 * 1024**3)], NOON)
    assert rows(repository.engine, "instance")[0]["size_bytes"] == 5 * 1024**3


def test_a_value_that_breaks_the_standard_does_not_break_the_registry(repository):
    repository.register([arrival(0, Modality="M" * 400, FrameOfReferenceUID="1" * 99)], NOON)
    row = series(repository)
    assert (row["Modality"], row["FrameOfReferenceUID"]) == (None, None)


def test_the_end_of_an_association_makes_its_series_due(repository):
    repository.note_associations([Opening("a", "SENDER", "PREPNODE", "::1", NOON)])
    repository.register([arrival(0), arrival(0, series="other", association="b")], NOON)
    repository.set_due(SERIES, after(10))
    repository.set_due(uid("other"), after(10))
    repository.note_associations([], [Ending("a", "released", after(2), n_received=1, n_bytes=1000)])
    assert series(repository)["due_at"] is None
    assert series(repository, "other")["due_at"] == after(10)
    (row,) = rows(repository.engine, "association")
    assert (row["end"], row["ended_at"], row["n_received"]) == ("released", after(2), 1)


def test_associations_of_a_process_that_died_are_lost(repository):
    names = ("listener-0.1", "listener-0.2", "listener-1.1")
    repository.note_associations(
        [Opening(name, "S", "P", "::1", NOON) for name in names],
        [Ending("listener-0.1", "released", after(1))],
    )
    assert repository.lose_associations("listener-0.", after(9)) == 1
    ends = {row["id"]: row["end"] for row in rows(repository.engine, "association")}
    assert ends == {"listener-0.1": "released", "listener-0.2": "lost", "listener-1.1": None}
