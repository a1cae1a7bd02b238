"""Every received file is read again and compared; what retention removed is not missing."""

import os
from pathlib import Path

import pytest

from ledgers import Receiver, content
from node.clock import utc_now
from node.part10 import dataset_offset
from node.verification import Kind, Pace, Verification


@pytest.fixture
def node(tmp_path):
    made = Receiver(tmp_path / "node")
    for number in range(4):
        made.receive(content(number))
    made.register()
    yield made
    made.close()


def stored(node):
    return sorted((node.spool.root / "store").rglob("*.dcm"))


def verify(node):
    verification = Verification(node.engine, node.spool.root)
    told = []
    problems = [*verification.rows(told.append), *verification.files(lambda _: None)]
    assert sum(told) == 4
    return verification, {(problem.kind, problem.path) for problem in problems}


def corrupt(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_files_that_are_as_they_were_received_are_verified(node):
    verification, problems = verify(node)
    assert problems == set()
    assert verification.counts == dict.fromkeys(Kind, 0) | {Kind.VERIFIED: 4}
    data_sets = [content[dataset_offset(content) :] for content in map(Path.read_bytes, stored(node))]
    assert verification.n_bytes == sum(map(len, data_sets))


def test_a_missing_a_corrupt_and_a_cut_file_are_told(node):
    missing, flipped, cut, _ = stored(node)
    missing.unlink()
    corrupt(flipped)
    os.truncate(cut, cut.stat().st_size - 1)
    _, problems = verify(node)
    assert problems == {
        (Kind.MISSING, str(missing)),
        (Kind.CORRUPT, str(flipped)),
        (Kind.CORRUPT, str(cut)),
    }


def test_a_file_that_cannot_be_read_is_told(node):
    path = stored(node)[0]
    path.unlink()
    path.mkdir()
    _, problems = verify(node)
    assert problems == {(Kind.UNREADABLE, str(path))}


def test_a_problem_says_whose_object_it_is_and_what_to_do(node):
    stored(node)[0].unlink()
    (problem,) = Verification(node.engine, node.spool.root).rows(lambda _: None)
    row = problem.row()
    assert (row["problem"], row["SOPInstanceUID"]) == ("MISSING", Path(row["path"]).stem)
    assert "have PACS1 send study" in row["todo"]


def test_the_same_object_sent_again_mends_a_missing_and_a_corrupt_file(node):
    missing, flipped = stored(node)[:2]
    missing.unlink()
    corrupt(flipped)
    for number in range(4):
        node.receive(content(number))
    node.register()
    verification, problems = verify(node)
    assert verification.counts[Kind.VERIFIED] == 4
    assert problems == {(Kind.UNREGISTERED, str(flipped))}  # the corrupt one, which no row names any more


def test_what_retention_removed_is_not_missing_and_what_came_since_is(node):
    row_paths = {path.parent.name: path for path in stored(node)}
    uid, path = min(row_paths.items())
    for each in node.repository.mark_removed(uid, utc_now(), utc_now()):
        Path(each).unlink()
    removed = 4 - len(stored(node))
    verification, problems = verify(node)
    assert problems == set()
    assert verification.counts[Kind.REMOVED] == removed > 0
    for number in range(4):
        node.receive(content(number))  # all of them again
    node.register()
    path.unlink()
    _, problems = verify(node)
    assert problems == {(Kind.MISSING, str(path))}


def test_files_without_a_row_are_told(node):
    known = stored(node)[0]
    stray, foreign = known.with_name("1.2.3.dcm"), node.spool.root / "store" / "notes.txt"
    for path in (stray, foreign):
        path.write_bytes(b"x")
    _, problems = verify(node)
    assert problems == {(Kind.UNREGISTERED, str(stray)), (Kind.UNREGISTERED, str(foreign))}


def test_a_file_that_is_being_taken_in_is_no_problem(node):
    arrival = node.receive(content(9))
    target = node.spool.store_path(
        arrival.study_instance_uid, arrival.series_instance_uid, arrival.sop_instance_uid
    )
    node.spool.place(arrival.path, target, sha256=arrival.sha256)
    assert verify(node)[1] == set()


def test_a_row_that_changes_while_its_file_is_read_is_looked_at_again(node, monkeypatch):
    gone = stored(node)[0]
    real = Verification._compare

    def removed_meanwhile(self, row):
        if row["path"] == str(gone) and gone.exists():
            gone.unlink()
            kind = real(self, row)
            node.repository.mark_removed(row["SeriesInstanceUID"], utc_now(), utc_now())
            return kind
        return real(self, row)

    monkeypatch.setattr(Verification, "_compare", removed_meanwhile)
    verification, problems = verify(node)
    assert problems == set()
    assert verification.counts[Kind.REMOVED] == 1


def test_reading_is_held_back_to_the_rate():
    at, waits = [0.0], []

    def sleep(seconds):
        waits.append(seconds)
        at[0] += seconds

    pace = Pace(10, clock=lambda: at[0], sleep=sleep)
    for _ in range(5):
        pace(1_000_000)
        at[0] += 0.04  # the read itself
    assert at[0] == pytest.approx(0.5 + 0.04)
    assert len(waits) == 5
    at[0] += 100  # a pause is not caught up with a burst
    started = at[0]
    for _ in range(30):
        pace(1_000_000)
    assert at[0] - started == pytest.approx(3.0 - 1.0)
