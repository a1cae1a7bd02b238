"""What the node needs and does not get: space, a writable folder, its registry, a destination. It says so, and goes on."""

import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import data
from listeners import CT, EXPLICIT, UID, RawPeer, dataset, p_data, pdv, store_rq
from node.demo import TemporaryNode
from node.digest import digest
from node.part10 import dataset_offset
from nodes import StoreSCP, await_end_states, await_that, free_port, run_cli

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
MB = 1 << 20
KEYS = {
    "completion": {"quiet_s": 1, "settle_s": 0.2, "cap_s": 2},
    "jobs": {"workers": 1},
    "retention": {"min_free_gb": 0},
}
CONTEXTS = ((1, CT, (EXPLICIT,)),)

Mount = Callable[[Path, str], None]


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Mount small file systems in memory; they are unmounted when the node has stopped."""
    mounted: list[Path] = []

    def make(folder: Path, options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("a file system can be mounted by root only")
        mounted.append(folder)
        assert os.path.ismount(folder)

    yield make
    for folder in reversed(mounted):
        subprocess.run(["umount", str(folder)], check=True, timeout=30)


def encoded(**options: Any) -> dict[str, bytes]:
    """Return the data sets of a CT series by SOPInstanceUID, without File Meta Information."""
    found = {}
    for instance in data.ct_series(**options):
        content = data.file_bytes(instance)
        found[str(instance.SOPInstanceUID)] = content[dataset_offset(content) :]
    return found


def send(peer: RawPeer, instances: dict[str, bytes]) -> list[tuple[int, str]]:
    """Send instances on an open association; return status and Error Comment of each."""
    return [answer_to(peer, uid, content) for uid, content in instances.items()]


def answer_to(peer: RawPeer, uid: str, content: bytes) -> tuple[int, str]:
    peer.send(p_data(pdv(1, 3, store_rq(uid=uid))))
    for at in range(0, len(content), 65536):
        last = 2 if at + 65536 >= len(content) else 0
        peer.send(p_data(pdv(1, last, content[at : at + 65536])))
    return peer.response()


@contextmanager
def association(node: TemporaryNode) -> Iterator[RawPeer]:
    with RawPeer(node.port, timeout_s=60) as peer:
        assert peer.associate(contexts=CONTEXTS) == "AC"
        yield peer
        peer.release()


def send_all(node: TemporaryNode, instances: dict[str, bytes]) -> None:
    with association(node) as peer:
        assert {status for status, _ in send(peer, instances)} == {0}


def log_of(node: TemporaryNode) -> list[dict[str, Any]]:
    lines = node.log_file.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def messages(node: TemporaryNode, event: str) -> str:
    return "\n".join(json.dumps(line) for line in log_of(node) if line.get("event") == event)


def rows_of(node: TemporaryNode, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{node.data_dir / 'registry.db'}?mode=ro", uri=True)) as registry:
        return registry.execute(query).fetchall()


def registered(node: TemporaryNode) -> dict[str, tuple[str, str]]:
    rows = rows_of(node, "SELECT SOPInstanceUID, sha256, path FROM instance")
    return {uid: (sha256, path) for uid, sha256, path in rows}


def assert_kept(node: TemporaryNode, uids: set[str]) -> None:
    """Assert that these instances become registered, whole, and no others."""
    await_that(lambda: set(registered(node)) == uids, f"{len(uids)} instances to be registered")
    for sha256, path in registered(node).values():
        assert digest(Path(path)) == sha256
    await_that(lambda: not list((node.data_dir / "spool" / "new").iterdir()), "new/ to be empty")
    assert list((node.data_dir / "spool" / "tmp").iterdir()) == []


def series_in(node: TemporaryNode, state: str) -> dict[str, Any]:
    """Wait until the one series is in this state; return what an operator is shown of it."""
    query = f"SELECT 1 FROM series WHERE state = '{state}'"
    await_that(lambda: rows_of(node, query), f"the series to be {state}")
    (row,) = json.loads(run_cli("series", "list", "-c", str(node.config_file), "--json").stdout)
    return row


def deliveries(node: TemporaryNode) -> dict[str, dict[str, Any]]:
    """Return what an operator is shown of the deliveries, by destination."""
    listed = run_cli("deliveries", "list", "-c", str(node.config_file), "--json").stdout
    return {row["destination"]: row for row in json.loads(listed)}


def test_a_spool_that_fills_in_the_middle_of_an_object_answers_a700_and_goes_on(
    mount: Mount, tmp_path: Path
) -> None:
    mount(tmp_path / "node" / "data" / "spool", "size=20m")
    big = encoded(slices=4, rows=1500, columns=1500, series_uid="2.25.1")  # 4.5 MB each
    small = encoded(slices=3, rows=32, columns=32, series_uid="2.25.2")
    with TemporaryNode(KEYS, folder=tmp_path / "node") as node:
        huge = encoded(slices=1, rows=3600, columns=3600, series_uid="2.25.3")  # 26 MB
        with association(node) as peer:
            (full,) = send(peer, huge)
            assert full == (0xA700, "out of resources: no space for received objects")
            assert list((node.data_dir / "spool" / "tmp").iterdir()) == []
            answers = [status for status, _ in send(peer, big)]
            assert answers == [0, 0, 0, 0]
            answers = [status for status, _ in send(peer, encoded(slices=1, rows=1500, columns=1500))]
            assert answers == [0xA700]
            assert {status for status, _ in send(peer, small)} == {0}
        assert_kept(node, {*big, *small})
        await_end_states(node, series=2)
        assert "No space left on device; free some space" in messages(node, "instance.not_durable")


def test_a_refused_object_leaves_no_byte_on_the_full_disk_and_space_is_used_the_moment_it_is_back(
    mount: Mount, tmp_path: Path
) -> None:
    spool = tmp_path / "node" / "data" / "spool"
    mount(spool, "size=20m")
    big = dataset(pixels=18 * MB)
    with TemporaryNode(KEYS, folder=tmp_path / "node", only="listener") as node:
        filler = spool / "filler"
        filler.write_bytes(bytes(8 * MB))
        free = os.statvfs(spool).f_bfree
        with RawPeer(node.port, timeout_s=60) as peer:
            assert peer.associate() == "AC"
            for _ in range(3):
                assert peer.store(big) == 0xA700
                assert os.statvfs(spool).f_bfree == free
            filler.unlink()
            started = time.monotonic()
            assert peer.store(big) == 0x0000
            assert time.monotonic() - started < 5
            peer.release()
        assert_kept(node, {UID})


def test_outputs_that_do_not_fit_fail_the_series_which_is_processed_again_when_there_is_space(
    mount: Mount, tmp_path: Path
) -> None:
    outputs = tmp_path / "node" / "data" / "outputs"
    mount(outputs, "size=64k")
    with TemporaryNode(KEYS, folder=tmp_path / "node") as node:
        send_all(node, encoded(slices=12, rows=128, columns=128, series_uid="2.25.1"))
        row = series_in(node, "FAILED")
        assert "No space left on device" in row["error"]
        assert str(outputs) in row["error"]
        assert [path for path in outputs.rglob("*") if path.is_file()] == []
        subprocess.run(["mount", "-o", "remount,size=20m", str(outputs)], check=True)
        run_cli("series", "reprocess", "2.25.1", "-c", str(node.config_file))
        assert series_in(node, "PROCESSED")["revision"] == 2


def test_outputs_that_are_read_only_fail_the_series_with_the_reason(mount: Mount, tmp_path: Path) -> None:
    outputs = tmp_path / "node" / "data" / "outputs"
    mount(outputs, "size=20m")
    with TemporaryNode(KEYS, folder=tmp_path / "node") as node:
        subprocess.run(["mount", "-o", "remount,ro", str(outputs)], check=True)
        send_all(node, encoded(slices=3, rows=32, columns=32, series_uid="2.25.1"))
        row = series_in(node, "FAILED")
        assert "Read-only file system" in row["error"]
        assert str(outputs) in row["error"]
        subprocess.run(["mount", "-o", "remount,rw", str(outputs)], check=True)
        run_cli("series", "reprocess", "2.25.1", "-c", str(node.config_file))
        assert series_in(node, "PROCESSED")["revision"] == 2


def test_a_disk_that_is_full_for_everything_loses_nothing_that_was_acknowledged(
    mount: Mount, tmp_path: Path
) -> None:
    """Spool, registry and jobs on one full disk: what was answered with success is there when there is space."""
    folder = tmp_path / "node" / "data"
    mount(folder, "size=40m")
    instances = encoded(slices=60, rows=700, columns=700, series_uid="2.25.1")  # 1 MB each
    with TemporaryNode(KEYS, folder=tmp_path / "node") as node:
        with association(node) as peer:
            answers = dict(zip(instances, send(peer, instances), strict=True))
        assert {status for status, _ in answers.values()} <= {0x0000, 0xA700, 0xA701}
        assert {status for status, _ in answers.values()} > {0x0000}
        kept = {uid for uid, (status, _) in answers.items() if status == 0}
        subprocess.run(["mount", "-o", "remount,size=400m", str(folder)], check=True)
        assert_kept(node, kept)
        send_all(node, instances)
        assert_kept(node, set(instances))
        await_end_states(node, series=1)
        node.kill()
        node.start()
        assert_kept(node, set(instances))


def test_too_little_free_space_is_refused_before_the_disk_is_full(mount: Mount, tmp_path: Path) -> None:
    mount(tmp_path / "node" / "data", "size=100m")
    tables = KEYS | {"retention": {"min_free_gb": 0.2}}
    instances = encoded(slices=1, rows=32, columns=32, series_uid="2.25.1")
    with TemporaryNode(tables, folder=tmp_path / "node") as node:
        with association(node) as peer:
            assert send(peer, instances) == [(0xA700, "out of resources: no space for received objects")]
        assert "0.2" in messages(node, "disk.full")


@pytest.mark.servers
def test_destinations_that_are_missing_are_told_in_words_and_served_once_they_are_there(
    tmp_path: Path,
) -> None:
    port, missing = free_port(), tmp_path / "mnt" / "research" / "in"
    pacs = {"kind": "dicom", "host": "127.0.0.1", "port": port, "called_aet": "PACS"}
    tables = KEYS | {
        "destination": [{"name": "pacs", **pacs}, {"name": "share", "kind": "folder", "path": str(missing)}],
        "route": [{"name": "all", "destinations": ["pacs", "share"], "send": ["originals"]}],
    }
    instances = encoded(slices=3, rows=32, columns=32, series_uid="2.25.1")
    with TemporaryNode(tables, folder=tmp_path / "node") as node:
        send_all(node, instances)
        await_end_states(node, series=1)
        failed = "SELECT 1 FROM delivery WHERE error IS NOT NULL"
        await_that(lambda: len(rows_of(node, failed)) == 2, "both attempts to fail")
        rows = deliveries(node)
        assert {row["state"] for row in rows.values()} == {"PENDING"}
        assert f"127.0.0.1:{port}" in rows["pacs"]["error"]
        assert "refused" in rows["pacs"]["error"]
        assert str(missing) in rows["share"]["error"]
        assert "create it, or mount the file system it is on" in rows["share"]["error"]
        missing.parent.mkdir(parents=True)
        with StoreSCP(tmp_path / "pacs", port) as scp:
            ids = [str(row["id"]) for row in rows.values()]
            run_cli("deliveries", "retry", *ids, "-c", str(node.config_file))
            await_end_states(node, series=1, deliveries=2)
            assert set(scp.datasets()) == set(instances)
        assert len(list(missing.rglob("*.dcm"))) == len(instances)
