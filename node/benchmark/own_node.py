"""This node as a receiver that is measured: receiving alone, nothing of what follows a complete series."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Engine, func, select

from node import heartbeat
from node.benchmark import processes
from node.benchmark.receivers import OTHER, RECEIVING, Receiver, free_port
from node.demo import TemporaryNode
from node.registry.database import read_engine
from node.registry.schema import Instance

NEVER_S = 86400.0  # no series becomes complete during a run, so no processing is in the way
RECEIVING_ROLES = ("listener", "registrar")


class OwnNode(Receiver):
    """`prepnode serve`; what receives are its listeners and what registers for them."""

    def __init__(
        self,
        folder: Path,
        *,
        durability: str,
        listeners: int = 1,
        max_pdu: int | None = None,
        registry: Path | None = None,
    ) -> None:
        self._node = TemporaryNode(
            tables(durability, listeners=listeners, max_pdu=max_pdu), folder=folder, keep=True
        )
        self._registry = registry
        self._engine: Engine | None = None
        self._before = 0  # highest id in the registry when the node started

    def __enter__(self) -> Self:
        """Start it, on a copy of the given registry if there is one."""
        if self._registry is not None:
            self._node.data_dir.mkdir(parents=True)
            shutil.copyfile(self._registry, self._node.data_dir / "registry.db")
        self._node.__enter__()
        try:
            self.port = self._node.port
            self._engine = read_engine(f"sqlite:///{self._node.data_dir / 'registry.db'}")
            with self._engine.connect() as connection:
                self._before = connection.scalar(select(func.max(Instance.id))) or 0
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        if self._engine is not None:
            self._engine.dispose()
        self._node.__exit__(None, None, None)

    def processes(self) -> Mapping[str, list[int]]:
        """Return listeners and registrar as those that receive; supervisor, worker and web as others."""
        found: dict[str, list[int]] = {RECEIVING: [], OTHER: []}
        if self._node.process is not None:
            for pid in processes.tree(self._node.process.pid):
                found[RECEIVING if role(processes.command(pid)) in RECEIVING_ROLES else OTHER].append(pid)
        return found

    def held(self) -> int:
        """Count what was registered since the node started."""
        if self._engine is None:
            return 0
        with self._engine.connect() as connection:
            counted = select(func.count()).select_from(Instance).where(Instance.id > self._before)
            return connection.scalar(counted) or 0

    def caught_up(self) -> bool:
        """Say whether every heartbeat tells that no registration is pending."""
        beats = heartbeat.read_all(self._node.data_dir / "run")
        return not any(beat.counters.get("pending", 0) for beat in beats)

    def log_tail(self) -> str:
        """Return the end of its log."""
        return "\n".join(self._node.log_file.read_text(errors="replace").splitlines()[-5:])


def tables(durability: str, *, listeners: int, max_pdu: int | None) -> dict[str, Any]:
    """Return the configuration that a node is measured with."""
    listener: dict[str, Any] = {"durability": durability}
    if max_pdu:
        listener["max_pdu"] = max_pdu
    return {
        "node": {"listeners": listeners, "port": free_port()},  # several cannot share port 0
        "listener": listener,
        "completion": {"quiet_s": NEVER_S, "settle_s": NEVER_S, "cap_s": NEVER_S},
    }


def role(command: list[str]) -> str:
    """Return which part of the node a command line is, or nothing."""
    try:
        return command[command.index("node.role") + 1]
    except (ValueError, IndexError):
        return ""
