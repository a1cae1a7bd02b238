"""kill -9 of the whole process tree at each state of a series: nothing acknowledged is lost, every series ends once."""

import hashlib
import json
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import data
from listeners import CT, EXPLICIT, RawPeer
from node.demo import TemporaryNode
from node.digest import digest
from node.part10 import dataset_offset
from nodes import await_end_states, await_that

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
SERIES, SLICES, SIZE = 4, 16, 192
ROUNDS = 5
STATES = ("RECEIVING", "COMPLETE", "PROCESSING", "PROCESSED")
ENDS = ("series.processed", "series.held", "series.failed")
KEYS = {"completion": {"quiet_s": 1, "settle_s": 0.5, "cap_s": 20}, "jobs": {"workers": 1}}
IMPATIENT = KEYS | {
    "completion": {"quiet_s": 1, "settle_s": 0.5, "cap_s": 10}
}  # a lost association waits for it

Instances = dict[str, bytes]  # SOPInstanceUID -> encoded data set


@pytest.fixture(scope="module")
def instances() -> Instances:
    """Return the data sets of four series, Explicit VR Little Endian, without File Meta Information."""
    encoded = {}
    for number in range(SERIES):
        uid = f"2.25.90{number}"
        for dataset in data.ct_series(slices=SLICES, rows=SIZE, columns=SIZE, series_uid=uid):
            content = data.file_bytes(dataset)
            encoded[str(dataset.SOPInstanceUID)] = content[dataset_offset(content) :]
    assert len(encoded) == SERIES * SLICES
    return encoded


class Sender(threading.Thread):
    """Sends instances over one association until all are sent or the node is gone; notes what was acknowledged."""

    def __init__(self, port: int, instances: Instances, order: list[str]) -> None:
        super().__init__()
        self._instances, self._order = instances, order
        self.acknowledged: dict[str, str] = {}  # SOPInstanceUID -> digest of the bytes that were sent
        self._peer = RawPeer(port, timeout_s=30)
        assert self._peer.associate(contexts=((1, CT, (EXPLICIT,)),)) == "AC"

    def run(self) -> None:
        with self._peer as peer:
            try:
                for uid in self._order:
                    assert peer.store(self._instances[uid], uid=uid) == 0x0000
                    self.acknowledged[uid] = hashlib.sha256(self._instances[uid]).hexdigest()
                peer.release()
            except (OSError, AssertionError):
                return  # it was killed: what had no answer was not acknowledged


def rows_of(node: TemporaryNode, query: str) -> list[tuple]:
    connection = sqlite3.connect(f"file:{node.data_dir / 'registry.db'}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def states_of(node: TemporaryNode) -> set[str]:
    return {state for (state,) in rows_of(node, "SELECT state FROM series")}


def kill_when(node: TemporaryNode, condition: Callable[[], bool], what: str) -> None:
    """Kill the tree the moment the condition holds; unlike `await_that` it looks all the time."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
    node.kill()


def assert_kept_once(node: TemporaryNode, acknowledged: dict[str, str]) -> None:
    """Assert that each acknowledged instance has one row, whose file holds the bytes that were sent."""
    found = rows_of(node, "SELECT SOPInstanceUID, sha256, path FROM instance")
    by_uid = {uid: (sha256, path) for uid, sha256, path in found}
    assert len(by_uid) == len(found)
    assert set(acknowledged) <= set(by_uid)
    for uid, (sha256, path) in by_uid.items():
        assert acknowledged.get(uid, sha256) == sha256
        assert digest(Path(path)) == sha256
    store = node.data_dir / "spool" / "store"
    assert {str(path) for path in store.rglob("*") if path.is_file()} == {path for _, path in by_uid.values()}


def assert_spool_at_rest(node: TemporaryNode) -> None:
    for name in ("tmp", "new", "unreadable"):
        assert list((node.data_dir / "spool" / name).iterdir()) == []


def assert_ended_once(node: TemporaryNode) -> None:
    """Assert that no revision of a series ended twice, and that its last one did end."""
    names = ", ".join(f"'{name}'" for name in ENDS)
    ends = Counter(rows_of(node, f"SELECT SeriesInstanceUID, revision FROM event WHERE name IN ({names})"))
    assert set(ends.values()) == {1}
    last = set(rows_of(node, "SELECT SeriesInstanceUID, revision FROM series"))
    assert len(last) == SERIES
    assert last <= set(ends)


def assert_no_output_by_halves(node: TemporaryNode) -> None:
    """Assert that the output folders are those of the revisions that ended, whole, and nothing else.

    A revision that completed while the sender was held up may lack slices, and is held for them alone.
    """
    folders, held = set(), set()
    for series in (node.data_dir / "outputs").glob("*/*"):
        for folder in series.iterdir():
            report = json.loads((folder / "report.json").read_text())
            if report["verdict"] == "QUARANTINE":
                reasons = {each["code"] for each in report["findings"] if each["severity"] == "REVIEW"}
                assert reasons == {"GEO-005"}
                held.add((series.name, folder.name))
                continue
            assert report["verdict"] in ("ACCEPT", "ACCEPT_WARN")
            folders.add((series.name, folder.name))
    rows = rows_of(node, "SELECT DISTINCT SeriesInstanceUID, revision, path, sha256 FROM output")
    assert folders == {(uid, f"r{revision}") for uid, revision, _, _ in rows} - held
    for _, _, path, sha256 in rows:
        content = (node.data_dir / "outputs" / path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha256


@pytest.mark.parametrize("state", STATES)
def test_kill_at_state_loses_nothing_and_ends_every_series_once(
    state: str, instances: Instances, tmp_path: Path
) -> None:
    (tmp_path / "delivered").mkdir()
    tables = KEYS | {
        "destination": [{"name": "out", "kind": "folder", "path": str(tmp_path / "delivered")}],
        "route": [{"name": "all", "destinations": ["out"], "send": ["outputs"]}],
    }
    with TemporaryNode(tables, folder=tmp_path / "node") as node:
        sender = Sender(node.port, instances, list(instances))
        sender.start()
        kill_when(node, lambda: state in states_of(node), f"a series to be {state}")
        sender.join()
        assert state in states_of(node), "the kill came too late"
        node.start()
        assert_kept_once(node, sender.acknowledged)
        assert_spool_at_rest(node)
        again = Sender(node.port, instances, list(instances))
        again.run()
        assert set(again.acknowledged) == set(instances)
        await_end_states(node, series=SERIES, deliveries=SERIES)
        assert_kept_once(node, again.acknowledged)
        assert_spool_at_rest(node)
        assert_ended_once(node)
        assert_no_output_by_halves(node)
    delivered = [path for path in (tmp_path / "delivered").rglob("*") if path.is_dir()]
    assert not [path for path in delivered if path.name.startswith(".")]
    assert {path.parent.parent.name for path in (tmp_path / "delivered").rglob("*.nii.gz")} == {
        f"2.25.90{number}" for number in range(SERIES)
    }


def test_kills_while_receiving_lose_no_acknowledged_instance(instances: Instances, tmp_path: Path) -> None:
    chance = random.Random(20260101)
    acknowledged: dict[str, str] = {}
    with TemporaryNode(IMPATIENT, folder=tmp_path / "node") as node:
        for _ in range(ROUNDS):
            senders = [
                Sender(node.port, instances, chance.sample(list(instances), len(instances))) for _ in range(2)
            ]
            enough = chance.randint(1, len(instances))
            for sender in senders:
                sender.start()
            kill_when(
                node,
                lambda senders=senders, enough=enough: len(senders[0].acknowledged) >= enough,
                "acknowledgements",
            )
            for sender in senders:
                sender.join()
                acknowledged |= sender.acknowledged
            node.start()
            assert_kept_once(node, acknowledged)
            assert_spool_at_rest(node)
        assert acknowledged
        await_that(lambda: states_of(node) <= {"PROCESSED"}, "every series to end")
        assert_ended_once(node)
        assert_no_output_by_halves(node)
