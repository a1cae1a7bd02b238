import errno
import os
import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

import data
from node import registration
from node.clock import utc_now
from node.digest import digest
from node.header_facts import facts
from node.intake import series_of, take_in
from node.part10 import read_file_meta
from node.recovery import arrival_from_file, rebuild, recover
from node.registration import Registrar
from node.registry import database
from node.registry.associations import Ending, Opening
from node.registry.repository import Repository
from node.spool import Spool
from registries import NOON, arrival, registry, rows

WAIT_S = 30.0  # a test that waits so long has failed


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path / "spool", "one")
    yield made
    made.close()


@pytest.fixture
def repository(tmp_path):
    made = Repository(registry(tmp_path))
    yield made
    made.engine.dispose()


@pytest.fixture
def registrar(repository, spool):
    made = Registrar(repository, spool)
    yield made
    made.stop(WAIT_S)


def contents(slices=3, **overrides):
    return [data.file_bytes(each) for each in data.ct_series(slices=slices, rows=4, columns=4, **overrides)]


def altered():
    """Return the first of `contents` with other bytes under the same UIDs."""
    dataset = data.ct_series(slices=3, rows=4, columns=4)[0]
    dataset.SeriesDescription = "OTHER"
    return data.file_bytes(dataset)


def receive(spool, content):
    """Make an instance durable, as the listener does; return its arrival."""
    with spool.open() as incoming:
        incoming.write(content)
        path = incoming.commit()
    return arrival_from_file(path)


def names(folder):
    return sorted(path.name for path in folder.rglob("*.dcm"))


def test_what_is_submitted_is_registered_and_moved(registrar, repository, spool):
    registrar.start()
    arrivals = [receive(spool, content) for content in contents()]
    for each in arrivals:
        registrar.submit(each)
    assert registrar.flush(WAIT_S)
    assert registrar.pending == 0
    stored = {row["SOPInstanceUID"]: row["path"] for row in rows(repository.engine, "instance")}
    assert stored == {
        each.sop_instance_uid: str(
            spool.store_path(each.study_instance_uid, each.series_instance_uid, each.sop_instance_uid)
        )
        for each in arrivals
    }
    assert all(Path(path).exists() for path in stored.values())
    assert names(spool.root / "new") == []


def test_many_threads_may_submit(registrar, repository, spool):
    registrar.start()
    batches = [contents(slices=5, series=name) for name in "abcd"]

    def send(batch):
        for content in batch:
            registrar.submit(receive(spool, content))

    threads = [threading.Thread(target=send, args=(batch,)) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registrar.flush(WAIT_S)
    assert len(rows(repository.engine, "instance")) == len({c for b in batches for c in b})


def test_a_repeated_transfer_leaves_one_file_and_one_row(registrar, repository, spool):
    registrar.start()
    for _ in range(3):
        for content in contents():
            registrar.submit(receive(spool, content))
    assert registrar.flush(WAIT_S)
    assert len(rows(repository.engine, "instance")) == len(names(spool.root / "store")) == 3
    assert names(spool.root / "new") == []


def test_two_objects_of_one_uid_are_both_kept(registrar, repository, spool):
    registrar.start()
    for content in (contents()[0], altered()):
        registrar.submit(receive(spool, content))
    assert registrar.flush(WAIT_S)
    found = rows(repository.engine, "instance")
    assert [row["is_conflict"] for row in found] == [False, True]
    assert [digest(Path(row["path"])) for row in found] == [row["sha256"] for row in found]
    assert len({row["path"] for row in found}) == 2


def test_the_end_of_an_association_comes_after_what_it_brought(registrar, repository, spool, monkeypatch):
    order = []
    for name in ("note_associations", "register"):
        real = getattr(repository, name)
        monkeypatch.setattr(
            repository, name, lambda *a, name=name, real=real: (order.append((name, *a)), real(*a))[1]
        )
    opening, ending = Opening("a", "S", "P", "::1", NOON), Ending("a", "released", NOON, n_received=1)
    registrar.note(ending)
    registrar.note(opening)
    registrar.submit(receive(spool, contents()[0]))
    registrar.start()
    assert registrar.flush(WAIT_S)
    assert [name for name, *_ in order] == ["note_associations", "register", "note_associations"]
    assert (order[0][1:], order[2][1:]) == (([opening], []), ([], [ending]))
    assert rows(repository.engine, "association")[0]["end"] == "released"


def test_stopping_registers_what_is_left(registrar, repository, spool):
    registrar.start()
    registrar.submit(receive(spool, contents()[0]))
    assert registrar.stop(WAIT_S)
    assert len(rows(repository.engine, "instance")) == 1


def test_a_locked_registry_is_waited_for_and_nothing_is_lost(tmp_path, spool, monkeypatch):
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 20)
    monkeypatch.setattr(registration, "RETRY_S", (0.01,))
    repository = Repository(registry(tmp_path))
    registrar = Registrar(repository, spool)
    blocker = sqlite3.connect(tmp_path / "registry.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    registrar.start()
    registrar.submit(receive(spool, contents()[0]))
    with registrar._changed:
        assert registrar._changed.wait_for(lambda: registrar._problem, WAIT_S)
    assert "locked" in registrar.problem
    assert registrar.pending == 1
    assert len(names(spool.root / "new")) == 1
    blocker.execute("ROLLBACK")
    blocker.close()
    assert registrar.flush(WAIT_S)
    assert registrar.problem is None
    assert len(rows(repository.engine, "instance")) == 1
    assert registrar.stop(WAIT_S)
    repository.engine.dispose()


def test_a_registry_that_is_gone_does_not_keep_the_node_from_stopping(
    registrar, repository, spool, monkeypatch
):
    monkeypatch.setattr(registration, "RETRY_S", (0.01,))

    def fail(*_):
        raise RuntimeError("gone")

    monkeypatch.setattr(repository, "register", fail)
    registrar.start()
    registrar.submit(receive(spool, contents()[0]))
    assert not registrar.stop(WAIT_S)
    assert registrar.pending == 1
    assert len(names(spool.root / "new")) == 1


def test_a_store_that_refuses_one_instance_takes_the_others(registrar, repository, spool, monkeypatch):
    monkeypatch.setattr(registration, "RETRY_S", (0.01,))
    arrivals = [receive(spool, content) for content in contents()]
    real, refused = os.link, [True]

    def link(source, target, **options):
        if refused[0] and str(arrivals[1].path) == str(source):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(source, target, **options)

    monkeypatch.setattr(os, "link", link)
    for each in arrivals:
        registrar.submit(each)
    registrar.start()
    with registrar._changed:
        assert registrar._changed.wait_for(lambda: registrar._problem, WAIT_S)
    assert registrar.pending == 1
    assert len(rows(repository.engine, "instance")) == 2
    refused[0] = False
    assert registrar.flush(WAIT_S)
    assert len(rows(repository.engine, "instance")) == 3


def test_too_many_waiting_instances_are_a_problem(registrar, monkeypatch):
    monkeypatch.setattr(registration, "MAX_PENDING", 2)
    for index in range(3):
        registrar.submit(arrival(index))
    assert registrar.problem == "3 instances wait to be registered"
    registrar._arrivals.clear()


def test_an_instance_whose_file_has_vanished_does_not_hold_up_the_others(repository, spool):
    gone, there = (receive(spool, content) for content in contents(slices=2))
    gone.path.unlink()
    taken = take_in(repository, spool, [gone, there], NOON)
    assert [each.arrival.sop_instance_uid for each in taken.registered] == [there.sop_instance_uid]
    assert taken.stuck == ()


def test_recovery_registers_what_a_dead_process_had_acknowledged(tmp_path, repository):
    dead = Spool(tmp_path / "spool", "one")
    expected = {receive(dead, content).sop_instance_uid for content in contents()}
    dead.open().write(b"half")
    dead.close()
    spool = Spool(tmp_path / "spool", "one")
    assert recover(repository, spool, NOON) == 3
    assert recover(repository, spool, NOON) == 0
    found = rows(repository.engine, "instance")
    assert {row["SOPInstanceUID"] for row in found} == expected
    assert {row["association"] for row in found} == {None}
    assert names(spool.root / "new") == names(spool.root / "tmp") == []


@pytest.mark.parametrize("step", ["place", "settle", "register", "release"])
def test_recovery_is_the_same_wherever_it_was_interrupted(repository, spool, monkeypatch, step):
    for content in contents():
        receive(spool, content)
    owner = repository if step == "register" else spool
    real, calls = getattr(owner, step), []

    def interrupted(*args, **options):
        calls.append(1)
        if step in ("place", "release") and len(calls) == 1:
            return real(*args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(owner, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            recover(repository, spool, NOON)
    recover(repository, spool, NOON)
    assert len(rows(repository.engine, "instance")) == len(names(spool.root / "store")) == 3
    assert names(spool.root / "new") == []
    assert rows(repository.engine, "series")[0]["n_instances"] == 3


def test_what_has_no_uid_at_all_is_set_aside(repository, spool):
    incoming = spool.open()
    incoming.write(b"no dicom")
    path = incoming.commit()
    assert recover(repository, spool, NOON) == 0
    assert (spool.root / "unreadable" / path.name).read_bytes() == b"no dicom"
    assert [row["name"] for row in rows(repository.engine, "event")] == ["instance.unreadable"]


def test_an_object_without_series_becomes_a_series_of_its_own(repository, spool):
    content = contents(slices=1)[0]
    meta = read_file_meta(content)
    incoming = spool.open()
    incoming.write(content[: meta.dataset_offset + 20])
    incoming.commit()
    assert recover(repository, spool, NOON) == 1
    (row,) = rows(repository.engine, "series")
    assert row["SeriesInstanceUID"] == row["StudyInstanceUID"] == meta.sop_instance_uid


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3"}, ("1.2", "1.3")),
        ({"StudyInstanceUID": "../..", "SeriesInstanceUID": "1.3"}, ("1.9", "1.9")),
        ({}, ("1.9", "1.9")),
    ],
)
def test_a_series_is_named_by_valid_uids_only(found, expected):
    assert series_of(found, "1.9") == expected


def test_an_arrival_that_is_read_back_is_what_was_sent(spool):
    content = contents(slices=1)[0]
    before = datetime.now(UTC).replace(tzinfo=None).timestamp()
    found = receive(spool, content)
    assert found.facts == facts(content[read_file_meta(content).dataset_offset :])
    assert found.sha256 == digest(found.path)
    assert found.size_bytes == len(content)
    assert abs(found.received_at.timestamp() - before) < 60


def test_the_registry_is_rebuilt_from_the_store(tmp_path, registrar, repository, spool):
    registrar.start()
    for content in (*contents(), altered()):
        registrar.submit(receive(spool, content))
    assert registrar.flush(WAIT_S)
    before = {(row["sha256"], row["path"]) for row in rows(repository.engine, "instance")}
    (tmp_path / "again").mkdir()
    again = Repository(registry(tmp_path / "again"))
    told = []
    assert rebuild(again, spool, utc_now(), told.append) == len(before) == 4
    assert told == [4]
    assert {(row["sha256"], row["path"]) for row in rows(again.engine, "instance")} == before
    assert rows(again.engine, "series")[0]["n_instances"] == 3
    rebuild(again, spool, utc_now())
    assert len(rows(again.engine, "instance")) == 4
    again.engine.dispose()
