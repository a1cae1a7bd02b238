"""Measure receivers in alternating runs: one at a time, started anew, warmed up, at rest, then loaded."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from node.benchmark import processes, senders
from node.benchmark.figures import Run
from node.benchmark.objects import Share
from node.benchmark.receivers import OTHER, RECEIVING, Receiver
from node.benchmark.senders import Sending
from node.errors import NodeError

REST_TIMEOUT_S = 120.0
QUIET_FOR_S = 0.5
QUIET_CPU_S = 0.05  # 10 % of one core: heartbeats and idle loops, not work
POLL_S = 0.02
TOUCHED_BYTES = 4 << 30
KEPT_BYTES = 1 << 30  # what one run writes may stay until the last run, up to so much


@dataclass(frozen=True, slots=True)
class Candidate:
    """A receiver by name, and how to make one in a folder."""

    name: str
    make: Callable[[Path], Receiver]


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent: `warm_up` first and uncounted, then `shares`, one for each association."""

    warm_up: tuple[Share, ...]
    shares: tuple[Share, ...]
    sender: senders.Kind
    timeout_s: float

    @property
    def objects(self) -> int:
        """How many objects are counted."""
        return sum(share.objects for share in self.shares)

    @property
    def size_bytes(self) -> int:
        """How many bytes their files have."""
        return sum(share.size_bytes for share in self.shares)


def alternate(
    candidates: Sequence[Candidate], load: Load, folder: Path, *, runs: int, nagle: Iterable[bool]
) -> Iterator[Run]:
    """Yield the runs, every candidate once before any has its next.

    What a run has written stays until all are done, where that is not much: ext4 makes new
    files slowly, 500 against 9 microseconds each, where thousands were removed in the last
    minutes (it does not use their inodes again so soon), and the next run would pay for it.
    """
    kinds = tuple(nagle)
    for number in range(runs):
        for is_on in kinds:
            for candidate in candidates:
                place = folder / f"{number}-{candidate.name}-{is_on:d}"
                try:
                    yield measure(candidate, load, place, nagle=is_on)
                finally:
                    if load.size_bytes > KEPT_BYTES:
                        shutil.rmtree(place, ignore_errors=True)


def measure(candidate: Candidate, load: Load, folder: Path, *, nagle: bool) -> Run:
    """Start one receiver in `folder`, load it, stop it; a failure is told in the run's `error`."""
    run = Run(candidate.name, nagle, load.objects, load.size_bytes)
    receiver = candidate.make(folder / "receiver")
    try:
        with receiver:
            try:
                return _measured(run, receiver, load, folder)
            except NodeError as error:
                return replace(run, error=f"{error}\n{receiver.log_tail()}".strip())
    except NodeError as error:
        return replace(run, error=str(error))


def _measured(run: Run, receiver: Receiver, load: Load, folder: Path) -> Run:
    how = Sending(load.sender, receiver.port, nagle=run.nagle, timeout_s=load.timeout_s)
    senders.send(load.warm_up, replace(how, nagle=False), folder / "warm-up")
    warm = sum(share.objects for share in load.warm_up)
    _await_held(receiver, warm)
    _await_rest(receiver, (RECEIVING, OTHER))
    os.sync()  # what the run before has left to be written must not slow this one
    processes.touch_memory(min(2 * load.size_bytes, TOUCHED_BYTES))
    before = {part: processes.cpu_s(pids) for part, pids in receiver.processes().items()}
    peaks_before_mb = {pid: processes.peak_mb(pid) for pid in receiver.processes()[RECEIVING]}
    elsewhere_before_s = _elsewhere_cpu_s(receiver)
    with processes.PeakWatch(lambda: receiver.processes()[RECEIVING]) as watch:
        seconds = senders.send(load.shares, how, folder / "senders")
    growth_mb = max((processes.peak_mb(pid) - peak for pid, peak in peaks_before_mb.items()), default=0.0)
    registered = receiver.held() - warm
    elsewhere_s = _elsewhere_cpu_s(receiver) - elsewhere_before_s
    pss_mb = sum(map(processes.pss_mb, receiver.processes().values()))
    _await_held(receiver, warm + load.objects)
    _await_rest(receiver, (RECEIVING,))
    after = {part: processes.cpu_s(pids) for part, pids in receiver.processes().items()}
    return replace(
        run,
        seconds=seconds,
        cpu_s=after[RECEIVING] - before[RECEIVING],
        other_cpu_s=after[OTHER] - before[OTHER],
        peak_mb=watch.highest_mb,
        growth_mb=max(0.0, growth_mb),
        pss_mb=pss_mb,
        registered=registered,
        elsewhere=max(0.0, elsewhere_s / seconds),
    )


def _await_held(receiver: Receiver, objects: int) -> None:
    """Wait until all that was acknowledged is held.

    Raises:
        NodeError: it holds less, or more; then the figures would be of something else.
    """
    deadline = time.monotonic() + REST_TIMEOUT_S
    while (held := receiver.held()) < objects and time.monotonic() < deadline:
        time.sleep(POLL_S)
    if held != objects:
        raise NodeError(f"{objects} objects were acknowledged, but the receiver holds {held}")


def _await_rest(receiver: Receiver, parts: Sequence[str]) -> None:
    """Wait until nothing is pending and these parts use next to no CPU.

    Raises:
        NodeError: that takes too long.
    """
    deadline = time.monotonic() + REST_TIMEOUT_S
    while time.monotonic() < deadline:
        before = _cpu_s(receiver, parts)
        time.sleep(QUIET_FOR_S)
        if _cpu_s(receiver, parts) - before <= QUIET_CPU_S and receiver.caught_up():
            return
    raise NodeError(f"the receiver does not come to rest within {REST_TIMEOUT_S:.0f} s")


def _elsewhere_cpu_s(receiver: Receiver) -> float:
    """Return the CPU seconds of all that is neither receiver, nor sender, nor this command."""
    own = processes.cpu_s([os.getpid()])  # with the senders, which have ended
    return processes.machine_cpu_s() - own - _cpu_s(receiver, (RECEIVING, OTHER))


def _cpu_s(receiver: Receiver, parts: Sequence[str]) -> float:
    found = receiver.processes()
    return sum(processes.cpu_s(found[part]) for part in parts)
