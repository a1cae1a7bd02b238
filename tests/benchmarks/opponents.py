"""The receivers that are compared: this node, storescp, Orthanc, pynetdicom's own; each fresh, as it comes, on a free port."""

import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from census import Usage, listener_pid
from node.demo import TemporaryNode
from nodes import Orthanc, Server, StoreSCP, free_port

ORTHANC = next((p for p in ("/usr/sbin/Orthanc", "/usr/bin/Orthanc") if Path(p).exists()), None)


@dataclass
class Running:
    """A receiver that runs: where it listens, which process listens, and which one is told to stop."""

    name: str
    port: int
    pid: int
    process: subprocess.Popen
    storage: Path

    def usage(self) -> Usage | None:
        """Return what the listening process uses; None when it is gone."""
        try:
            return Usage.of(self.pid)
        except (FileNotFoundError, ProcessLookupError):
            return None

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def n_bytes_kept(self) -> int:
        """Return how many bytes are in the files of its storage."""
        return sum(path.stat().st_size for path in self.storage.rglob("*") if path.is_file())


class PlainStoreSCP(StoreSCP):
    """storescp as it comes; `StoreSCP` keeps every byte, which it does not by itself."""

    def command(self) -> list[str]:
        return [each for each in super().command() if each not in ("+xa", "+B")]


class StockSCP(Server):
    """The C-STORE SCP application that comes with pynetdicom."""

    def command(self) -> list[str]:
        (self.folder / "in").mkdir(exist_ok=True)
        return [
            sys.executable,
            "-m",
            "pynetdicom",
            "storescp",
            str(self.port),
            "-od",
            str(self.folder / "in"),
        ]


@contextmanager
def ours(folder: Path, tables: dict | None = None):
    tables = {"retention": {"min_free_gb": 0}} | (tables or {})
    with TemporaryNode(tables, folder=folder) as node:
        yield Running("prepnode", node.port, listener_pid(node), node.process, node.data_dir / "spool")


@contextmanager
def _server(name: str, server: Server, storage: Path):
    with server as started:
        yield Running(name, started.port, started.process.pid, started.process, storage)


def storescp(folder: Path):
    return _server("storescp", PlainStoreSCP(folder, free_port()), folder / "in")


def orthanc(folder: Path):
    return _server("Orthanc", Orthanc(folder), folder / "db")


def stock(folder: Path):
    return _server("pynetdicom", StockSCP(folder, free_port()), folder / "in")


def versions() -> dict[str, str]:
    """Return the receivers that are installed here: column title -> version."""
    found = {"prepnode": metadata.version("prepnode")}
    if shutil.which("storescp"):
        found["storescp"] = _first_line("storescp", "--version").split()[2].rstrip(":")
    if ORTHANC:
        found["Orthanc"] = _first_line(ORTHANC, "--version").split()[-1]
    return found | {"pynetdicom": metadata.version("pynetdicom")}


def _first_line(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[0]


START = {"prepnode": ours, "storescp": storescp, "Orthanc": orthanc, "pynetdicom": stock}
