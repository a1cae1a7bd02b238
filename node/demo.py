"""A node for one occasion: started on free loopback ports in a temporary folder, watched, and stopped.

`prepnode demo` and `prepnode bench` use it; so do tests that need the whole tree.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pydicom.data
from pydicom.dataset import FileDataset

from node.errors import NodeError
from node.forwarding.sendable import sendable
from node.header_facts import HEAD_BYTES, facts
from node.phantom import ct_slices

START_TIMEOUT_S = 60.0
POLL_S = 0.1
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class TemporaryNode:
    """`prepnode serve` in a folder of its own; use it in a `with` statement.

    `tables` are configuration tables laid over the embedded defaults. With `keep` the
    folder stays when the node has stopped. `only` runs one part alone, as `serve --only`
    does. `command` is what is started.
    """

    def __init__(
        self,
        tables: dict[str, Any] | None = None,
        *,
        folder: Path | None = None,
        keep: bool = False,
        only: str | None = None,
    ) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="prepnode-"))
        self.data_dir = self.folder / "data"
        self.config_file = self.folder / "node.toml"
        self.log_file = self.folder / "node.log"
        self.command = [sys.executable, "-m", "node", "serve", "-c", str(self.config_file)]
        self.command += ["--only", only] if only else []
        self._part = only or "node"
        self._keep = keep or folder is not None
        self._tables = _over(
            {
                "node": {"host": "127.0.0.1", "port": 0, "data_dir": str(self.data_dir)},
                "web": {"port": 0},
                "retention": {"min_free_gb": 0.2},
            },
            tables or {},
        )
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.web_port = 0

    def __enter__(self) -> Self:
        """Start the node and wait until it is ready; when that is interrupted, no process stays behind."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text(_toml(self._tables), encoding="utf-8")
        try:
            self.start()
        except BaseException:  # Ctrl-C and SystemExit too: then `__exit__` is not called
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the node; remove its folder unless it is to be kept."""
        self.stop()
        if not self._keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start the process tree and wait for its ports.

        Raises:
            NodeError: it did not become ready; the message holds the end of its log.
        """
        ready = self.data_dir / "run" / f"{socket.gethostname()}.{self._part}.ready"
        ready.unlink(missing_ok=True)
        with self.log_file.open("ab") as log, _undisturbed():
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (ready.exists() and ready.stat().st_size):
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = "\n".join(self.log_file.read_text(errors="replace").splitlines()[-15:])
                raise NodeError(f"the node did not start; the end of its log:\n{tail}")
            time.sleep(POLL_S)
        ports = json.loads(ready.read_text(encoding="utf-8"))
        self.port, self.web_port = ports.get("listener-0", 0), ports.get("web", 0)

    def stop(self, timeout_s: float = 40.0) -> int | None:
        """Stop the node in an orderly way; return its exit code, or None when it had to be killed."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
                return None
        return self.process.returncode

    def kill(self) -> None:
        """Kill the whole process tree at once, as a power cut would stop it."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep a signal from coming between the start of a process and knowing of it; `serve` unblocks them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def write_default_study(folder: Path) -> int:
    """Write what the demo sends: real files that come with pydicom, and a phantom with known HU.

    The phantom comes three times: plain, with a tilted gantry, and with a missing slice, so
    that the results show what the node makes of each. pydicom's files include broken ones, to
    test parsers with; those that name no study, series or instance cannot be received and are left out.

    Returns:
        How many files were left out.
    """
    left_out = 0
    test_files = Path(pydicom.data.__file__).parent / "test_files"
    for path in sorted(each for each in test_files.rglob("*") if each.is_file()):
        if not _names_its_series(path):
            left_out += path.suffix == ".dcm"
            continue
        target = folder / "pydicom" / path.relative_to(test_files)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    write_series(ct_slices("plain", description="PHANTOM"), folder / "plain")
    write_series(ct_slices("tilted", tilt_deg=15, description="PHANTOM TILTED"), folder / "tilted")
    write_series(
        ct_slices("gap", missing=(17,), description="PHANTOM MISSING SLICE"), folder / "missing-slice"
    )
    return left_out


def _names_its_series(path: Path) -> bool:
    """Say whether a file is an instance that names itself, its series and its study."""
    item = sendable(path)
    if item is None:
        return False
    with path.open("rb") as file:
        file.seek(item.offset)
        found = facts(file.read(HEAD_BYTES), transfer_syntax_uid=item.transfer_syntax_uid)
    return all(found.get(keyword) for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"))


def write_series(datasets: Iterable[FileDataset], folder: Path) -> None:
    """Write data sets as numbered files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, dataset in enumerate(datasets, start=1):
        dataset.save_as(folder / f"{number:05d}.dcm", enforce_file_format=True)


def _over(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """Lay tables over tables, one level deep."""
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = {**merged[key], **value} if both else value
    return merged


def _toml(tables: dict[str, Any]) -> str:
    """Write nested tables as TOML, inline: enough for a configuration of plain values."""
    return "\n".join(f"{key} = {_value(value)}" for key, value in tables.items()) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, Path):
        return json.dumps(str(value))
    return json.dumps(value)
