"""Balance what was acknowledged against what became of it, for each peer and day.

    acknowledged + adjustment = registered + set aside + pending - unanswered
    registered rows           = receiving + complete + processing + processed + held + failed

"acknowledged" is counted by the listeners (`node.acks`), "registered" in the registry
(`node.registry.ledger`), "pending" are files in new/. "unanswered" is what `kill -9` left
durable, but not yet acknowledged: it is registered at the next start, and its sender sends
it again. There can be no more of these than objects recovered at a start.

A node may be running. What is acknowledged is in new/ before it is counted, and leaves new/
only when it is registered. So, read in the order registered, acknowledged, pending,
registered again, a loss is none that is only on its way, and neither is a surplus.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from node import acks
from node.acks import Acknowledged, Peer, title
from node.errors import SpoolError
from node.incoming import written_at
from node.part10 import read_file_meta
from node.registry import ledger
from node.registry.database import reading
from node.registry.states import SeriesState

META_BYTES = 1024  # ours are under 400 bytes


@dataclass(frozen=True, slots=True)
class Line:
    """One peer and day. `before`: registered and set aside, less the adjustment, when reading began.

    `rows` counts the rows of instances by the state of their series, "" where that is not
    there; None when nobody looked.
    """

    day: date
    calling_ae_title: str
    acknowledged: int = 0
    new: int = 0
    conflicts: int = 0
    duplicates: int = 0
    set_aside: int = 0
    recovered: int = 0
    pending: int = 0
    adjustment: int = 0
    before: int = 0
    is_rebuilt: bool = False
    n_bytes: int = 0
    rows: Mapping[str, int] | None = field(default=None)

    @property
    def registered(self) -> int:
        """What the registry has taken in: new, conflicting, and the same again."""
        return self.new + self.conflicts + self.duplicates

    @property
    def difference(self) -> int:
        """Accounted for, less acknowledged: below 0 something is lost."""
        return self.registered + self.set_aside + self.pending - self.acknowledged - self.adjustment

    @property
    def lost(self) -> int:
        """Acknowledged, and nowhere to be found."""
        return max(0, -self.difference)

    @property
    def unanswered(self) -> int:
        """Registered at a start, after a kill that came between durable and acknowledged."""
        return min(self._surplus, self.recovered)

    @property
    def uncounted(self) -> int:
        """Registered, though nobody counted an acknowledgement, and no kill explains it."""
        return self._surplus - self.unanswered

    @property
    def rows_missing(self) -> int:
        """Registered as new, but not in the table of instances; below 0: in the table only."""
        return 0 if self.rows is None else self.new + self.conflicts - sum(self.rows.values())

    @property
    def without_series(self) -> int:
        """Rows whose series is not there: in no state."""
        return 0 if self.rows is None else self.rows.get("", 0)

    @property
    def is_balanced(self) -> bool:
        """Say whether nothing is lost, and nothing came from nowhere."""
        return not (self.lost or self.uncounted or self.rows_missing or self.without_series)

    @property
    def _surplus(self) -> int:
        return max(0, self.before - self.acknowledged)

    def row(self) -> dict[str, Any]:
        """Return the line as it is printed."""
        states = self.rows or {}
        return {
            "day": str(self.day),
            "calling_ae_title": self.calling_ae_title,
            "acknowledged": self.acknowledged,
            "bytes": self.n_bytes,
            "registered": self.registered,
            "new": self.new,
            "conflicts": self.conflicts,
            "duplicates": self.duplicates,
            "pending": self.pending,
            "set_aside": self.set_aside,
            "unanswered": self.unanswered,
            "adjustment": self.adjustment,
            "lost": self.lost,
            **{state.lower(): states.get(state, 0) for state in SeriesState},
            "balance": ("rebuilt" if self.is_rebuilt else "yes") if self.is_balanced else "NO",
        }


def balance(engine: Engine, spool: Path, since: date | None = None, *, with_rows: bool = True) -> list[Line]:
    """Return a line for each peer and day, the latest day first; all days without `since`.

    Raises:
        RegistryError: the registry cannot be read.
        SpoolError: a count of acknowledged objects, or new/, cannot be read.
    """
    with reading(engine) as connection:
        earlier = ledger.counts(connection, since)
    acknowledged = acks.acknowledged(spool, since)
    waiting = _waiting(spool)
    with reading(engine) as connection:
        counts = ledger.counts(connection, since)
        registered = ledger.counted(connection, waiting)
        rows = ledger.rows_by_state(connection, since) if with_rows else {}
    pending = Counter(peer for name, peer in waiting.items() if name not in registered)
    days = [peer for peer in {*acknowledged, *counts, *pending, *rows} if since is None or peer[0] >= since]
    return [
        _line(
            peer,
            acknowledged.get(peer, Acknowledged()),
            counts.get(peer, {}),
            before=_before(earlier.get(peer, {})),
            pending=pending[peer],
            rows=rows.get(peer, {}) if with_rows else None,
        )
        for peer in sorted(days, key=lambda peer: (-peer[0].toordinal(), peer[1]))
    ]


def problems(line: Line) -> list[str]:
    """Return what is wrong with a line, each as a sentence that says what to do next."""
    name = line.calling_ae_title or "(no AE title)"
    where = f"{line.day} {name}"
    peer = line.calling_ae_title or "''"
    settle = f"then `prepnode ledger --settle {line.day} {peer}` ends this alarm"
    found = []
    if line.lost:
        found.append(
            f"{where}: {line.lost} acknowledged objects are lost: neither registered nor waiting in"
            f" spool/new/; have {name} send what it sent on that day again (what is there stays as it is);"
            f" {settle}"
        )
    if line.uncounted:
        found.append(
            f"{where}: {line.uncounted} objects are registered, but were not counted as acknowledged:"
            " spool/acks/ was damaged, restored from a copy or could not be written; no object is missing;"
            f" {settle}"
        )
    if line.rows_missing > 0:
        found.append(
            f"{where}: {line.rows_missing} registered instances have no row any more: the registry was"
            " changed by hand; stop the node, and `prepnode registry rebuild` registers what is in the spool"
        )
    if line.rows_missing < 0:
        found.append(
            f"{where}: {-line.rows_missing} rows of instances were never counted: the registry was changed by"
            " hand; `prepnode registry verify` tells whether their files are there"
        )
    if line.without_series:
        found.append(
            f"{where}: {line.without_series} instances are in no series: the registry was changed by hand;"
            " move it away, and `prepnode registry rebuild` makes it anew from the spool"
        )
    return found


def _before(counts: Mapping[str, Any]) -> int:
    names = ("n_new", "n_conflicts", "n_duplicates", "n_set_aside")
    return sum(int(counts.get(name, 0)) for name in names) - int(counts.get("adjustment", 0))


def _line(  # noqa: PLR0913 - the sides of one line
    peer: Peer,
    acknowledged: Acknowledged,
    counts: Mapping[str, Any],
    *,
    before: int,
    pending: int,
    rows: Mapping[str, int] | None,
) -> Line:
    day, calling_ae_title = peer
    return Line(
        day,
        calling_ae_title,
        acknowledged=acknowledged.count,
        n_bytes=acknowledged.n_bytes,
        new=counts.get("n_new", 0),
        conflicts=counts.get("n_conflicts", 0),
        duplicates=counts.get("n_duplicates", 0),
        set_aside=counts.get("n_set_aside", 0),
        recovered=counts.get("n_recovered", 0),
        adjustment=counts.get("adjustment", 0),
        is_rebuilt=counts.get("is_rebuilt", False),
        before=before,
        pending=pending,
        rows=rows,
    )


def _waiting(spool: Path) -> dict[str, Peer]:
    """Return the peer and day of each file in new/, by name; one that leaves meanwhile is registered."""
    waiting: dict[str, Peer] = {}
    folder = spool / "new"
    try:
        for path in folder.iterdir() if folder.is_dir() else ():
            try:
                with path.open("rb") as file:
                    sender = read_file_meta(file.read(META_BYTES)).calling_ae_title
                    waiting[path.name] = (written_at(os.fstat(file.fileno())).date(), title(sender))
            except FileNotFoundError:
                continue
    except OSError as error:
        raise SpoolError(
            f"{folder}: cannot be read: {error.strerror}; run this as the user of the node"
        ) from error
    return waiting
