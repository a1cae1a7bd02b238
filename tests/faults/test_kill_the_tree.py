"""kill -9 of the whole process tree at each state of a series: nothing acknowledged is lost, every series ends once."""

import json
import sqlite3
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest

import data
from node.demo import TemporaryNode
from nodes import await_end_states, await_that, run_cli

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
SERIES = 4
SLICES = 16
STATES = ("RECEIVING", "COMPLETE", "PROCESSING", "PROCESSED")
KEYS = {"completion": {"quiet_s": 2, "settle_s": 0.5}, "jobs": {"workers": 1}}


def rows_of(node: TemporaryNode, query: str) -> list[tuple]:
    with sqlite3.connect(f"file:{node.data_dir / 'registry.db'}?mode=ro", uri=True) as registry:
        return registry.execute(query).fetchall()


def states_of(node: TemporaryNode) -> set[str]:
    try:
        return {state for (state,) in rows_of(node, "SELECT state FROM series")}
    except sqlite3.OperationalError:
        return set()


def half_written(node: TemporaryNode) -> list[Path]:
    return [path for path in (node.data_dir / "outputs").rglob(".*") if path.is_dir()]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    for number in range(SERIES):
        series = data.ct_series(slices=SLICES, rows=64, columns=64, series_uid=f"2.25.90{number}")
        data.write(series, tmp_path / "study" / str(number))
    return tmp_path / "study"


@pytest.mark.parametrize("state", STATES)
def test_kill_at_state_loses_nothing_and_ends_every_series_once(
    state: str, study: Path, tmp_path: Path
) -> None:
    destination = {"name": "out", "kind": "folder", "path": str(tmp_path / "delivered")}
    route = {"name": "all", "destinations": ["out"], "send": ["outputs"]}
    tables = KEYS | {"destination": [destination], "route": [route]}
    (tmp_path / "delivered").mkdir()
    with TemporaryNode(tables, folder=tmp_path / "node") as node:
        run_cli("send", str(study), "--to", f"127.0.0.1:{node.port}", "--called", "PREPNODE")
        await_that(lambda: state in states_of(node), f"a series to be {state}")
        node.kill()
        node.start()
        await_end_states(node, series=SERIES, deliveries=SERIES)
        assert half_written(node) == []
        assert rows_of(node, "SELECT COUNT(*) FROM instance") == [(SERIES * SLICES,)]
        assert list((node.data_dir / "spool" / "tmp").iterdir()) == []
        assert list((node.data_dir / "spool" / "new").iterdir()) == []
        ends = Counter(
            rows_of(node, "SELECT SeriesInstanceUID, revision FROM event WHERE name = 'series.processed'")
        )
        assert len(ends) == SERIES
        assert set(ends.values()) == {1}
        for report in (node.data_dir / "outputs").rglob("report.json"):
            assert json.loads(report.read_text())["verdict"] in ("ACCEPT", "ACCEPT_WARN")
    assert len(list((tmp_path / "delivered").rglob("*.nii.gz"))) == SERIES


def test_kills_while_receiving_lose_no_acknowledged_instance(study: Path, tmp_path: Path) -> None:
    with TemporaryNode(KEYS, folder=tmp_path / "node") as node:
        acknowledged: set[str] = set()
        for _ in range(5):
            sender = subprocess.Popen(
                ["storescu", "-v", "-R", "-aec", "PREPNODE", "127.0.0.1", str(node.port), "+sd", "+r", str(study)],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            reader = threading.Thread(target=_collect, args=(sender, acknowledged))
            reader.start()
            await_that(
                lambda sender=sender: len(acknowledged) % 17 > 5 or sender.poll() is not None,
                "some acknowledgements",
            )
            node.kill()
            sender.wait(30)
            reader.join()
            node.start()
        registered = {path.name for path in (node.data_dir / "spool" / "store").rglob("*.dcm")}
        assert acknowledged
        await_that(
            lambda: (
                rows_of(node, "SELECT COUNT(DISTINCT SOPInstanceUID) FROM instance")[0][0]
                >= len(acknowledged)
            ),
            "all acknowledged instances to be registered",
        )
        assert len(registered) <= SERIES * SLICES
        assert list((node.data_dir / "spool" / "tmp").iterdir()) == []


def _collect(sender: subprocess.Popen[str], acknowledged: set[str]) -> None:
    """Note the file of each C-STORE that storescu reports as acknowledged with success."""
    sending = ""
    for line in sender.stdout or ():
        if "Sending file:" in line:
            sending = line.split("Sending file:")[1].strip()
        elif "Received Store Response (Success)" in line:
            acknowledged.add(sending)
