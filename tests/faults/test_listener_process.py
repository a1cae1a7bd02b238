"""A running node under the traffic of every day: what associations cost, what is sent twice, what stands in its logs."""

import sqlite3
import threading
import time
from contextlib import closing

import pytest

import data
from census import Usage, listener_pid
from listeners import CT, EXPLICIT, MR, VERIFICATION, RawPeer, p_data, pdv, store_rq
from node.demo import TemporaryNode
from node.part10 import dataset_offset
from nodes import await_end_states, await_that

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
EVERY_CLASS = (
    *((2 * n + 1, f"1.2.840.10008.5.1.4.1.1.{n}", (EXPLICIT,)) for n in range(1, 120)),
    (3, VERIFICATION, (EXPLICIT,)),
)
CONTEXTS_OF_ECHO = ((1, CT, (EXPLICIT,)), (3, VERIFICATION, (EXPLICIT,)))
CONTEXTS = ((1, CT, (EXPLICIT,)),)
ASSOCIATIONS, UIDS, VARIANTS = 8, 20, 4
CANARY = "CANARY"
OF_PATIENT = "SELECT 1 FROM instance WHERE SeriesInstanceUID = '2.25.30'"
KEYS = {
    "completion": {"quiet_s": 1, "settle_s": 0.2, "cap_s": 3},
    "jobs": {"workers": 1},
    "retention": {"min_free_gb": 0},
}


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with TemporaryNode(KEYS, folder=tmp_path_factory.mktemp("traffic")) as started:
        yield started


def encoded(dataset) -> bytes:
    content = data.file_bytes(dataset)
    return content[dataset_offset(content) :]


def rows(node: TemporaryNode, query: str) -> list[tuple]:
    with closing(sqlite3.connect(f"file:{node.data_dir / 'registry.db'}?mode=ro", uri=True)) as registry:
        return registry.execute(query).fetchall()


@pytest.mark.parametrize(
    ("contexts", "wall_s", "cpu_s"), [(CONTEXTS_OF_ECHO, 0.05, 0.025), (EVERY_CLASS, 0.2, 0.12)]
)
def test_an_association_costs_little(node: TemporaryNode, contexts, wall_s: float, cpu_s: float) -> None:
    """By the best wall time of fifty, and the mean of processor time; a quiet machine needs a fourth of these."""

    def echo() -> float:
        started = time.monotonic()
        with RawPeer(node.port) as peer:
            assert peer.associate(contexts=contexts) == "AC"
            assert peer.echo() == 0x0000
            peer.release()
        return time.monotonic() - started

    echo()
    pid = listener_pid(node)
    used = Usage.of(pid).cpu_s
    best_s = min(echo() for _ in range(50))
    mean_cpu_s = (Usage.of(pid).cpu_s - used) / 50
    assert best_s <= wall_s
    assert mean_cpu_s <= cpu_s


def test_fifty_idle_associations_cost_little(node: TemporaryNode) -> None:
    pid = listener_pid(node)
    peers = [RawPeer(node.port) for _ in range(50)]
    assert [peer.associate() for peer in peers] == ["AC"] * 50
    used, started = Usage.of(pid).cpu_s, time.monotonic()
    await_that(lambda: time.monotonic() - started > 3, "a while")
    assert (Usage.of(pid).cpu_s - used) / (time.monotonic() - started) <= 0.3
    for peer in peers:
        peer.release()
        peer.socket.close()


def test_the_same_and_differing_objects_over_many_associations_are_each_kept_once(
    node: TemporaryNode,
) -> None:
    """Eight associations send twenty instances, each in four variants: eighty rows, none lost; again: no new work."""
    variants = [
        data.ct_series(slices=UIDS, rows=16, columns=16, series_uid="2.25.23", PatientComments=f"variant {n}")
        for n in range(VARIANTS)
    ]
    objects = [(str(each.SOPInstanceUID), encoded(each)) for series in variants for each in series]
    assert len({uid for uid, _ in objects}) == UIDS
    failures: list[object] = []

    def send_all(first: int) -> None:
        try:
            with RawPeer(node.port, timeout_s=60) as peer:
                assert peer.associate(contexts=CONTEXTS, calling=f"PEER{first}".encode()) == "AC"
                for uid, content in objects[first:] + objects[:first]:
                    assert peer.store(content, uid=uid) == 0x0000
                peer.release()
        except Exception as error:
            failures.append(error)
            raise

    def all_at_once() -> None:
        threads = [threading.Thread(target=send_all, args=(7 * n,)) for n in range(ASSOCIATIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []

    all_at_once()
    kept = "SELECT count(*), count(DISTINCT SOPInstanceUID), sum(is_conflict) FROM instance WHERE SeriesInstanceUID='2.25.23'"
    every = (UIDS * VARIANTS, UIDS, UIDS * (VARIANTS - 1))
    await_that(lambda: rows(node, kept) == [every], "eighty rows of twenty instances")
    await_end_states(node, series=1)
    ended = rows(node, "SELECT revision, state FROM series WHERE SeriesInstanceUID='2.25.23'")
    n_arrivals = "SELECT coalesce(sum(n_received), 0) FROM association WHERE end = 'released'"
    for again in (2, 3):
        all_at_once()
        everything = again * ASSOCIATIONS * len(objects)
        await_that(lambda n=everything: rows(node, n_arrivals)[0][0] >= n, "the associations to be noted")
    assert rows(node, kept) == [every]
    await_end_states(node, series=1)
    assert rows(node, "SELECT revision, state FROM series WHERE SeriesInstanceUID='2.25.23'") == ended


def test_nothing_of_a_patient_stands_in_the_logs(node: TemporaryNode) -> None:
    """What is taken, what is refused for every reason, and what breaks in the middle of a name."""
    patient = {
        "PatientName": f"{CANARY}^NAME",
        "PatientID": f"{CANARY}-ID",
        "PatientBirthDate": "19010203",
        "AccessionNumber": f"{CANARY}-ACC",
        "StudyDescription": f"{CANARY} STUDY",
        "SeriesDescription": f"{CANARY} SERIES",
        "ReferringPhysicianName": f"{CANARY}^DOCTOR",
        "InstitutionName": f"{CANARY} HOSPITAL",
        "PatientComments": f"{CANARY} COMMENT",
        "StudyID": f"{CANARY}-SID",
    }
    series = data.ct_series(slices=4, rows=16, columns=16, series_uid="2.25.30", **patient)
    before = node.log_file.stat().st_size
    with RawPeer(node.port, timeout_s=30) as peer:
        assert peer.associate(contexts=CONTEXTS) == "AC"
        for each in series:
            assert peer.store(encoded(each), uid=str(each.SOPInstanceUID)) == 0x0000
        content, uid = encoded(series[0]), str(series[0].SOPInstanceUID)
        assert peer.store(content, uid="1.2.3") == 0xA900
        assert peer.store(content, uid=uid, sop_class=MR) == 0xA900
        assert peer.store(content, uid=f"{CANARY}") == 0x0117
        assert peer.store(content[: content.index(CANARY.encode()) + 3], uid=uid) == 0xC000
        assert peer.store(content.replace(b"2.25.30", b"2..5.30"), uid=uid) == 0x0117
        peer.release()
    for cut in (content[:400], content.replace(b"\x10\x00\x10\x00PN", b"\x10\x00\x10\x00??")):
        with RawPeer(node.port, timeout_s=30) as peer:
            assert peer.associate(contexts=CONTEXTS) == "AC"
            peer.send(p_data(pdv(1, 3, store_rq(uid=uid)), pdv(1, 0, cut)) + p_data(pdv(1, 3, cut)))
            assert peer.ended()
    await_that(lambda: len(rows(node, OF_PATIENT)) == len(series), "the rows of the series")
    await_end_states(node, series=len(rows(node, "SELECT 1 FROM series")))
    told = node.log_file.read_bytes()[before:]
    assert b"instance.refused" in told
    assert b"series." in told
    for secret in (f"{CANARY}^", f"{CANARY}-", f"{CANARY} ", "19010203"):
        assert secret.encode() not in told
