"""Peers and waiting for tests of the whole node: Orthanc and storescp on free loopback ports, stopped by their pid."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import pydicom
import pytest

from node.registry import queries
from node.registry.database import read_engine

END_STATES = ("PROCESSED", "HELD", "FAILED")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_cli(*arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "node", *arguments], capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == expect, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def await_that(condition, what: str, timeout_s: float = 60.0):
    """Poll until the condition gives something true; return it."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s in vain for: {what}"
        time.sleep(0.05)


def await_end_states(node, *, series: int, revision: int = 1, deliveries: int = 0) -> list[dict[str, Any]]:
    """Wait until so many series have ended at (at least) this revision, and so many deliveries are done."""
    engine = read_engine(f"sqlite:///{node.data_dir / 'registry.db'}")

    def ended():
        rows = queries.series_list(engine, limit=1000)
        done = [row for row in rows if row["state"] in END_STATES and row["revision"] >= revision]
        sent = queries.deliveries_list(engine, state="DELIVERED", limit=1000)
        return rows if len(done) == len(rows) == series and len(sent) >= deliveries else None

    try:
        return await_that(
            ended, f"{series} series and {deliveries} deliveries to end; log: {node.log_file}", 120
        )
    finally:
        engine.dispose()


class Server(ABC):
    """A peer process in a folder of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def command(self) -> list[str]:
        """Say how the peer is started."""

    def __enter__(self):
        with (self.folder / "server.log").open("wb") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder)
        await_that(self.answers, f"{type(self).__name__} to answer", 30)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class StoreSCP(Server):
    """dcmtk's storescp, keeping what it receives as it was received."""

    def command(self) -> list[str]:
        if not any(Path(p, "storescp").exists() for p in os.environ["PATH"].split(":")):
            pytest.skip("dcmtk is not installed")
        (self.folder / "in").mkdir(exist_ok=True)
        return ["storescp", "--promiscuous", "+xa", "+B", "-od", str(self.folder / "in"), str(self.port)]

    def datasets(self) -> dict[str, pydicom.Dataset]:
        found = [pydicom.dcmread(path) for path in (self.folder / "in").iterdir()]
        return {dataset.SOPInstanceUID: dataset for dataset in found}


class Orthanc(Server):
    """Orthanc, as PACS and as sender."""

    def __init__(self, folder: Path, *, peers: dict[str, tuple[str, int]] | None = None) -> None:
        super().__init__(folder, free_port())
        self.http_port = free_port()
        configuration = {
            "Name": "test",
            "StorageDirectory": str(folder / "db"),
            "IndexDirectory": str(folder / "db"),
            "DicomPort": self.port,
            "HttpPort": self.http_port,
            "DicomAet": "ORTHANC",
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "Plugins": [],
            "DicomModalities": {
                name: [aet, "127.0.0.1", port] for name, (aet, port) in (peers or {}).items()
            },
        }
        (folder / "orthanc.json").write_text(json.dumps(configuration))

    def command(self) -> list[str]:
        binary = next((p for p in ("/usr/sbin/Orthanc", "/usr/bin/Orthanc") if Path(p).exists()), None)
        if binary is None:
            pytest.skip("Orthanc is not installed")
        return [binary, str(self.folder / "orthanc.json")]

    def answers(self) -> bool:
        try:
            self.call("/system")
        except OSError:
            return False
        return super().answers()

    def call(self, path: str, body: bytes | None = None, *, raw: bool = False):
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data=body)
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = answer.read()
        return content if raw else json.loads(content)

    def upload(self, folder: Path) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.call("/instances", path.read_bytes())

    def send_all(self, peer: str) -> None:
        self.call(f"/modalities/{peer}/store", json.dumps(self.call("/instances")).encode())

    def datasets(self) -> dict[str, pydicom.Dataset]:
        found = [
            pydicom.dcmread(pydicom.filebase.DicomBytesIO(self.call(f"/instances/{name}/file", raw=True)))
            for name in self.call("/instances")
        ]
        return {dataset.SOPInstanceUID: dataset for dataset in found}


def peak_memory_mb(node) -> dict[str, float]:
    """Return the highest resident size so far of each living process of the node (VmHWM), by role."""
    peaks: dict[str, float] = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if os.getpgid(int(status.parent.name)) != node.process.pid:
                continue
            command = (status.parent / "cmdline").read_bytes().split(b"\0")
            line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        except (ProcessLookupError, FileNotFoundError, StopIteration):
            continue
        role = command[command.index(b"node.role") + 1].decode() if b"node.role" in command else "child"
        peaks[role] = max(peaks.get(role, 0.0), int(line.split()[1]) / 1024)
    return peaks
