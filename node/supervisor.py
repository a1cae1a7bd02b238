"""Starts the node's processes, watches them, restarts what dies, and stops them in order.

The supervisor does no work of its own. It tells systemd the truth: READY=1 once every
process is ready, WATCHDOG=1 only while every heartbeat is fresh. At SIGHUP it has the
configuration read again, and gives what has changed to the listeners; a process that starts
later gets the newest.

    supervisor -> process   the configuration in one line; then, to a listener, {"number", "config"}
    process -> supervisor   {"port"} when it is ready; then {"took", "mistakes"} for each change
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from node import heartbeat, logs
from node.config import Config
from node.heartbeat import Pulse
from node.reload import Reload

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 25.0  # systemd and the contract allow 30
RESTART_PAUSE_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # after the 1st, 2nd, ... death within RESTART_WINDOW_S
RESTART_WINDOW_S = 300.0
HANGS_AFTER_S = 60.0  # a process that writes no heartbeat for so long is killed and started anew
TICK_S = 0.2

log = logs.get("node.supervisor")


@dataclass
class Child:
    """One process of the node: which part it is, and how it is doing."""

    role: str
    index: int
    process: subprocess.Popen[str] | None = None
    ready: threading.Event = field(default_factory=threading.Event)
    port: int | None = None
    deaths: list[float] = field(default_factory=list)
    restart_at: float | None = None
    beat_mtime_ns: int = 0
    beat_at: float = 0.0
    given: int = 0  # number of the last change that it was told of
    took: int = 0  # and of the last that it answered
    refused: list[str] = field(default_factory=list)  # why it did not take over a change

    @property
    def part(self) -> str:
        """Name of the part in heartbeats and logs."""
        return f"{self.role}-{self.index}" if self.role == "listener" else self.role


class Supervisor:
    """The process tree of one node on one machine."""

    def __init__(
        self,
        reload: Reload,
        roles: Iterable[tuple[str, int]],
        *,
        only: str | None = None,
        log_level: str = "INFO",
    ) -> None:
        config = reload.config
        self._reload = reload
        self._is_reloading = False
        self._children = [Child(role, index) for role, index in roles]
        self._log_level = log_level
        self._stopping = threading.Event()
        self._has_terminal = os.isatty(2)
        self._run_dir = config.node.data_dir / "run"
        self._ready_file = ready_file(config, only=only)
        self._pulse = Pulse(self._run_dir, f"supervisor-{only}" if only else "supervisor", reload.examine)

    def run(self) -> int:
        """Run until SIGTERM or SIGINT, a second one ends all at once; return the exit code (0: in order)."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: self._asked_to_stop())
        signal.signal(signal.SIGHUP, self._hang_up)
        heartbeat.clear(self._run_dir, [child.part for child in self._children])
        for child in self._children:
            self._start(child)
        if not self._await_ready():
            self._stop()
            return 0 if self._stopping.is_set() else 1
        ports = {child.part: child.port for child in self._children if child.port}
        self._pulse.start()
        self._announce(ports)
        while not self._stopping.wait(TICK_S):
            self._watch()
            self._follow()
        self._pulse.stop()
        self._stop()
        return 0

    def _asked_to_stop(self) -> None:
        """Begin to stop; asked again, kill what has not stopped: a kill at any moment loses nothing."""
        if self._stopping.is_set():
            for child in self._children:
                if child.process is not None:
                    child.process.kill()
        self._stopping.set()

    def _start(self, child: Child) -> None:
        child.ready.clear()
        child.given = child.took = self._reload.number
        child.restart_at = None
        child.beat_at = time.monotonic()
        command = child_command(child.role, child.index, self._log_level)
        child.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if child.process.stdin is None or child.process.stdout is None:
            raise RuntimeError("a child process without pipes")
        threading.Thread(
            target=_read_control,
            args=(child, child.process.stdout),
            name=f"control-{child.part}",
            daemon=True,
        ).start()
        try:
            child.process.stdin.write(child_input(self._reload.config, child) + "\n")
            child.process.stdin.flush()
            if child.role != "listener":
                child.process.stdin.close()
        except BrokenPipeError:
            log.warning("process.died_at_start", part=child.part)

    def _await_ready(self) -> bool:
        deadline = time.monotonic() + START_TIMEOUT_S
        for child in self._children:
            while not child.ready.wait(TICK_S):
                if self._stopping.is_set():
                    return False
                code = child.process.poll() if child.process else None
                if code is not None or time.monotonic() > deadline:
                    why = (
                        f"exit code {code}"
                        if code is not None
                        else f"not ready after {START_TIMEOUT_S:.0f} s"
                    )
                    log.error("process.start_failed", part=child.part, why=why)
                    return False
        return True

    def _announce(self, ports: dict[str, int]) -> None:
        self._ready_file.write_text(json.dumps({"pid": os.getpid(), **ports}), encoding="utf-8")
        log.info("node.ready", **{part.replace("-", "_") + "_port": port for part, port in ports.items()})
        notify("READY=1", f"STATUS=receiving as {self._reload.config.node.ae_title}")

    def _watch(self) -> None:
        now = time.monotonic()
        for child in self._children:
            self._feel_pulse(child, now)
            if child.restart_at is not None:
                if now >= child.restart_at:
                    self._start(child)
            elif child.process is not None and child.process.poll() is not None:
                self._note_death(child, now)
            elif child.process is not None and now - child.beat_at > HANGS_AFTER_S:
                log.error("process.hangs", part=child.part)
                child.process.kill()
        if all(
            child.restart_at is None and now - child.beat_at < heartbeat.STALE_S for child in self._children
        ):
            notify("WATCHDOG=1")

    def _hang_up(self, *_: object) -> None:
        """Read the configuration again; stop when it was the terminal that hung up."""
        if self._has_terminal and not os.isatty(2):
            self._stopping.set()
        else:
            self._reload.ask()

    def _follow(self) -> None:
        """Take up a reading of the configuration, give it to the listeners, and tell systemd of both ends."""
        if self._reload.is_reading and not self._is_reloading:
            self._is_reloading = True
            notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        self._reload.look()
        listeners = [child for child in self._children if child.role == "listener"]
        for child in listeners:
            if child.refused:
                self._reload.reject(child.refused)
                child.refused = []
            if child.ready.is_set() and child.given == child.took < self._reload.number:
                self._give(child)
        is_settled = all(child.took == self._reload.number for child in listeners)
        if self._is_reloading and is_settled and not self._reload.is_reading:
            self._is_reloading = False
            notify("READY=1")

    def _give(self, child: Child) -> None:
        """Tell a listener of the newest configuration; it answers before it is told of another."""
        if child.process is None or child.process.stdin is None:
            return
        config = self._reload.config.model_dump(mode="json", by_alias=True)
        child.given = self._reload.number
        try:
            child.process.stdin.write(json.dumps({"number": child.given, "config": config}) + "\n")
            child.process.stdin.flush()
        except OSError:  # it has died, and will start with the newest
            log.warning("process.died_at_reload", part=child.part)

    def _note_death(self, child: Child, now: float) -> None:
        child.deaths = [at for at in child.deaths if now - at < RESTART_WINDOW_S] + [now]
        pause_s = RESTART_PAUSE_S[min(len(child.deaths), len(RESTART_PAUSE_S)) - 1]
        child.restart_at = now + pause_s
        code = child.process.returncode if child.process else None
        heartbeat.clear(self._run_dir, [child.part])  # the last one still says that all is well
        log.error("process.died", part=child.part, exit_code=code, restart_in_s=pause_s)

    def _feel_pulse(self, child: Child, now: float) -> None:
        """Note when the heartbeat last changed, by our own monotonic clock: the wall clock may jump."""
        try:
            mtime_ns = heartbeat.file_of(self._run_dir, child.part).stat().st_mtime_ns
        except FileNotFoundError:
            return
        if mtime_ns != child.beat_mtime_ns:
            child.beat_mtime_ns, child.beat_at = mtime_ns, now

    def _stop(self) -> None:
        """Ask the listeners first, so that nothing new arrives while the others finish."""
        notify("STOPPING=1")
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for wave in ("listener", "registrar", "worker", "web"):
            processes = [c.process for c in self._children if c.role == wave and c.process is not None]
            for process in processes:
                if process.poll() is None:
                    process.terminate()
            for process in processes:
                try:
                    process.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    log.warning("process.killed", pid=process.pid, reason="did not stop in time")
                    process.kill()
                    process.wait()
        self._ready_file.unlink(missing_ok=True)
        log.info("node.stopped")


def child_command(role: str, index: int, log_level: str) -> list[str]:
    """Return the command of one process of the node."""
    return [sys.executable, "-m", "node.role", role, str(index), log_level]


def child_input(config: Config, child: Child | None = None) -> str:
    """Return the configuration as a process reads it; one that starts again keeps the port that it had."""
    settings = config.model_dump(mode="json", by_alias=True)
    if child is not None and child.port:
        settings["web" if child.role == "web" else "node"]["port"] = child.port
    return json.dumps(settings)


def ready_file(config: Config, *, only: str | None = None) -> Path:
    """Return the file that holds the ports of a node while it runs on this host."""
    return config.node.data_dir / "run" / f"{socket.gethostname()}.{only or 'node'}.ready"


def notify(*lines: str) -> None:
    """Tell systemd, when it listens (sd_notify(3)); silent otherwise."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        try:
            connection.connect("\0" + address[1:] if address.startswith("@") else address)
            connection.sendall("\n".join(lines).encode())
        except OSError as error:
            log.warning("systemd.notify_failed", error=str(error))


def _read_control(child: Child, stream: IO[str]) -> None:
    """Take the word of a child: that it is ready, and on which port it listens; what it took over."""
    for line in stream:
        message = json.loads(line)
        if "took" in message:
            child.refused = message["mistakes"]
            child.took = message["took"]
            continue
        child.port = message.get("port") or child.port
        child.ready.set()
