"""`prepnode commitments`: lists what was asked, and has results reported again."""

import json

import pytest
from click.testing import CliRunner

from commitments import CT
from node.cli.commitments import commitments
from node.errors import NodeError, RegistryError
from node.registry.commitments import CommitmentRequest
from node.registry.repository import Repository
from registries import NOON, registry, rows


@pytest.fixture
def repository(tmp_path):
    made = registry(tmp_path)
    repository = Repository(made)
    for token, uid in (("a", "1.2.77"), ("b", "1.2.78")):
        repository.commitment_requested(
            CommitmentRequest(
                token, uid, [(CT, "1.2.1")], "SCANNER", "PREPNODE", "10.0.0.7", "host-0:1", NOON
            ),
            NOON,
        )
        repository.commitment_judged(token, [0], NOON)
    repository.commitment_failed(2, error="given up", now=NOON)
    yield repository
    made.dispose()


@pytest.fixture
def run(repository, tmp_path):
    (tmp_path / "node.toml").write_text(f'[node]\ndata_dir = "{tmp_path}"\n')

    def call(command, *arguments):
        options = [command, "-c", str(tmp_path / "node.toml"), *arguments]
        return CliRunner().invoke(commitments, options, catch_exceptions=False)

    return call


def test_the_list_shows_the_latest_first(run):
    found = json.loads(run("list", "--json").stdout)
    assert [(row["TransactionUID"], row["state"]) for row in found] == [
        ("1.2.78", "FAILED"),
        ("1.2.77", "PENDING"),
    ]
    assert [row["id"] for row in json.loads(run("list", "--json", "--state", "failed").stdout)] == [2]
    assert run("list", "--csv").stdout.startswith("id,token,TransactionUID,calling_ae_title")


def test_what_was_given_up_is_due_again(run, repository):
    assert run("retry", "--failed").stdout == "commitment 2: due now\n"
    assert [row["state"] for row in rows(repository.engine, "commitment")] == ["PENDING", "PENDING"]


def test_a_retry_of_nothing_is_refused(run):
    with pytest.raises(NodeError, match="nothing to retry"):
        run("retry")
    with pytest.raises(RegistryError, match="no commitment 9"):
        run("retry", "9")
