"""What a listener counts, for metrics and the status page."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any


class Tally:
    """Counters of one listener process, since it started; every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes = 0
        self._by_status: Counter[str] = Counter()
        self._by_outcome: Counter[str] = Counter()
        self._by_refusal: Counter[str] = Counter()

    def stored(self, status: int, size: int) -> None:
        """Count the answer to a C-STORE; `size` are the bytes of its data set."""
        with self._lock:
            self._by_status[f"0x{status:04X}"] += 1
            if status == 0:
                self._bytes += size

    def association(self, outcome: str) -> None:
        """Count what became of an association: accepted, rejected; released, aborted, lost."""
        with self._lock:
            self._by_outcome[outcome] += 1

    def refused(self, kind: str) -> None:
        """Count why an association was refused, or a connection closed before it could ask."""
        with self._lock:
            self._by_refusal[kind] += 1

    def figures(self) -> dict[str, Any]:
        """Return `received` and `refused` objects, `bytes` received; counts by status, outcome, refusal."""
        with self._lock:
            received = self._by_status["0x0000"]
            return {
                "received": received,
                "refused": self._by_status.total() - received,
                "bytes": self._bytes,
                "by_status": {status: n for status, n in self._by_status.items() if n},
                "by_outcome": dict(self._by_outcome),
                "by_refusal": dict(self._by_refusal),
            }
