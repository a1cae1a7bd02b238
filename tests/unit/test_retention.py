"""What is deleted and when, what never is, and when the disk is too full to accept more."""

import pytest

from node.config import Config
from node.free_space import FreeSpace
from node.retention import Retention
from registered import SERIES, STUDY, Node

GB = 1_000_000_000


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path / "data", {"retention": {"spool_days": 30, "outputs_days": 60}})
    yield node
    node.close()


def arrive(node, series=SERIES):
    folder = node.config.spool_dir / "store" / STUDY / series
    folder.mkdir(parents=True)
    path = folder / f"{series}.1.dcm"
    path.write_bytes(series.encode())
    node.arrive([path], series=series)
    return path


def process(node, series=SERIES, verdict="ACCEPT", deliveries=()):
    node.complete(series)
    node.finish([node.product("v0.nii.gz", series=series)], deliveries, series=series, verdict=verdict)
    return node.config.outputs_dir / STUDY / series


def sweep(node):
    def record(name, uid, at, files):
        node.repository.record_event(name, at, series_uid=uid, files=files)

    return Retention(
        node.config,
        node.engine,
        record=record,
        mark_removed=node.repository.mark_removed,
        now=node.clock,
    ).run_once()


def test_originals_go_after_spool_days_and_outputs_after_outputs_days(node):
    original, outputs = arrive(node), process(node)
    node.clock.advance(days=29)
    assert sweep(node) == 0
    node.clock.advance(days=2)
    assert sweep(node) == 1
    assert not original.exists()
    assert outputs.exists()
    assert not original.parent.parent.exists()  # the emptied folders of series and study go too
    assert node.events("originals.deleted") == [{"files": 1}]
    node.clock.advance(days=30)
    assert sweep(node) == 1
    assert not outputs.exists()
    assert node.config.outputs_dir.exists()
    assert node.series()["state"] == "PROCESSED"  # what is known of the series stays


def test_zero_days_keep_for_ever(tmp_path):
    node = Node(tmp_path / "data", {"retention": {"spool_days": 0, "outputs_days": 0}})
    try:
        original, outputs = arrive(node), process(node)
        node.clock.advance(days=10_000)
        assert sweep(node) == 0
        assert original.exists()
        assert outputs.exists()
    finally:
        node.close()


@pytest.mark.parametrize("state", ["RECEIVING", "COMPLETE", "PROCESSING", "HELD"])
def test_a_series_that_is_not_over_is_never_deleted_however_old(node, state):
    original = arrive(node)
    if state == "HELD":
        process(node, verdict="QUARANTINE")
    elif state != "RECEIVING":
        node.complete()
        if state == "PROCESSING":
            node.repository.start(SERIES, 1, node.clock())
    assert node.series()["state"] == state
    node.clock.advance(days=1000)
    assert sweep(node) == 0
    assert original.exists()


def test_a_series_with_a_pending_delivery_keeps_its_files(node):
    original = arrive(node)
    process(node, deliveries=[{"destination": "d", "send": ["originals"]}])
    node.clock.advance(days=1000)
    assert sweep(node) == 0
    node.repository.delivery_failed(1, error="refused", now=node.clock())
    assert sweep(node) == 2
    assert not original.exists()


def test_a_file_that_is_not_registered_yet_stays(node):
    original = arrive(node)
    process(node)
    just_stored = original.with_name("late.dcm")
    just_stored.write_bytes(b"late")
    node.clock.advance(days=31)
    assert sweep(node) == 1
    assert just_stored.exists()
    assert not original.exists()


def test_a_late_instance_keeps_its_whole_series(node):
    original = arrive(node)
    process(node)
    node.clock.advance(days=31)
    late = original.with_name("late.dcm")
    late.write_bytes(b"late")
    node.arrive([late], sops=["1.2.3.99"])
    assert sweep(node) == 0
    assert original.exists()


def test_series_age_one_by_one(node):
    old = arrive(node)
    process(node)
    node.clock.advance(days=20)
    other = SERIES + ".2"
    young = arrive(node, other)
    process(node, other)
    node.clock.advance(days=15)
    assert sweep(node) == 1
    assert not old.exists()
    assert young.exists()


def test_a_folder_the_registry_does_not_know_is_left_alone(node):
    stranger = node.config.spool_dir / "store" / "1.2" / "1.2.3"
    stranger.mkdir(parents=True)
    node.clock.advance(days=1000)
    assert sweep(node) == 0
    assert stranger.exists()


def space(free, *, min_free_gb=5):
    now = [0.0]
    looks = []

    def look(folder):
        looks.append(folder)
        return free[0]

    config = Config(retention={"min_free_gb": min_free_gb})
    return FreeSpace(config, free_bytes=look, clock=lambda: now[0]), now, looks


def test_below_the_reserve_nothing_is_accepted_until_a_little_more_than_it_is_free():
    free = [6 * GB]
    disk, now, _ = space(free)
    answers = []
    for gigabytes in (6, 4.99, 5.01, 5.09, 5.11, 5.01):
        now[0] += 1
        free[0] = int(gigabytes * GB)
        answers.append(disk.accepting())
    assert answers == [True, False, False, False, True, True]


def test_a_spool_on_a_disk_of_its_own_counts_too():
    free = {"spool": 4 * GB, "prepnode": 100 * GB}
    config = Config(node={"data_dir": "/var/lib/prepnode"}, retention={"min_free_gb": 5})
    assert not FreeSpace(config, free_bytes=lambda folder: free[folder.name]).accepting()
    free |= {"spool": 100 * GB, "prepnode": 4 * GB}
    assert not FreeSpace(config, free_bytes=lambda folder: free[folder.name]).accepting()
    free |= {"spool": 6 * GB, "prepnode": 6 * GB}
    assert FreeSpace(config, free_bytes=lambda folder: free[folder.name]).accepting()


def test_the_disk_is_looked_at_once_a_second_however_often_it_is_asked():
    disk, now, looks = space([6 * GB])
    for step in range(3000):
        now[0] = step / 1000
        disk.accepting()
    assert len(looks) == 3 * len(set(looks))


def test_the_free_space_is_that_of_the_data_folder(tmp_path):
    (tmp_path / "spool").mkdir()
    config = Config(node={"data_dir": tmp_path}, retention={"min_free_gb": 0})
    assert FreeSpace(config).accepting()
    config = Config(node={"data_dir": tmp_path}, retention={"min_free_gb": 10_000_000})
    assert not FreeSpace(config).accepting()


def test_what_comes_while_a_series_is_deleted_is_kept(node):
    original = arrive(node)
    process(node)
    node.clock.advance(days=31)
    late = original.with_name("late.dcm")

    def mark(uid, moment, now):
        late.write_bytes(b"late")
        node.arrive([late], series=SERIES, sops=[f"{SERIES}.2"])
        return node.repository.mark_removed(uid, moment, now)

    Retention(node.config, node.engine, record=lambda *_: None, mark_removed=mark, now=node.clock).run_once()
    assert not original.exists()
    assert late.exists()
