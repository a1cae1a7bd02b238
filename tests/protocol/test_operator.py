"""A person at the command line beside a running node: looks, completes, releases, rejects, reprocesses, queries."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import data
from node.demo import TemporaryNode
from nodes import await_that, run_cli

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
GAP = "2.25.100"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """Yield a node that has received a series with a hole, for which it waits, and delivers to a folder."""
    folder = tmp_path_factory.mktemp("operator")
    (folder / "research").mkdir()
    slices = data.ct_series(slices=12, rows=32, columns=32, series_uid=GAP)
    del slices[6]
    data.write(slices, folder / "gap")
    tables = {
        "completion": {"quiet_s": 600, "settle_s": 0.5},
        "destination": [{"name": "research", "kind": "folder", "path": str(folder / "research")}],
        "route": [{"name": "ct", "match": {"Modality": "CT"}, "destinations": ["research"]}],
    }
    with TemporaryNode(tables, folder=folder / "node") as started:
        run_cli("send", str(folder / "gap"), "--to", f"127.0.0.1:{started.port}", "--called", "PREPNODE")
        yield started


def ask(node: TemporaryNode, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    return run_cli(*arguments, "-c", str(node.config_file), expect=expect)


def shown(node: TemporaryNode, uid: str = GAP) -> dict:
    return json.loads(ask(node, "series", "show", uid, "--json").stdout)[0]


def await_state(node: TemporaryNode, state: str, revision: int) -> dict:
    def found():
        series = shown(node)
        return series if (series["state"], series["revision"]) == (state, revision) else None

    return await_that(found, f"{state} at revision {revision}; log: {node.log_file}")


def delivered(node: TemporaryNode, revision: int) -> set[str]:
    folders = list((node.folder.parent / "research").rglob(f"r{revision}"))
    return {path.name for folder in folders for path in folder.iterdir()}


def await_delivered(node: TemporaryNode, revision: int) -> set[str]:
    return await_that(lambda: delivered(node, revision), f"revision {revision} at the destination")


def test_a_held_series_waits_is_looked_at_and_goes_its_way(node: TemporaryNode) -> None:
    def waits():
        return shown(node)["reason"] == "waiting: 1 position missing between others"

    await_that(waits, "the reason to wait")
    assert "waiting: 1 position missing" in ask(node, "series", "list", "--state", "receiving").stdout
    assert "only a HELD series can be released" in ask(node, "series", "release", GAP, expect=1).stderr

    ask(node, "series", "complete", GAP)
    series = await_state(node, "HELD", 1)
    assert series["reason"].startswith("operator: ")
    assert not [each for each in series["outputs"] if each["kind"] == "nifti"]
    assert await_delivered(node, 1) == {"report.json", "report.html"}

    ask(node, "series", "release", GAP)
    series = await_state(node, "PROCESSED", 2)
    assert (series["verdict"], series["released"]) == ("ACCEPT_WARN", True)
    assert {"v0.nii.gz", "v0.json", "report.json"} <= await_delivered(node, 2)

    ask(node, "series", "reprocess", GAP)
    await_state(node, "PROCESSED", 3)
    await_delivered(node, 3)
    first = json.loads(ask(node, "deliveries", "list", "--state", "delivered", "--json").stdout)[-1]["id"]
    assert (
        "cannot go from DELIVERED to PENDING" in ask(node, "deliveries", "retry", str(first), expect=1).stderr
    )
    assert "no delivery 999" in ask(node, "deliveries", "drop", "999", expect=1).stderr


def test_a_rejected_series_is_over_and_says_so(node: TemporaryNode) -> None:
    uid = "2.25.300"
    slices = data.ct_series(slices=12, rows=32, columns=32, series_uid=uid)
    del slices[6]
    data.write(slices, node.folder / "rejected")
    run_cli("send", str(node.folder / "rejected"), "--to", f"127.0.0.1:{node.port}", "--called", "PREPNODE")
    await_that(lambda: uid in ask(node, "series", "list").stdout, "the series to arrive")
    ask(node, "series", "complete", uid)
    await_that(lambda: shown(node, uid)["state"] == "HELD", "HELD")
    assert f"{uid}: PROCESSED" in ask(node, "series", "reject", uid).stdout
    series = shown(node, uid)
    assert (series["state"], series["verdict"], series["revision"]) == ("PROCESSED", "REJECT", 1)
    assert series["events"][-1]["name"] == "series.rejected"


def test_parquet_has_the_same_types_for_every_query(node: TemporaryNode, tmp_path: Path) -> None:
    schemas = []
    for where in ("1 = 1", "1 = 0"):
        command = [sys.executable, "-m", "node", "query", where, "--parquet", "-c", str(node.config_file)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        (tmp_path / "found.parquet").write_bytes(done.stdout)
        schemas.append(pq.read_schema(tmp_path / "found.parquet"))
    assert schemas[0].equals(schemas[1])
    assert schemas[0].field("cardiac_phase_percent").type == pa.float64()
    assert schemas[0].field("first_received_at").type == pa.timestamp("us", "UTC")
    assert pa.null() not in schemas[0].types


def test_a_query_that_is_more_than_a_condition_is_refused_in_words(node: TemporaryNode) -> None:
    assert "must not contain ';'" in ask(node, "query", "1=1; DROP TABLE series", expect=1).stderr
    told = ask(node, "query", "Modalty = 'CT'", expect=1).stderr
    assert "no such column: Modalty" in told
    assert "Columns: SeriesInstanceUID" in told
    assert ask(node, "query", "Modality = 'CT'", "--csv").stdout.startswith("SeriesInstanceUID,")
