"""A registry with ten thousand series and a million instances: start, lists and receiving are as with none."""

import sqlite3
import statistics
import time
from contextlib import closing
from pathlib import Path

import pytest

from listeners import RawPeer, dataset
from node.demo import TemporaryNode
from node.registry import queries
from node.registry.database import engine, migrate, read_engine

pytestmark = [pytest.mark.soak]
SERIES, INSTANCES = 10_000, 100
READY_S, LIST_P95_S, LOSS = 10.0, 0.05, 0.10
ROUNDS, OBJECTS = 7, 200
AT = "2026-01-01 12:00:00.000000"


def fill(folder: Path) -> None:
    """Write the rows of series that are processed, and whose files were deleted long ago."""
    folder.mkdir(parents=True)
    made = engine(f"sqlite:///{folder / 'registry.db'}")
    migrate(made)
    made.dispose()
    with closing(sqlite3.connect(folder / "registry.db")) as registry:
        registry.executemany(
            'INSERT INTO study ("StudyInstanceUID", first_received_at) VALUES (?, ?)',
            ((f"2.25.1.{n}", AT) for n in range(SERIES)),
        )
        registry.executemany(
            'INSERT INTO series ("SeriesInstanceUID", "StudyInstanceUID", state, revision, evidence, first_received_at,'
            ' last_received_at, n_instances, released, facts, "Modality")'
            " VALUES (?, ?, 'PROCESSED', 1, '{}', ?, ?, ?, 0, '{}', 'CT')",
            ((f"2.25.2.{n}", f"2.25.1.{n}", AT, AT, INSTANCES) for n in range(SERIES)),
        )
        registry.executemany(
            'INSERT INTO instance ("SOPInstanceUID", "SOPClassUID", "TransferSyntaxUID", "StudyInstanceUID",'
            ' "SeriesInstanceUID", path, size_bytes, sha256, is_conflict, received_at) VALUES (?, ?, ?, ?, ?, ?, 1, ?, 0, ?)',
            (
                (f"2.25.3.{n}.{m}", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", f"2.25.1.{n}",
                 f"2.25.2.{n}", f"store/{n}/{m}.dcm", f"{n:032x}{m:032x}", AT)
                for n in range(SERIES) for m in range(INSTANCES)
            ),
        )  # fmt: skip
        registry.commit()


def objects_per_s(node: TemporaryNode, turn: int) -> float:
    with RawPeer(node.port, timeout_s=60) as peer:
        assert peer.associate() == "AC"
        started = time.monotonic()
        for number in range(OBJECTS):
            uid = f"2.25.9.{turn}.{number}"
            content = dataset(uid, pixels=12_288, study=f"2.25.7.{turn}", series=f"2.25.8.{turn}")
            assert peer.store(content, uid=uid) == 0x0000
        rate = OBJECTS / (time.monotonic() - started)
        peer.release()
    return rate


def test_a_large_registry_slows_nothing_down(tmp_path: Path) -> None:
    fill(tmp_path / "full" / "data")
    keys = {"completion": {"quiet_s": 3600}, "retention": {"min_free_gb": 0}}
    with (
        TemporaryNode(keys, folder=tmp_path / "full") as full,
        TemporaryNode(keys, folder=tmp_path / "none") as none,
    ):
        rates: dict[str, list[float]] = {"full": [], "none": []}
        for turn in range(ROUNDS):
            rates["none"].append(objects_per_s(none, turn))
            rates["full"].append(objects_per_s(full, turn))
        engine = read_engine(f"sqlite:///{full.data_dir / 'registry.db'}")
        took = []
        for _ in range(100):
            started = time.monotonic()
            assert len(queries.series_list(engine, limit=100)) == 100
            took.append(time.monotonic() - started)
        engine.dispose()
        full.kill()
        started = time.monotonic()
        full.start()
        ready_s = time.monotonic() - started
    assert statistics.quantiles(took, n=20)[-1] < LIST_P95_S
    assert ready_s < READY_S
    lost = 1 - statistics.median(rates["full"]) / statistics.median(rates["none"])
    assert lost < LOSS, rates
