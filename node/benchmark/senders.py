"""dcmtk's senders: started at the same moment, each with its share, and held to what they acknowledge."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from node.benchmark.objects import Share
from node.errors import NodeError

Kind = Literal["storescu", "dcmsend"]
ACKNOWLEDGED = re.compile(rb"Received (?:Store|C-STORE) Response \(Success\)")
STOP_TIMEOUT_S = 5.0
NO_DELAY = {"TCP_NODELAY": "1"}  # dcmtk's own switch: without it Nagle's algorithm stays on


@dataclass(frozen=True, slots=True)
class Sending:
    """How all senders should send."""

    kind: Kind
    port: int
    nagle: bool
    timeout_s: float


def missing(kind: Kind) -> str:
    """Say why there is no such sender, or nothing."""
    return "" if shutil.which(kind) else f"{kind} is not installed (Debian: dcmtk)"


def send(shares: Sequence[Share], how: Sending, folder: Path) -> float:
    """Send all shares at once; return the seconds from the first start to the last end.

    Logs stay in `folder` when something went wrong.

    Raises:
        NodeError: a sender failed, took too long, or had fewer successes than objects.
    """
    folder.mkdir(parents=True, exist_ok=True)
    logs = [folder / f"sender-{index}.log" for index in range(len(shares))]
    environment = {name: value for name, value in os.environ.items() if name not in NO_DELAY}
    environment |= {} if how.nagle else NO_DELAY
    processes: list[subprocess.Popen[bytes]] = []
    started = time.monotonic()
    try:
        for share, log in zip(shares, logs, strict=True):
            with log.open("wb") as output:
                processes.append(
                    subprocess.Popen(
                        command(share, how),
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        env=environment,
                        start_new_session=True,
                    )
                )
        is_done = all(_ends(process, started + how.timeout_s) for process in processes)
        taken_s = time.monotonic() - started
    finally:
        for process in processes:
            stop(process)
    if not is_done:
        raise NodeError(f"not sent within {how.timeout_s:g} s: {_progress(shares, logs)}")
    _check(shares, logs, [process.returncode for process in processes])
    return taken_s


def command(share: Share, how: Sending) -> list[str]:
    """Return the command line of one sender: it scans the folder, for a command line has an end."""
    own = ["-R"] if how.kind == "storescu" else []  # propose what is sent, as dcmsend does
    return [how.kind, "-v", *own, "+sd", "127.0.0.1", str(how.port), str(share.folder)]


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that we started, kindly at first; nothing when it has ended."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ends(process: subprocess.Popen[bytes], deadline: float) -> bool:
    """Wait for a process to the microsecond; `Popen.wait` with a time limit looks every 50 ms only."""
    descriptor = os.pidfd_open(process.pid)
    try:
        left_s = max(0.0, deadline - time.monotonic())
        return bool(select.select([descriptor], [], [], left_s)[0])
    finally:
        os.close(descriptor)


def _check(shares: Sequence[Share], logs: Sequence[Path], codes: Sequence[int]) -> None:
    for share, log, code in zip(shares, logs, codes, strict=True):
        if code != 0 or _acknowledged(log) != share.objects:
            tail = b"\n".join(log.read_bytes().splitlines()[-3:]).decode(errors="replace")
            raise NodeError(f"a sender ended with {code}: {_progress(shares, logs)}; its last words:\n{tail}")


def _progress(shares: Sequence[Share], logs: Sequence[Path]) -> str:
    acknowledged, objects = sum(map(_acknowledged, logs)), sum(share.objects for share in shares)
    return f"{acknowledged} of {objects} objects were acknowledged"


def _acknowledged(log: Path) -> int:
    return len(ACKNOWLEDGED.findall(log.read_bytes()))
