"""Each process of the node writes down how it is; the supervisor and the web process read it.

A heartbeat is one small JSON file in `<data_dir>/run/`, replaced by rename, so a reader
never sees half of it. It names the process, says whether its part works, and carries its
counters. A heartbeat that is older than `STALE_S` counts as a part that is down.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from node import logs

INTERVAL_S = 2.0  # how often a process writes; a write is one small file
STALE_S = 15.0  # seven missed heartbeats: the process hangs or is gone

log = logs.get("node.heartbeat")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """How one process was at one moment; `at` is seconds since the epoch."""

    part: str
    host: str
    pid: int
    at: float
    ok: bool
    detail: str = ""
    counters: dict[str, Any] = field(default_factory=dict)

    def is_alive(self, now: float) -> bool:
        """Say whether the part works: it said so, and not long ago."""
        return self.ok and abs(now - self.at) < STALE_S

    def describe(self, now: float) -> str:
        """Return what to tell a person about this part."""
        age_s = now - self.at
        if abs(age_s) >= STALE_S:
            return f"no sign of life for {age_s:.0f} s"
        return self.detail or ("ok" if self.ok else "not working")


def write(
    folder: Path, part: str, *, ok: bool, detail: str = "", counters: dict[str, Any] | None = None
) -> None:
    """Replace the heartbeat of `part` on this host."""
    host = socket.gethostname()
    beat = Heartbeat(part, host, os.getpid(), time.time(), ok, detail, counters or {})
    folder.mkdir(parents=True, exist_ok=True)
    target = file_of(folder, part)
    temporary = target.with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(beat)), encoding="utf-8")
    temporary.replace(target)


def read_all(folder: Path) -> list[Heartbeat]:
    """Return every heartbeat in the folder, in the order of their parts; unreadable files are left out."""
    beats = []
    for path in sorted(folder.glob("*.json")):
        try:
            beats.append(Heartbeat(**json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError):
            continue
    return sorted(beats, key=lambda beat: (beat.part, beat.host))


def clear(folder: Path, parts: Iterable[str]) -> None:
    """Remove the heartbeats that an earlier run of these parts left on this host."""
    for part in parts:
        file_of(folder, part).unlink(missing_ok=True)


def file_of(folder: Path, part: str) -> Path:
    """Return the file of this host's heartbeat of a part."""
    return folder / f"{socket.gethostname()}.{part}.json"


class Pulse:
    """Write a heartbeat every `INTERVAL_S` from a thread; `examine` says how the process is."""

    def __init__(
        self, folder: Path, part: str, examine: Callable[[], tuple[bool, str, dict[str, Any]]]
    ) -> None:
        self._folder, self._part, self._examine = folder, part, examine
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)

    def start(self) -> None:
        """Write the first heartbeat now, then one at every interval."""
        self._once()
        self._thread.start()

    def stop(self) -> None:
        """Stop, and leave word that the part was stopped on purpose."""
        self._stopped.set()
        self._thread.join(timeout=INTERVAL_S)
        write(self._folder, self._part, ok=False, detail="stopped")

    def _beat(self) -> None:
        while not self._stopped.wait(INTERVAL_S):
            self._once()

    def _once(self) -> None:
        try:
            ok, detail, counters = self._examine()
            write(self._folder, self._part, ok=ok, detail=detail, counters=counters)
        except Exception:  # the mouth of this loop: a failed heartbeat shows as a stale one
            log.exception("heartbeat.failed", part=self._part)
