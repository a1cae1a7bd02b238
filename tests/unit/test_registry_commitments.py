"""Storage commitments in the registry: taken once, judged in parts, reported once; and the upgrade that brings them."""

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect

from commitments import CT
from node.errors import IllegalMoveError, RegistryError
from node.registry import database, due, queries
from node.registry.associations import Opening
from node.registry.commitments import CommitmentRequest
from node.registry.database import engine, migrate, writing
from node.registry.repository import Repository
from registries import NOON, after, arrival, registry, rows


@pytest.fixture
def repository(tmp_path):
    made = registry(tmp_path)
    yield Repository(made)
    made.dispose()


def asked(token: str = "t", *, uids=("1.2.1", "1.2.2"), calling: str = "SCANNER") -> CommitmentRequest:
    references = [(CT, uid) for uid in uids]
    return CommitmentRequest(token, "1.2.77", references, calling, "PREPNODE", "10.0.0.7", "host-0:1", NOON)


def only(repository) -> dict:
    (row,) = rows(repository.engine, "commitment")
    return row


def events(repository) -> list[str]:
    return [row["name"] for row in rows(repository.engine, "event")]


def test_a_request_is_taken_once(repository):
    repository.commitment_requested(asked(), NOON)
    repository.commitment_requested(asked(), after(1))
    assert only(repository)["references"] == [[CT, "1.2.1"], [CT, "1.2.2"]]
    assert events(repository) == ["commitment.requested"]


def test_the_same_objects_in_another_order_are_the_same_request_and_are_judged_anew(repository):
    repository.commitment_requested(asked("a"), NOON)
    repository.commitment_judged("a", [0, 0], NOON)
    repository.commitment_reported("a", over="same association", now=after(1))
    repository.commitment_requested(asked("b", uids=("1.2.2", "1.2.1")), after(60))
    row = only(repository)
    assert (row["token"], row["state"], row["outcomes"], row["handover"]) == ("b", "JUDGING", [], "OPEN")
    assert row["references"] == [[CT, "1.2.2"], [CT, "1.2.1"]]


def test_what_was_found_for_an_earlier_request_does_not_count_for_the_next(repository):
    repository.commitment_requested(asked("a"), NOON)
    repository.commitment_requested(asked("b", uids=("1.2.2", "1.2.1")), NOON)
    repository.commitment_judged("a", [0x0112, 0], NOON)
    assert only(repository)["outcomes"] == []


def test_other_objects_under_a_transaction_uid_in_use_all_fail(repository):
    repository.commitment_requested(asked("a"), NOON)
    repository.commitment_requested(asked("b", uids=("1.2.3",)), NOON)
    repository.commitment_requested(asked("c", calling="OTHER"), NOON)
    found = {row["token"]: (row["state"], row["outcomes"]) for row in rows(repository.engine, "commitment")}
    assert found == {"a": ("JUDGING", []), "b": ("PENDING", [0x0131]), "c": ("JUDGING", [])}


def test_what_was_judged_in_part_goes_on_where_it_was(repository):
    repository.commitment_requested(asked(), NOON)
    repository.commitment_judged("t", [0], after(1))
    assert due.commitments_to_judge(repository.engine, NOON) == []
    (row,) = due.commitments_to_judge(repository.engine, after(1))
    assert row["outcomes"] == [0]
    repository.commitment_judged("t", [0, 0x0112], after(2))
    assert (only(repository)["state"], only(repository)["n_failed"]) == ("PENDING", 1)


def test_only_one_process_gets_what_is_due(repository):
    repository.commitment_requested(asked(), NOON)
    assert repository.commitment_claimed(1, NOON, after(60))
    assert not repository.commitment_claimed(1, NOON, after(60))
    assert due.commitments_to_judge(repository.engine, after(59)) == []
    assert len(due.commitments_to_judge(repository.engine, after(60))) == 1


def test_an_association_that_ends_before_the_result_leaves_it_for_a_new_one(repository):
    repository.commitment_requested(asked(), NOON)
    repository.commitment_closed("t", after(1))
    repository.commitment_judged("t", [0, 0], after(2))
    assert due.commitments_to_hand_over(repository.engine, after(2)) == []
    assert len(due.commitments_to_report(repository.engine, after(2))) == 1


def test_an_association_that_ends_with_the_result_makes_it_due_at_once(repository):
    repository.commitment_requested(asked(), NOON)
    repository.commitment_judged("t", [0, 0], NOON)
    repository.commitment_handed_over(1, until=after(30))
    assert due.commitments_to_hand_over(repository.engine, after(29)) == []
    repository.commitment_closed("t", after(1))
    assert len(due.commitments_to_report(repository.engine, after(1))) == 1


def test_a_result_for_an_association_whose_process_died_does_not_wait_for_it(repository):
    repository.note_associations([Opening("host-0:1", "SCANNER", "PREPNODE", "10.0.0.7", NOON)])
    repository.commitment_requested(asked(), NOON)
    repository.commitment_judged("t", [0, 0], NOON)
    repository.commitment_handed_over(1, until=after(30))
    assert due.commitments_to_hand_over(repository.engine, after(1)) == []
    repository.lose_associations("host-0:", after(1))
    (row,) = due.commitments_to_hand_over(repository.engine, after(1))
    assert row["has_ended"]


def test_a_reported_result_is_kept_in_numbers_only(repository):
    repository.commitment_requested(asked(), NOON)
    repository.commitment_judged("t", [0, 0x0110], NOON)
    assert repository.commitment_reported("t", over="new association", now=after(5))
    assert not repository.commitment_reported("t", over="same association", now=after(6))
    row = only(repository)
    assert (row["n_references"], row["n_failed"], row["references"], row["outcomes"]) == (2, 1, [], [])
    with pytest.raises(IllegalMoveError, match="REPORTED"):
        repository.retry_commitment(1, now=after(7))


def test_a_reason_is_told_once_however_often_it_comes(repository):
    repository.commitment_requested(asked(), NOON)
    repository.commitment_judged("t", [0, 0], NOON)
    for error in ("no connection", "no connection", "refused"):
        repository.commitment_attempt(1, error=error, due_at=after(30), now=NOON)
    assert events(repository).count("commitment.attempt") == 2
    assert only(repository)["attempts"] == 3


def test_a_commitment_that_does_not_exist_is_told_with_the_command_that_lists_them(repository):
    with pytest.raises(RegistryError, match="prepnode commitments list"):
        repository.retry_commitment(5, now=NOON)


def test_lists_leave_the_references_out(repository):
    repository.commitment_requested(asked(), NOON)
    (row,) = queries.commitments_list(repository.engine, state="JUDGING")
    assert row["n_references"] == 2
    assert not {"references", "outcomes"} & row.keys()
    assert queries.commitments_list(repository.engine, state="FAILED") == []


def test_a_registry_of_the_version_before_is_upgraded_with_what_it_holds(tmp_path):
    made = engine(f"sqlite:///{tmp_path / 'registry.db'}")
    config = Config()
    config.set_main_option("script_location", str(database.MIGRATIONS))
    with writing(made) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
    assert "commitment" not in inspect(made).get_table_names()
    Repository(made).register([arrival(0)], NOON)
    migrate(made)
    assert len(rows(made, "instance")) == 1
    Repository(made).commitment_requested(asked(), NOON)
    assert len(rows(made, "commitment")) == 1
    made.dispose()
