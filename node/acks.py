"""Count what a listener acknowledges, in a file that outlives the process: the one side of the ledger.

    <spool>/acks/<owner>.<YYYY-MM-DD>.acks      one file for each listener and day (UTC)

A file is a header and then records of 32 bytes: calling AE title (16), number of objects
and number of bytes (8 each, in the order of the machine). It is mapped into memory, so
to count is to store two numbers: no system call, and what is stored is in the page cache,
where `kill -9` does not reach it. Its blocks are allocated beforehand, so a full disk cannot
hit the process in the middle of a store. A power loss may take back what was counted since
the last `flush`; so the registrar flushes before it commits rows, and what is registered was
counted.

These files are written by listeners alone, and the registry's side by registrars alone:
neither can hide a loss of the other.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from node import logs
from node.errors import SpoolError
from node.flushing import flush as flush_path

FOLDER = "acks"
SUFFIX = ".acks"
MAGIC = b"prepnode acks 1\n".ljust(32, b"\0")
RECORD_BYTES = 32
AE_BYTES = 16
WORDS = RECORD_BYTES // 8
START_BYTES = 4096  # 127 peers; doubled when there are more
DAYS_OPEN = 3  # today, yesterday's last objects, and a clock that is set

log = logs.get("node.acks")

Peer = tuple[date, str]  # a day and a calling AE title: a line of the ledger


def title(calling_ae_title: str | None) -> str:
    """Return an AE title as the File Meta Information of a stored file gives it back."""
    encoded = (calling_ae_title or "").encode("ascii", "replace")[:AE_BYTES]
    return encoded.decode("ascii").strip(" \0")


class AckBook:
    """Counts the acknowledgements of one process; no two that live share an `owner`."""

    def __init__(self, spool: Path, owner: str) -> None:
        self._folder = spool / FOLDER
        self._owner = owner
        self._lock = threading.Lock()
        self._pages: dict[date, _Page] = {}
        self._waiting: Counter[Peer] = Counter()  # could not be written so far: objects
        self._waiting_bytes: Counter[Peer] = Counter()

    def acknowledge(self, calling_ae_title: str, n_bytes: int, received_at: datetime) -> None:
        """Count an object that is durable and is to be answered with success now. Does not raise.

        `received_at` is that of its `Arrival`, so that both sides of the ledger name one day.
        A count that cannot be written waits in memory, and is written with the next one.
        """
        day = received_at.date()
        with self._lock:
            try:
                page = self._pages.get(day) or self._open(day)
                page.add(calling_ae_title, 1, n_bytes)
            except (OSError, SpoolError) as error:
                self._put_off((day, calling_ae_title), n_bytes, error)
            else:
                if self._waiting:
                    self._catch_up()

    def close(self) -> None:
        """Let go of the files; what was counted stays."""
        with self._lock:
            if self._waiting:
                self._catch_up()
            for page in self._pages.values():
                page.close()
            self._pages.clear()

    def _open(self, day: date) -> _Page:
        while len(self._pages) >= DAYS_OPEN:
            self._pages.pop(min(self._pages)).close()
        page = self._pages[day] = _Page(self._folder / f"{self._owner}.{day}{SUFFIX}")
        return page

    def _put_off(self, peer: Peer, n_bytes: int, error: Exception) -> None:
        if not self._waiting:
            log.error("ledger.not_counted", error=str(error))
        self._waiting[peer] += 1
        self._waiting_bytes[peer] += n_bytes

    def _catch_up(self) -> None:
        for peer in list(self._waiting):
            day, calling_ae_title = peer
            with suppress(OSError, SpoolError):
                page = self._pages.get(day) or self._open(day)
                page.add(calling_ae_title, self._waiting[peer], self._waiting_bytes[peer])
                del self._waiting[peer], self._waiting_bytes[peer]


class _Page:
    """One mapped file. Not for several threads.

    Raises:
        OSError: the file cannot be made.
        SpoolError: the file is something else.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        is_new = not path.exists()
        records = [] if is_new else _records(path)
        self._slots = {name: at for at, (name, _, _) in enumerate(records, start=1)}
        self._map = self._mapped(START_BYTES if is_new else max(path.stat().st_size, START_BYTES))
        self._map[: len(MAGIC)] = MAGIC
        self._numbers = memoryview(self._map).cast("Q")
        if is_new:
            flush_path(path.parent)  # the name; the numbers are flushed by the registrar

    def add(self, calling_ae_title: str, count: int, n_bytes: int) -> None:
        slot = self._slots.get(calling_ae_title)
        if slot is None:
            slot = self._slots[calling_ae_title] = self._slot(title(calling_ae_title))
        at = slot * WORDS
        self._numbers[at + 3] += n_bytes
        self._numbers[at + 2] += count  # an aligned store of 8 bytes: a kill finds it done or not done

    def close(self) -> None:
        self._numbers.release()
        self._map.close()

    def _slot(self, name: str) -> int:
        """Return the record of a title; the record counts as used once its number is not 0."""
        if name in self._slots:
            return self._slots[name]
        slot = max(self._slots.values(), default=0) + 1
        if (slot + 1) * RECORD_BYTES > len(self._map):
            grown = self._mapped(2 * len(self._map))
            self._numbers.release()
            self._map.close()
            self._map = grown
            self._numbers = memoryview(grown).cast("Q")
        start = slot * RECORD_BYTES
        self._map[start : start + AE_BYTES] = name.encode("ascii").ljust(AE_BYTES)
        self._slots[name] = slot
        return slot

    def _mapped(self, size: int) -> mmap.mmap:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)
            return mmap.mmap(fd, size)
        finally:
            os.close(fd)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """How many objects, and bytes, were acknowledged."""

    count: int = 0
    n_bytes: int = 0


def acknowledged(spool: Path, since: date | None = None) -> dict[Peer, Acknowledged]:
    """Add up what all listeners have acknowledged, also those that are gone, since a day.

    Raises:
        SpoolError: a file cannot be read, or is something else.
    """
    counts: Counter[Peer] = Counter()
    sizes: Counter[Peer] = Counter()
    for path, day in _files(spool):
        if since is not None and day < since:
            continue
        for name, count, n_bytes in _records(path):
            counts[day, name] += count
            sizes[day, name] += n_bytes
    return {peer: Acknowledged(count, sizes[peer]) for peer, count in counts.items()}


def flush(spool: Path, days: Iterable[date]) -> None:
    """Bring what all listeners have counted for these days to stable storage, whoever mapped it.

    Raises:
        SpoolError: a file cannot be flushed.
    """
    wanted = set(days)
    for path, day in _files(spool):
        if day in wanted:
            try:
                flush_path(path)
            except OSError as error:
                raise SpoolError(f"{path}: cannot be flushed: {error.strerror}; check the disk") from error


def _files(spool: Path) -> list[tuple[Path, date]]:
    found = []
    for path in sorted((spool / FOLDER).glob(f"*{SUFFIX}")):
        with suppress(ValueError):  # not one of ours
            found.append((path, date.fromisoformat(path.name.removesuffix(SUFFIX).rpartition(".")[2])))
    return found


def _records(path: Path) -> list[tuple[str, int, int]]:
    """Return (AE title, objects, bytes) of each record in use; a file of zeros has none yet."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SpoolError(f"{path}: cannot be read: {error.strerror}; check the disk") from error
    if content[: len(MAGIC)].strip(b"\0") and not content.startswith(MAGIC):
        raise SpoolError(f"{path}: holds no counts of acknowledged objects; move it away")
    records = []
    for start in range(RECORD_BYTES, len(content) - RECORD_BYTES + 1, RECORD_BYTES):
        numbers = memoryview(content)[start + AE_BYTES : start + RECORD_BYTES].cast("Q")
        if numbers[0] == 0:
            break
        name = content[start : start + AE_BYTES].decode("ascii", "replace").strip(" \0")
        records.append((name, numbers[0], numbers[1]))
    return records
