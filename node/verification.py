"""Read the received files again, and compare each with the digest that was taken when it arrived.

Beside a running node: rows and files that change while they are looked at are looked at
again, and a file that is being taken in still has its name in new/.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from node.digest import digest
from node.registry import queries
from node.spool import SUFFIX

PAGE = 1000  # rows that are read at once
SLACK_S = 1.0  # what a slow disk has cost may be caught up, this much of it

Row = dict[str, Any]
Note = Callable[[int], None]


class Kind(StrEnum):
    """What became of a row, or of a file."""

    VERIFIED = "VERIFIED"
    REMOVED = "REMOVED"
    MISSING = "MISSING"
    CORRUPT = "CORRUPT"
    UNREADABLE = "UNREADABLE"
    UNREGISTERED = "UNREGISTERED"


@dataclass(frozen=True, slots=True)
class Problem:
    """One row whose file is not what was received, or one file without a row."""

    kind: Kind
    path: str
    todo: str
    sop_instance_uid: str = ""
    series_instance_uid: str = ""
    calling_ae_title: str = ""

    def row(self) -> Row:
        """Return the problem as it is printed."""
        return {
            "problem": str(self.kind),
            "SOPInstanceUID": self.sop_instance_uid,
            "SeriesInstanceUID": self.series_instance_uid,
            "calling_ae_title": self.calling_ae_title,
            "path": self.path,
            "todo": self.todo,
        }


class Pace:
    """Holds reading back, so that a node beside it has the disk for itself most of the time."""

    def __init__(
        self,
        mb_per_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._s_per_byte = 1 / (mb_per_s * 1e6)
        self._clock, self._sleep = clock, sleep
        self._free_at = clock()

    def __call__(self, n_bytes: int) -> None:
        """Wait as long as reading so much may take."""
        now = self._clock()
        self._free_at = max(self._free_at, now - SLACK_S) + n_bytes * self._s_per_byte
        if self._free_at > now:
            self._sleep(self._free_at - now)


class Verification:
    """One pass over rows and files. `counts` says how many there were of each kind, and `bytes` read."""

    def __init__(self, engine: Engine, spool: Path, *, pace: Note | None = None) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(Kind, 0))
        self.n_bytes = 0
        self._engine = engine
        self._store = spool / "store"
        self._pace = pace

    def rows(self, advance: Note) -> Iterator[Problem]:
        """Read the file of every row; yield those that are not as they were received.

        Raises:
            RegistryError: the registry cannot be read.
        """
        last = 0
        while page := queries.instance_page(self._engine, after=last, limit=PAGE):
            for row in page:
                kind, seen = self._examine(row)
                self.counts[kind] += 1
                if kind not in (Kind.VERIFIED, Kind.REMOVED):
                    yield _problem(kind, seen)
                advance(1)
            last = page[-1]["id"]

    def files(self, advance: Note) -> Iterator[Problem]:
        """Look at every file of the store; yield those that no row names.

        Raises:
            RegistryError: the registry cannot be read.
        """
        for folder, _, names in os.walk(self._store):
            if not names:
                continue
            for name in sorted(self._unknown(Path(folder), names)):
                self.counts[Kind.UNREGISTERED] += 1
                yield Problem(
                    Kind.UNREGISTERED,
                    str(Path(folder, name)),
                    "stop the node, and `prepnode registry rebuild` registers it"
                    if name.endswith(SUFFIX)
                    else "it is not of this node; move it away",
                )
            advance(1)

    def _examine(self, row: Row) -> tuple[Kind, Row]:
        """Judge a row; one that looks wrong is read again, as it may have changed meanwhile."""
        kind = self._compare(row)
        if kind in (Kind.VERIFIED, Kind.REMOVED):
            return kind, row
        (again,) = queries.instance_page(self._engine, after=row["id"] - 1, limit=1) or [row]
        if again == row:
            return kind, row
        return self._compare(again), again

    def _compare(self, row: Row) -> Kind:
        try:
            found = digest(Path(row["path"]), pace=self._read)
        except FileNotFoundError:
            return Kind.MISSING if row["removed_at"] is None else Kind.REMOVED
        except OSError:
            return Kind.UNREADABLE
        return Kind.VERIFIED if found == row["sha256"] else Kind.CORRUPT

    def _read(self, n_bytes: int) -> None:
        self.n_bytes += n_bytes
        if self._pace is not None:
            self._pace(n_bytes)

    def _unknown(self, folder: Path, names: list[str]) -> set[str]:
        """Return the files of a folder that no row names, and that are not being taken in."""
        unknown = set(names) - self._registered(folder)
        settled = set()
        for name in unknown:
            try:
                links = (folder / name).stat().st_nlink
            except OSError:  # it went meanwhile
                continue
            if links == 1 and not name.endswith(".probe"):  # the latter: a node that starts, see `node.spool`
                settled.add(name)
        return settled - self._registered(folder) if settled else settled

    def _registered(self, folder: Path) -> set[str]:
        rows = queries.instances(self._engine, folder.name)
        return {path.name for path in (Path(row["path"]) for row in rows) if path.parent == folder}


def _problem(kind: Kind, row: Row) -> Problem:
    sender = row["calling_ae_title"] or "its sender"
    again = f"have {sender} send study {row['StudyInstanceUID']} again: the same object takes its place"
    todo = {
        Kind.MISSING: again,
        Kind.CORRUPT: f"check the disk; {again}",
        Kind.UNREADABLE: f"check the disk and the permissions; if it is gone, {again}",
    }
    return Problem(
        kind,
        row["path"],
        todo[kind],
        sop_instance_uid=row["SOPInstanceUID"],
        series_instance_uid=row["SeriesInstanceUID"],
        calling_ae_title=row["calling_ae_title"] or "",
    )
