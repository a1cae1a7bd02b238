"""What a process holds: its threads, its descriptors, its memory, its processor time. This one, or another by its pid."""

import gc
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Census:
    """Threads and open descriptors of this process at one moment."""

    threads: frozenset[threading.Thread]
    descriptors: tuple[str, ...]

    @classmethod
    def take(cls) -> "Census":
        return cls(frozenset(threading.enumerate()), tuple(sorted(_descriptors("self"))))

    def surplus(self, base: "Census") -> str:
        """Say what there is now that there was not at `base`; "" when all is back."""
        threads = sorted(thread.name for thread in self.threads - base.threads)
        found = f"threads that stay: {threads}" if threads else ""
        if len(self.descriptors) > len(base.descriptors):
            new = list(self.descriptors)
            for each in base.descriptors:
                if each in new:
                    new.remove(each)
            found += f"{'; ' if found else ''}descriptors that stay: {new}"
        return found


def surplus_that_stays(base: Census, timeout_s: float = 30.0) -> str:
    """Wait until threads and descriptors are those of `base`; say which are not."""
    deadline = time.monotonic() + timeout_s
    while (surplus := Census.take().surplus(base)) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)
    return surplus


@dataclass(frozen=True)
class Usage:
    """What one process uses: counts, megabytes, seconds of processor time since its start."""

    threads: int
    descriptors: int
    resident_mb: float
    cpu_s: float

    @classmethod
    def of(cls, pid: int) -> "Usage":
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return cls(
            threads=int(fields[17]),
            descriptors=len(_descriptors(str(pid))),
            resident_mb=pages * PAGE_BYTES / 1e6,
            cpu_s=(int(fields[11]) + int(fields[12])) / TICKS_PER_S,
        )

    def is_within(self, base: "Usage") -> bool:
        """Say whether no thread and no descriptor is held beyond those of `base`."""
        return self.threads <= base.threads and self.descriptors <= base.descriptors


def processes_of(root: int) -> dict[int, str]:
    """Return a process and all below it: pid -> command line."""
    parents: dict[int, int] = {}
    commands: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            commands[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ").strip()
        except OSError:  # it ended just now
            continue
        parents[int(folder.name)] = int(fields[1])
    found, new = {}, [root] if root in commands else []
    while new:
        pid = new.pop()
        found[pid] = commands[pid]
        new += [child for child, parent in parents.items() if parent == pid and child in commands]
    return found


def listener_pid(node) -> int:
    """Return the process of a running node that listens."""
    tree = processes_of(node.process.pid)
    return next(pid for pid, command in tree.items() if "node.role listener" in command)


def _descriptors(pid: str) -> list[str]:
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except OSError:  # the one that lists the folder, or one that was closed just now
            continue
    return found
