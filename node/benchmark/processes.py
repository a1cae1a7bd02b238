"""What the processes of a receiver use: CPU time and memory, from /proc (Linux).

A process that ended meanwhile counts through its parent, which has waited for it; one that
vanishes while it is read counts as nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SAMPLE_EVERY_S = 0.1
TIMES = slice(11, 15)  # utime, stime, cutime, cstime behind the command's name: fields 14 to 17 of proc(5)


def tree(root: int) -> list[int]:
    """Return a process and all its descendants."""
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += _children(pid)
    return found


def command(pid: int) -> list[str]:
    """Return the words a process was started with."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def cpu_s(pids: Iterable[int]) -> float:
    """Return the CPU seconds of processes and of those of their children that have ended."""
    return sum(sum(map(int, _stat(pid)[TIMES])) for pid in pids) / TICKS_PER_S


def touch_memory(n_bytes: int) -> None:
    """Have so much free memory in the hands of this machine, in a process that ends.

    A virtual machine may give its free memory back to the host, and fetch each page anew when
    a file is written: 1.2 ms instead of 0.15 ms for 0.5 MB, whoever writes it first.
    """
    program = "import sys; bytearray(b'1') * int(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, str(n_bytes)], check=False)


def machine_cpu_s() -> float:
    """Return the CPU seconds that the whole machine has worked, the kernel and stolen time included."""
    fields = Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_S


def peak_mb(pid: int) -> float:
    """Return the highest resident memory of a process so far (VmHWM), in units of 2^20 bytes."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmHWM:") / 1024


def pss_mb(pids: Iterable[int]) -> float:
    """Return the resident memory of processes, a page of several counted once (Pss)."""
    return sum(_kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") for pid in pids) / 1024


class PeakWatch:
    """Follow the highest VmHWM of a changing set of processes, some of which end before anyone could ask."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-watch", daemon=True)
        self.highest_mb = 0.0

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look a last time."""
        self._stopped.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._stopped.wait(SAMPLE_EVERY_S):
            self._look()

    def _look(self) -> None:
        self.highest_mb = max([self.highest_mb, *map(peak_mb, self._pids())])


def _children(pid: int) -> list[int]:
    """Return the children of every thread of a process (CONFIG_PROC_CHILDREN, as in all distributions)."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, path.read_text().split())
        except OSError:
            continue
    return found


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat behind the command's name, which may hold blanks."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return []


def _kilobytes(path: Path, key: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(key)), 0)
