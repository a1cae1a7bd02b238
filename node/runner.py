"""A series in a child process, with limits on time and memory."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import queue
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool

from node import child, logs
from node.child import Order
from node.config import Config
from node.errors import ProcessingError, ProcessingStoppedError

IDLE_S = 60.0  # a child holds about 150 MB; it starts in about a second
SERIES_PER_CHILD = 200  # bounds what a leaking decoder can pile up

HANDLER_FAILED = "the handler failed"
STOPPING = "the node is stopping; the series is processed after the next start"

log = logs.get("node.runner")


@dataclass
class _Slot:
    """One place for a child; its pool of one process is open while there is work, and a while longer.

    One pool per child: a pool that breaks takes no series with it but its own.
    """

    pool: ProcessPool | None = None
    future: Future[dict[str, Any]] | None = None
    used_at: float = 0.0


class SeriesRunner:
    """Runs orders in child processes, at most `jobs.workers` at a time.

    Children start when they are needed and are kept warm; `close_idle` ends those that had
    nothing to do for `idle_s`. `work` is what a child does with an order.
    """

    def __init__(
        self,
        config: Config,
        *,
        work: Callable[[Order, Config], dict[str, Any]] = child.run,
        modules: tuple[str, ...] = child.SCIENCE,
        idle_s: float = IDLE_S,
    ) -> None:
        self._config = config
        self._work = work
        self._modules = modules
        self._idle_s = idle_s
        self._slots = [_Slot() for _ in range(config.jobs.workers)]
        self._free: queue.LifoQueue[_Slot] = queue.LifoQueue()  # the warmest is on top
        for slot in self._slots:
            self._free.put(slot)
        # The kernel kills a child when the *thread* that started it ends (prctl(2)), so one thread
        # that lives as long as the runner starts them all.
        self._keeper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="processing-keeper")
        self._stopping = False

    def run(self, order: Order) -> dict[str, Any]:
        """Run one order and return what the child made of it (see `child.run`).

        Raises:
            ProcessingError: the child crashed, took too long or too much memory, or the handler
                failed; the message says which, in words for a person.
            ProcessingStoppedError: the node is stopping; the order has to run again later.
        """
        slot = self._free.get()
        try:
            _clear(order.out.parent)
            return self._run_in(slot, order)
        finally:
            slot.used_at = time.monotonic()
            self._free.put(slot)

    def warm(self) -> None:
        """Start one child ahead of the work, when a series is about to become complete."""
        try:
            slot = self._free.get_nowait()
        except queue.Empty:
            return
        try:
            self._pool(slot)
        finally:
            slot.used_at = time.monotonic()
            self._free.put(slot)

    def close_idle(self) -> int:
        """End the children that had nothing to do for `idle_s`; return how many that were."""
        free: list[_Slot] = []
        while True:
            try:
                free.append(self._free.get_nowait())
            except queue.Empty:
                break
        now = time.monotonic()
        idle = [slot for slot in free if slot.pool is not None and now - slot.used_at >= self._idle_s]
        for slot in idle:
            self._close(slot)
        for slot in sorted(free, key=lambda each: each.pool is not None):
            self._free.put(slot)
        return len(idle)

    def stop(self) -> None:
        """Kill every child; what runs raises `ProcessingStoppedError`."""
        self._stopping = True
        for slot in self._slots:
            if slot.future is not None:
                slot.future.cancel()
            self._close(slot)
        self._keeper.shutdown()

    def _run_in(self, slot: _Slot, order: Order) -> dict[str, Any]:
        started = time.monotonic()
        try:
            result = self._result(slot, order)
        except BrokenProcessPool:
            self._close(slot)  # its child died before it took the order, for instance while it was idle
            try:
                result = self._result(slot, order)
            except BrokenProcessPool as error:
                self._close(slot)
                raise ProcessingError("a child process cannot start; the node's log says why") from error
        log.info(
            "series.ran",
            SeriesInstanceUID=order.series_instance_uid,
            revision=order.revision,
            instances=len(order.files),
            seconds=round(time.monotonic() - started, 3),
        )
        return result

    def _result(self, slot: _Slot, order: Order) -> dict[str, Any]:
        self._raise_if_stopping()
        try:
            slot.future = self._schedule(slot, order)
            return _await(slot.future, timeout_s=self._config.jobs.timeout_s)
        except BrokenProcessPool:
            self._raise_if_stopping()
            raise
        except CancelledError:
            raise ProcessingStoppedError(STOPPING) from None
        except Exception as error:
            self._give_up(slot, order)
            self._raise_if_stopping()
            words = _words(error, order, self._config)
            if words.startswith(HANDLER_FAILED):
                log.exception("series.handler_failed", SeriesInstanceUID=order.series_instance_uid)
            raise ProcessingError(words) from error
        finally:
            slot.future = None

    def _schedule(self, slot: _Slot, order: Order) -> Future[dict[str, Any]]:
        pool = self._pool(slot)
        try:
            return pool.schedule(self._work, args=(order, self._config))
        except RuntimeError as error:  # it broke just now
            raise BrokenProcessPool(str(error)) from error

    def _raise_if_stopping(self) -> None:
        if self._stopping:
            raise ProcessingStoppedError(STOPPING)

    def _give_up(self, slot: _Slot, order: Order) -> None:
        """End the child, so that the next series gets a fresh one, and remove what it left half written."""
        self._close(slot)
        _clear(order.out.parent)

    def _pool(self, slot: _Slot) -> ProcessPool:
        if slot.pool is not None and not slot.pool.active:
            self._close(slot)
        if slot.pool is None:
            slot.pool = self._keeper.submit(self._open).result()
        return slot.pool

    def _open(self) -> ProcessPool:
        pool = ProcessPool(
            max_workers=1,
            max_tasks=SERIES_PER_CHILD,
            initializer=child.prepare,
            initargs=(os.getpid(), self._config.jobs.memory_mb, self._modules),
            context=multiprocessing.get_context("spawn"),
        )
        if not pool.active:  # asking starts it
            raise BrokenProcessPool("a child process cannot be started")
        return pool

    @staticmethod
    def _close(slot: _Slot) -> None:
        pool, slot.pool = slot.pool, None
        if pool is not None:
            pool.stop()  # type: ignore[no-untyped-call]  # pebble leaves it so
            pool.join()


def _clear(series_folder: Path) -> None:
    """Remove what killed children left half written, of any revision; who still writes holds a lock on it."""
    for leftover in series_folder.glob(".r*.tmp-*[0-9]"):
        with suppress(OSError):  # locked, or gone
            handle = os.open(leftover, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(leftover)
            finally:
                os.close(handle)


class _TooLongError(Exception):
    """The child did not end within its time limit."""


def _await(future: Future[dict[str, Any]], *, timeout_s: float) -> dict[str, Any]:
    """Return what a child made; not with pebble's own time limit, which follows the wall clock."""
    try:
        return future.result(timeout=timeout_s)
    except TimeoutError:
        if not future.done():
            raise _TooLongError from None
        return future.result()  # it ended just now, or the TimeoutError is the handler's own


def _words(error: Exception, order: Order, config: Config) -> str:
    """Say what became of a child, and what a person can do about it."""
    match error:
        case _TooLongError():
            return (
                f"the series took longer than {config.jobs.timeout_s:g} s; "
                "raise jobs.timeout_s or look at the series"
            )
        case MemoryError():
            return f"the series needed more than {config.jobs.memory_mb} MB; raise jobs.memory_mb"
        case ProcessExpired():
            return _death(error.exitcode)
        case OSError(errno=int()):
            what = error.filename or f"the results in {order.out}"
            return f"{what}: {error.strerror}; mend that, then reprocess the series"
        case _:
            return f"{HANDLER_FAILED}: {type(error).__name__}: {error}"


def _death(exitcode: int | None) -> str:
    """Say in words how a child ended: by a signal (negative exit code) or by itself."""
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        if name == "SIGKILL":
            return "the child process was killed (SIGKILL); the machine may have run out of memory"
        return f"the child process crashed ({name}); a decoder or plug-in may not stand this data"
    return f"the child process ended by itself with exit code {exitcode}"
