"""A function that is called again and again from a thread of its own, until it is stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from node import logs

SLOWDOWN = 10  # a loop that fails waits so many intervals before it tries again
FAILURE_PAUSE_S = 5.0  # and no longer than this

log = logs.get("node.loops")


class Loop:
    """Calls `work` every `interval_s`; a failure is logged, remembered, and the loop goes on."""

    def __init__(self, name: str, interval_s: float, work: Callable[[], object]) -> None:
        self.name = name
        self.problem = ""
        self.interval_s = interval_s
        self._work = work
        self._stopped = threading.Event()
        self._worked_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin, with a first call at once."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Let a call that runs come to its end, for at most `timeout_s`, and call no more."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def silent_s(self) -> float:
        """Return how long ago a call last came back: a loop that hangs shows here."""
        return time.monotonic() - self._worked_at

    def _run(self) -> None:
        while not self._stopped.is_set():
            pause_s = self.interval_s
            try:
                self._work()
                self.problem = ""
            except Exception as error:  # the mouth of this loop
                log.exception("loop.failed", loop=self.name)
                self.problem = f"{self.name}: {type(error).__name__}: {error}"
                pause_s = min(SLOWDOWN * self.interval_s, FAILURE_PAUSE_S)
            self._worked_at = time.monotonic()
            self._stopped.wait(pause_s)
