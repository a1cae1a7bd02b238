"""The receivers that are measured against one another; each runs alone, in a folder of its own.

`Receiver` says what measuring needs of one. Here are those of others; this node is in `own_node`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from node.benchmark import processes
from node.benchmark.senders import NO_DELAY, stop
from node.errors import NodeError

RECEIVING, OTHER = "receiving", "other"  # what a process of a receiver does
START_TIMEOUT_S = 30.0
POLL_S = 0.05


class Receiver(ABC):
    """A C-STORE SCP that runs while the context lasts."""

    port: int = 0

    @abstractmethod
    def __enter__(self) -> Self:
        """Start it and wait until it answers; raises `NodeError` when it does not."""

    @abstractmethod
    def __exit__(self, *_: object) -> None:
        """Stop it by its own pid."""

    @abstractmethod
    def processes(self) -> Mapping[str, list[int]]:
        """Return its processes now: those that receive, and all others."""

    @abstractmethod
    def held(self) -> int:
        """Return how many objects it holds, as the receiver itself or its folder tells."""

    def caught_up(self) -> bool:
        """Say whether nothing of what it acknowledged is still to be done."""
        return True

    def log_tail(self) -> str:
        """Return the end of what it logged."""
        return ""


class Peer(Receiver):
    """A receiver of somebody else: one command, its files in one folder."""

    environment: ClassVar[Mapping[str, str]] = {}

    def __init__(self, folder: Path, *, associations: int, max_pdu: int | None) -> None:
        self._folder, self._associations, self._max_pdu = folder, associations, max_pdu
        self._kept = folder / "received"
        self._log = folder / "receiver.log"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line."""

    def __enter__(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            NodeError: it does not.
        """
        self._kept.mkdir(parents=True)
        self.port = free_port()
        environment = {name: value for name, value in os.environ.items() if name not in NO_DELAY}
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    self.command(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._folder,
                    env=environment | dict(self.environment),
                    start_new_session=True,
                )
            self._await_answer(self._process)
        except BaseException:  # Ctrl-C too: then `__exit__` is not called
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it, and what it has forked."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGTERM)
            stop(self._process)

    def processes(self) -> Mapping[str, list[int]]:
        """Return the whole tree: all of it is there to receive."""
        return {RECEIVING: processes.tree(self._process.pid) if self._process else [], OTHER: []}

    def held(self) -> int:
        """Count the files it has written."""
        return sum(1 for path in self._kept.rglob("*") if path.is_file())

    def answers(self) -> bool:
        """Say whether its port is open."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def log_tail(self) -> str:
        """Return the end of what it printed."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-5:])

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise NodeError(f"{self.command()[0]} did not start; the end of its log:\n{self.log_tail()}")
            time.sleep(POLL_S)


class StoreSCP(Peer):
    """dcmtk's storescp, writing what it reads; with several associations it forks for each."""

    environment = NO_DELAY  # without it, it is ten times slower with every sender

    def command(self) -> list[str]:
        """Return the command line."""
        fork = ["--fork"] if self._associations > 1 else []
        pdu = ["-pdu", str(self._max_pdu)] if self._max_pdu else []
        return ["storescp", *fork, *pdu, "--promiscuous", "+xa", "+B", "-od", str(self._kept), str(self.port)]


class PynetdicomStoreSCP(Peer):
    """The storescp that comes with pynetdicom."""

    def command(self) -> list[str]:
        """Return the command line."""
        pdu = ["--max-pdu", str(self._max_pdu)] if self._max_pdu else []
        command = [sys.executable, "-m", "pynetdicom", "storescp", "-q", "--bind-address", "127.0.0.1"]
        return [*command, *pdu, "-od", str(self._kept), str(self.port)]


class Orthanc(Peer):
    """Orthanc with SQLite, as it is shipped: it syncs every file, and leaves Nagle's algorithm on.

    Its option `TcpNoDelay` is about HTTP alone; its DICOM side is dcmtk's and heeds the
    environment variable TCP_NODELAY, which `OrthancNoDelay` sets.
    """

    _http_port = 0

    def command(self) -> list[str]:
        """Write the configuration; return the command line."""
        self._http_port = self._http_port or free_port()
        configuration = {
            "Name": "bench",
            "StorageDirectory": str(self._kept),
            "IndexDirectory": str(self._kept),
            "DicomPort": self.port,
            "HttpPort": self._http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "Plugins": [],
        }
        if self._max_pdu:
            configuration["MaximumPduLength"] = self._max_pdu
        path = self._folder / "orthanc.json"
        path.write_text(json.dumps(configuration), encoding="utf-8")
        return [orthanc_binary() or "Orthanc", str(path)]

    def answers(self) -> bool:
        """Say whether both its ports are open."""
        try:
            self.held()
        except OSError:
            return False
        return super().answers()

    def held(self) -> int:
        """Ask it how many instances it has."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http_port}/statistics", timeout=30) as answer:
            return int(json.load(answer)["CountInstances"])


class OrthancNoDelay(Orthanc):
    """Orthanc with TCP_NODELAY in its environment."""

    environment = NO_DELAY


def orthanc_binary() -> str | None:
    """Return where Orthanc is; Debian keeps it where only root looks for commands."""
    return shutil.which("Orthanc") or shutil.which("/usr/sbin/Orthanc")


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is free now."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
