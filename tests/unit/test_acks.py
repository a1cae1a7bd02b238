"""What was acknowledged is counted in a file that outlives the process."""

import os
import signal
import subprocess
import sys
import threading
from datetime import date, datetime
from pathlib import Path

import pytest

from node import acks
from node.acks import FOLDER, AckBook, Acknowledged, acknowledged, flush, title
from node.errors import SpoolError
from registries import NOON

DAY = NOON.date()
KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from node.acks import AckBook
book = AckBook(Path(sys.argv[1]), "one")
for number in range(300):
    book.acknowledge(f"PEER{number % 3}", 10, datetime(2026, 1, 1, 12))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def book(tmp_path):
    made = AckBook(tmp_path, "one")
    yield made
    made.close()


def test_objects_and_bytes_are_counted_for_each_peer_and_day(book, tmp_path):
    book.acknowledge("PACS1", 100, NOON)
    book.acknowledge("PACS1", 50, NOON)
    book.acknowledge("PACS2", 7, NOON)
    book.acknowledge("PACS1", 1, datetime(2026, 1, 2, 0, 0, 0, 1))  # noqa: DTZ001 - UTC without zone
    assert acknowledged(tmp_path) == {
        (DAY, "PACS1"): Acknowledged(2, 150),
        (DAY, "PACS2"): Acknowledged(1, 7),
        (date(2026, 1, 2), "PACS1"): Acknowledged(1, 1),
    }
    assert acknowledged(tmp_path, since=date(2026, 1, 2)) == {(date(2026, 1, 2), "PACS1"): Acknowledged(1, 1)}


def test_a_killed_process_has_counted_to_the_last(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert acknowledged(tmp_path) == {(DAY, f"PEER{n}"): Acknowledged(100, 1000) for n in range(3)}


def test_a_process_that_starts_again_counts_on(tmp_path):
    for _ in range(3):
        book = AckBook(tmp_path, "one")
        book.acknowledge("PACS1", 5, NOON)
        book.acknowledge("PACS2", 5, NOON)
        book.close()
    assert {each.count for each in acknowledged(tmp_path).values()} == {3}


def test_several_listeners_are_added_up(tmp_path):
    books = [AckBook(tmp_path, f"host-a-{index}") for index in range(3)]
    for book in books:
        book.acknowledge("PACS1", 5, NOON)
        book.close()
    assert acknowledged(tmp_path) == {(DAY, "PACS1"): Acknowledged(3, 15)}


def test_threads_count_together(book, tmp_path):
    def count():
        for _ in range(2000):
            book.acknowledge("PACS1", 1, NOON)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert acknowledged(tmp_path) == {(DAY, "PACS1"): Acknowledged(8000, 8000)}


def test_there_is_room_for_more_peers_than_a_page_holds(book, tmp_path):
    for number in range(1000):
        book.acknowledge(f"PEER{number}", 1, NOON)
        book.acknowledge("PEER0", 1, NOON)
    found = acknowledged(tmp_path)
    assert len(found) == 1000
    assert found[DAY, "PEER0"] == Acknowledged(1001, 1001)
    assert found[DAY, "PEER999"] == Acknowledged(1, 1)


def test_a_clock_that_goes_to_and_fro_loses_no_count_and_no_descriptor(book, tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        for day in range(1, 20):
            book.acknowledge("PACS1", 1, datetime(2026, 1, day))  # noqa: DTZ001 - UTC without zone
    assert {each.count for each in acknowledged(tmp_path).values()} == {3}
    assert len(acknowledged(tmp_path)) == 19
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 3


def test_a_count_that_cannot_be_written_is_written_with_the_next_one(book, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(acks.os, "posix_fallocate", full)
        book.acknowledge("PACS1", 5, NOON)
        book.acknowledge("PACS2", 5, NOON)
    assert acknowledged(tmp_path) == {}
    book.acknowledge("PACS1", 5, NOON)
    assert acknowledged(tmp_path) == {(DAY, "PACS1"): Acknowledged(2, 10), (DAY, "PACS2"): Acknowledged(1, 5)}


def test_a_file_of_something_else_is_never_written_to(book, tmp_path):
    folder = tmp_path / FOLDER
    folder.mkdir()
    other = folder / f"one.{DAY}.acks"
    other.write_bytes(b"something else" * 500)
    book.acknowledge("PACS1", 5, NOON)
    assert other.read_bytes() == b"something else" * 500
    with pytest.raises(SpoolError, match="move it away"):
        acknowledged(tmp_path)
    other.unlink()
    book.acknowledge("PACS1", 5, NOON)
    assert acknowledged(tmp_path) == {(DAY, "PACS1"): Acknowledged(2, 10)}


def test_a_file_that_a_power_loss_left_empty_or_zero_counts_nothing(tmp_path):
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / f"one.{DAY}.acks").write_bytes(b"")
    (tmp_path / FOLDER / f"two.{DAY}.acks").write_bytes(bytes(4096))
    (tmp_path / FOLDER / "notes.acks").write_bytes(b"not one of ours")
    assert acknowledged(tmp_path) == {}
    for owner in ("one", "two"):
        book = AckBook(tmp_path, owner)
        book.acknowledge("PACS1", 5, NOON)
        book.close()
    assert acknowledged(tmp_path) == {(DAY, "PACS1"): Acknowledged(2, 10)}


def test_only_the_days_of_a_batch_are_flushed(book, tmp_path, monkeypatch):
    for day in (1, 2, 3):
        book.acknowledge("PACS1", 5, datetime(2026, 1, day))  # noqa: DTZ001 - UTC without zone
    flushed = []
    real = os.fsync
    monkeypatch.setattr(
        acks.os, "fsync", lambda fd: (flushed.append(str(Path(f"/proc/self/fd/{fd}").readlink())), real(fd))
    )
    flush(tmp_path, [date(2026, 1, 1), date(2026, 1, 3)])
    assert flushed == [str(tmp_path / FOLDER / f"one.2026-01-0{day}.acks") for day in (1, 3)]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("PACS1", "PACS1"), (" PACS1 ", "PACS1"), ("PÄCS", "P?CS"), ("A" * 20, "A" * 16), ("", ""), (None, "")],
)
def test_a_title_is_that_of_the_stored_file(given, kept):
    assert title(given) == kept
