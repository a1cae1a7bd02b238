"""Register what listeners have acknowledged, in batches, from a thread of its own.

What a batch goes through is in `node.intake`. When registry or store refuse, nothing is
given up: what was submitted waits (and lies in new/, should the process die), is tried
again with growing pauses, and `problem` says why, so that the listener can answer 0xA701
instead of taking ever more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from node import logs
from node.clock import utc_now
from node.errors import RegistryError, SpoolError
from node.intake import take_in
from node.recovery import recover
from node.registry.arrivals import Arrival
from node.registry.associations import Ending, Opening
from node.registry.repository import Repository
from node.spool import Spool

INTERVAL_S = 0.12  # how long a batch is collected; the promise is 0.2 s with hand-over and commit
MAX_BATCH = 1000
MAX_PENDING = 20_000  # about 60 MB; a registry that is so far behind counts as failing
RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

Noted = Callable[[], None]
Told = Callable[[Sequence[Arrival], str | None], None]

log = logs.get("node.registration")


def _nobody(_taken: Sequence[Arrival], _problem: str | None) -> None:
    return


def _nothing() -> None:
    return


class Registrar:
    """Registers what is submitted. To be used in this order: `recover`, `start`, `submit` ..., `stop`.

    `told` hears after each batch which arrivals are done with, and what hinders the others.
    """

    def __init__(
        self,
        repository: Repository,
        spool: Spool,
        *,
        interval_s: float = INTERVAL_S,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._repository = repository
        self._spool = spool
        self._interval_s = interval_s
        self._now = now
        self.told: Told = _nobody
        self._changed = threading.Condition()
        self._arrivals: list[Arrival] = []
        self._openings: list[tuple[Opening, Noted]] = []
        self._endings: list[tuple[Ending, Noted]] = []
        self._is_busy = False
        self._is_urgent = False
        self._is_stopping = False
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="registrar", daemon=True)

    @property
    def pending(self) -> int:
        """How many instances are durable but not registered yet."""
        with self._changed:
            return len(self._arrivals)

    @property
    def waiting(self) -> int:
        """How many instances and notes of associations wait to be written."""
        with self._changed:
            return len(self._arrivals) + len(self._openings) + len(self._endings)

    @property
    def problem(self) -> str | None:
        """Why instances cannot be registered at the moment; None while all is well."""
        with self._changed:
            if self._problem is None and len(self._arrivals) > MAX_PENDING:
                return f"{len(self._arrivals)} instances wait to be registered"
            return self._problem

    def recover(self) -> int:
        """Register what a process that died had made durable; return how many instances that were.

        Raises:
            RegistryError, SpoolError: not everything could be registered; do not start.
        """
        return recover(self._repository, self._spool, self._now())

    def start(self) -> None:
        """Begin to register."""
        self._thread.start()

    def submit(self, arrival: Arrival) -> None:
        """Take an instance that is durable. Returns at once, whatever the registry does."""
        with self._changed:
            self._arrivals.append(arrival)
            self._changed.notify_all()

    def note(self, note: Opening | Ending, noted: Noted = _nothing) -> None:
        """Have the begin of an association noted before what it brings, or its end after all that.

        `noted` is called then. Returns at once.
        """
        with self._changed:
            if isinstance(note, Opening):
                self._openings.append((note, noted))
            else:
                self._endings.append((note, noted))
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Wait for a change; return False when this registrar is stopping."""
        with self._changed:
            self._changed.wait(timeout_s)
            return not self._is_stopping

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until all that was submitted is registered; return False when that took too long."""
        with self._changed:
            self._is_urgent = True
            self._changed.notify_all()
            return self._changed.wait_for(self._is_idle, timeout_s)

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Register what is left and end; return False when not all of it could be registered.

        The rest then stays in new/, and is registered at the next start.
        """
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        with self._changed:
            return self._is_idle()

    def _is_idle(self) -> bool:
        return not (self._is_busy or self._has_work())

    def _has_work(self) -> bool:
        return bool(self._arrivals or self._openings or self._endings)

    def _run(self) -> None:
        failures = 0
        while self._await_work(failures):
            try:
                problem = self._work()
            except (RegistryError, SpoolError) as error:
                problem = str(error)
            except Exception as error:  # the mouth of the loop: this thread must not die
                log.exception("registration.failed")
                problem = f"{type(error).__name__}: {error}"
            failures = failures + 1 if problem else 0
            self._tell(problem)

    def _await_work(self, failures: int) -> bool:
        """Wait until a batch is to be registered; return False when this thread is to end."""
        with self._changed:
            if failures:
                if self._is_stopping:
                    return False  # it was tried; the next start goes on
                pause_s = RETRY_S[min(failures, len(RETRY_S)) - 1]
                self._changed.wait_for(lambda: self._is_stopping, pause_s)
            self._changed.wait_for(lambda: self._is_stopping or self._has_work())
            if not self._has_work():
                return False
            self._changed.wait_for(self._is_full, self._interval_s)
            self._is_busy = True
            return True

    def _is_full(self) -> bool:
        return self._is_stopping or self._is_urgent or len(self._arrivals) >= MAX_BATCH

    def _work(self) -> str | None:
        """Write what waits; what could not be written keeps waiting. Return why, if anything does."""
        with self._changed:
            n_openings, n_endings = len(self._openings[:MAX_BATCH]), len(self._endings[:MAX_BATCH])
            batch = self._arrivals[:MAX_BATCH]
            is_all = len(batch) == len(self._arrivals) and n_openings == len(self._openings)
        self._write_down(self._openings, n_openings)
        problem = None
        if batch:
            taken = take_in(self._repository, self._spool, batch, self._now())
            problem = taken.problem
            with self._changed:
                self._arrivals[: len(batch)] = taken.stuck
            stuck = set(map(id, taken.stuck))
            self.told([arrival for arrival in batch if id(arrival) not in stuck], problem)
        if is_all and problem is None:  # the end of an association comes after its begin and what it brought
            self._write_down(self._endings, n_endings)
        return problem

    def _write_down(
        self, waiting: list[tuple[Opening, Noted]] | list[tuple[Ending, Noted]], count: int
    ) -> None:
        """Write the first notes that wait to the registry, in one transaction; then they wait no more."""
        if not count:
            return
        some = waiting[:count]
        notes = [note for note, _ in some]
        self._repository.note_associations(
            [note for note in notes if isinstance(note, Opening)],
            [note for note in notes if isinstance(note, Ending)],
        )
        with self._changed:
            del waiting[:count]
        for _, noted in some:
            noted()

    def _tell(self, problem: str | None) -> None:
        with self._changed:
            self._is_busy = False
            self._is_urgent = self._is_urgent and self._has_work()
            if problem is not None and problem != self._problem:
                log.error("registration.stuck", problem=problem, pending=len(self._arrivals))
            elif problem is None and self._problem is not None:
                log.info("registration.resumed", pending=len(self._arrivals))
            is_other = problem != self._problem
            self._problem = problem
            self._changed.notify_all()
        if is_other:
            self.told((), problem)
