"""A whole node under fire, seen from outside: its processes, what is done to them, and the judgement of what is left.

Nothing here knows how the node is built inside. What a sender saw acknowledged is compared
with what is on disk and in the registry; that a kill lands at a bad moment is left to chance,
with a seed.
"""

import hashlib
import random
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from os import kill
from pathlib import Path
from typing import Any

from exact_senders import ANSWER_S, Sender, instance
from node.demo import TemporaryNode
from nodes import await_that, free_port

IMPATIENT = "import node.supervisor as s; s.RESTART_PAUSE_S = (0.0,); from node.__main__ import main; main()"
SETTLE_S = 60.0
NOTHING_COMPLETES = {"completion": {"quiet_s": 3600, "settle_s": 3600, "cap_s": 7200}}
RECEIVING = "listener"  # the part of `serve --only` that receives and registers


def storm_node(folder: Path, *, only: str | None = None, **tables: Any) -> TemporaryNode:
    """Return a node that restarts what dies at once, keeps its port, and does nothing but receive."""
    tables["node"] = {"port": free_port(), **tables.get("node", {})}
    tables = {"retention": {"min_free_gb": 0}, **NOTHING_COMPLETES, **tables}
    node = TemporaryNode(tables, folder=folder, only=only)
    node.command[1:3] = ["-c", IMPATIENT]  # instead of `-m node`
    return node


@dataclass(frozen=True)
class Process:
    """One living process of a node.

    `part` is supervisor, listener, worker, web, ..., or child: of the worker, or on its way to its role.
    """

    pid: int
    part: str

    def die(self) -> None:
        """Kill it, unless it has just ended."""
        try:
            kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def processes(node: TemporaryNode) -> list[Process]:
    """Return the living processes of the tree."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
            command = (stat.parent / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it ended just now
            continue
        if int(group) == node.process.pid and state not in "ZX":
            pid = int(stat.parent.name)
            role = command[command.index(b"node.role") + 1].decode() if b"node.role" in command else "child"
            found.append(Process(pid, "supervisor" if pid == node.process.pid else role))
    return found


def kill_tree(node: TemporaryNode) -> None:
    """Kill every process of a node at once, and see them gone."""
    node.kill()
    await_that(lambda: not processes(node), "the tree to be gone", 10)


@dataclass
class Storm:
    """A node, its senders, and what was done to it."""

    node: TemporaryNode
    seed: int
    n_senders: int = 3
    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: dict[str, str] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self._tell = threading.Condition()
        self._senders: list[Sender] = []
        self._round = 0

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Have all senders send; at the end each has an acknowledgement for all that it began."""
        self._round += 1
        self._senders = [
            Sender(self.node.port, f"{self._round}.{number}", self._tell) for number in range(self.n_senders)
        ]
        for sender in self._senders:
            sender.start()
        try:
            yield
        finally:
            for sender in self._senders:
                sender.stop()
            for sender in self._senders:
                sender.join(2 * ANSWER_S)
                assert not sender.is_alive()
                assert sender.problem is None
                self.acknowledged |= sender.acknowledged
                self.statuses += sender.statuses

    def await_acknowledged(self, more: int) -> None:
        """Wait until the senders saw so many more acknowledgements; the moment is exact, not polled."""
        with self._tell:
            target = self._count() + more
            assert self._tell.wait_for(lambda: self._count() >= target, 2 * ANSWER_S), (
                f"no acknowledgements any more; see {self.node.log_file}"
            )

    def refusals(self) -> list[int]:
        """Return how often each sender was answered with something else than success so far."""
        return [sender.statuses.total() - sender.statuses[0x0000] for sender in self._senders]

    def seen(self) -> set[str]:
        """Return what the senders saw acknowledged so far."""
        return {uid for sender in self._senders for uid in tuple(sender.acknowledged)}

    def sent(self, uid: str) -> bytes:
        """Return the data set that a sender made under this UID."""
        return instance(uid, uid.rpartition(".")[0])

    def strike(self) -> None:
        """Kill one process of the tree or all of it, at a random moment, and have the node run again."""
        self.await_acknowledged(self.chance.randint(1, 30))
        supervisor, *children = sorted(processes(self.node), key=lambda each: each.part != "supervisor")
        dice = self.chance.random()
        if dice < 0.1:
            self.kills["the whole tree"] += 1
            kill_tree(self.node)
            self.node.start()
        elif dice < 0.2 or not children:
            self.kills["supervisor"] += 1
            supervisor.die()
            kill_tree(self.node)
            self.node.start()
        else:
            victim = self.chance.choice(children)
            self.kills[victim.part] += 1
            victim.die()
            if victim.part != "child" and self.chance.random() < 0.25:  # a role is always started again
                self._strike_again(victim)

    def _strike_again(self, victim: Process) -> None:
        """Kill what was started in its place while it starts: recovery must bear that too."""

        def successor() -> Process | None:
            found = [each for each in processes(self.node) if each.part == victim.part and each != victim]
            return found[0] if found else None

        follower = await_that(successor, f"another {victim.part}")
        threading.Event().wait(self.chance.random())  # a moment of its start, by chance
        self.kills[f"{victim.part}, starting"] += 1
        follower.die()

    def _count(self) -> int:
        return sum(len(sender.acknowledged) for sender in self._senders)


def registered(node: TemporaryNode) -> dict[str, tuple[str, Path]]:
    """Return digest and path of the registered instances; a UID with two rows is a failure."""
    with closing(sqlite3.connect(f"file:{node.data_dir / 'registry.db'}?mode=ro", uri=True)) as registry:
        rows = registry.execute("SELECT SOPInstanceUID, sha256, path FROM instance").fetchall()
    found = {uid: (sha256, Path(path)) for uid, sha256, path in rows}
    assert len(found) == len(rows)
    return found


def files_in(node: TemporaryNode, folder: str) -> set[Path]:
    """Return the files below a folder of the spool; one that vanishes meanwhile is left out."""
    return {path for path in (node.data_dir / "spool" / folder).rglob("*") if path.is_file()}


def await_settled(node: TemporaryNode) -> None:
    """Wait until nothing is on its way: new/ and tmp/ are empty."""
    await_that(lambda: not files_in(node, "new"), "all that was received to be registered", SETTLE_S)
    await_that(lambda: not files_in(node, "tmp"), "no temporary file to be left", SETTLE_S)


def assert_kept(node: TemporaryNode, acknowledged: dict[str, str], *, and_no_more: bool = True) -> None:
    """Assert that what was acknowledged is registered once, in a file that holds the bytes that were sent.

    With `and_no_more`, nothing else is: what was sent twice is there once, and no half of
    anything is. The digest is this test's own, over the bytes that the sender made.
    """
    await_settled(node)
    found = registered(node)
    missing = set(acknowledged) - set(found)
    assert not missing, (
        f"{len(missing)} of {len(acknowledged)} acknowledged instances are lost: {sorted(missing)[:5]}"
    )
    assert not and_no_more or set(found) == set(acknowledged)
    for uid, series in acknowledged.items():
        sent = instance(uid, series)
        sha256, path = found[uid]
        assert sha256 == hashlib.sha256(sent).hexdigest()
        assert path.read_bytes().endswith(sent)
    assert files_in(node, "store") == {path for _, path in found.values()}
    assert files_in(node, "unreadable") == set()


def memory_kb(pid: int) -> int:
    """Return the resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def threads_and_descriptors(pid: int) -> tuple[int, int]:
    """Count threads and open descriptors of a process."""
    return tuple(sum(1 for _ in Path(f"/proc/{pid}/{folder}").iterdir()) for folder in ("task", "fd"))


def pids(node: TemporaryNode, parts: Iterable[str]) -> list[int]:
    """Return the processes of these parts."""
    return [process.pid for process in processes(node) if process.part in set(parts)]
