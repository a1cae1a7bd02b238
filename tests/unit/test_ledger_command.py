"""`prepnode ledger` and `prepnode registry verify` at the command line, beside a node that does not run."""

import csv
import io
import json
import sqlite3

import pytest
from click.testing import CliRunner
from prometheus_client import generate_latest

from ledgers import Receiver, content
from node.cli.ledger import ledger
from node.cli.registry import registry
from node.config import Config
from node.health import metrics_registry
from registries import rows


@pytest.fixture
def node(tmp_path):
    made = Receiver(tmp_path / "data")
    (tmp_path / "node.toml").write_text(f'[node]\ndata_dir = "{tmp_path / "data"}"\n')
    for number in range(3):
        made.receive(content(number))
    made.register()
    yield made
    made.close()


@pytest.fixture
def ask(node, tmp_path):
    def asked(command, *arguments, expect=0):
        done = CliRunner().invoke(command, [*arguments, "-c", str(tmp_path / "node.toml")])
        assert done.exit_code == expect, (done.output, done.exception)
        return done

    return asked


def lose(node, number=7):
    node.receive(content(number)).path.unlink()


def test_a_node_that_has_lost_nothing_balances(ask):
    done = ask(ledger)
    assert "PACS1" in done.stdout
    (line,) = json.loads(ask(ledger, "--json").stdout)
    assert (line["acknowledged"], line["registered"], line["receiving"], line["lost"]) == (3, 3, 3, 0)
    assert line["balance"] == "yes"


def test_a_loss_is_told_in_a_sentence_and_by_the_exit_code(node, ask):
    lose(node)
    done = ask(ledger, expect=1)
    assert "1 acknowledged objects are lost" in done.stderr
    assert "have PACS1 send" in done.stderr
    (line,) = csv.DictReader(io.StringIO(ask(ledger, "--csv", expect=1).stdout))
    assert (line["acknowledged"], line["registered"], line["lost"], line["balance"]) == ("4", "3", "1", "NO")


def test_a_loss_that_is_known_is_settled_once(node, ask):
    lose(node)
    (line,) = json.loads(ask(ledger, "--json", expect=1).stdout)
    assert "1 objects settled" in ask(ledger, "--settle", line["day"], "PACS1").stdout
    ask(ledger)
    done = ask(ledger, "--settle", line["day"], "PACS1", expect=1)
    assert "nothing to settle" in str(done.exception)
    ask(ledger, "--settle", "yesterday", "PACS1", expect=2)


def test_a_loss_is_a_metric(node, tmp_path):
    config = Config(node={"data_dir": tmp_path / "data"})

    def figures():
        text = generate_latest(metrics_registry(config, node.engine)).decode()
        return [line for line in text.splitlines() if line.startswith("prepnode_ledger")]

    assert figures() == ["prepnode_ledger_unbalanced 0.0", "prepnode_ledger_lost 0.0"]
    lose(node, 7)
    lose(node, 8)
    assert figures() == ["prepnode_ledger_unbalanced 1.0", "prepnode_ledger_lost 2.0"]


def test_verify_says_that_all_is_well_and_leaves_a_note(node, ask):
    done = ask(registry, "verify", "--max-mb-per-s", "1000")
    assert "3 verified" in done.stderr
    assert done.stdout == ""
    (event,) = rows(node.engine, "event", name="registry.verified")
    assert event["details"]["counts"]["verified"] == 3
    assert event["details"]["bytes"] > 0


def test_verify_lists_what_is_wrong_and_fails(node, ask):
    missing, corrupt, _ = sorted((node.spool.root / "store").rglob("*.dcm"))
    missing.unlink()
    corrupt.write_bytes(corrupt.read_bytes()[:-2] + b"xy")
    found = json.loads(ask(registry, "verify", "--json", expect=1).stdout)
    assert {(each["problem"], each["path"]) for each in found} == {
        ("MISSING", str(missing)),
        ("CORRUPT", str(corrupt)),
    }
    done = ask(registry, "verify", expect=1)
    assert "MISSING" in done.stdout
    assert "1 verified, 0 removed, 1 missing, 1 corrupt" in done.stderr


def test_a_registry_of_an_older_version_is_told_as_such(node, tmp_path):
    with sqlite3.connect(node.folder / "registry.db") as connection:
        connection.execute("DROP TABLE ledger")
    connection.close()
    done = CliRunner().invoke(ledger, ["-c", str(tmp_path / "node.toml")])
    assert done.exit_code == 1
    assert "`prepnode registry migrate`" in str(done.exception)
