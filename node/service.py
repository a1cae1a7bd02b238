"""The wiring: which parts a node consists of, built in order, started, and stopped.

    supervisor ─┬─ listener x N   spool, registrar, C-STORE SCP
                ├─ worker         completion, jobs, processing, forwarding, commitment, sweep, retention
                └─ web            health, metrics, API, pages

The parts meet in the registry and nowhere else. `serve` runs the supervisor; `run_role` is
what each of its processes does.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol

from node import logs
from node.config import Config
from node.errors import ConfigError, NodeError, SpoolError
from node.heartbeat import Pulse
from node.supervisor import Supervisor, child_command, child_input

PREPARE_TIMEOUT_S = 300.0  # a migration of a large registry may take minutes
DRAIN_S = 15.0  # what runs at SIGTERM may end within this; the rest runs again at the next start
EXIT_CONFIG = 2
EXIT_LOCKED = 75  # EX_TEMPFAIL, sysexits.h


class Ready(Protocol):
    """Tells the supervisor that a process works, and on which port."""

    def __call__(self, port: int | None = None) -> None:
        """Say so."""


def serve(config: Config, *, only: str | None = None, log_level: str = "INFO") -> int:
    """Check, prepare and run the node until it is told to stop; return its exit code.

    What needs large libraries is done in a process that ends, so the supervisor stays small.
    """
    from node.spool import Spool

    logs.configure(log_level, json=not sys.stderr.isatty())
    spool = Spool(config.spool_dir, durability=config.listener.durability)
    try:
        if only in (None, "listener"):
            spool.lock()
        prepare = subprocess.run(
            child_command("prepare", 0, log_level),
            input=child_input(config),
            text=True,
            timeout=PREPARE_TIMEOUT_S,
            check=False,
        )
        if prepare.returncode != 0:
            return prepare.returncode
        return Supervisor(config, _roles(config, only), log_level=log_level).run()
    except SpoolError as error:
        logs.get("node.service").error("node.locked", error=str(error))
        return EXIT_LOCKED
    finally:
        spool.close()


def _roles(config: Config, only: str | None) -> list[tuple[str, int]]:
    """Return the processes of this machine; the worker comes first, so that nothing waits for it."""
    roles = [("worker", 0), ("web", 0), *(("listener", index) for index in range(config.node.listeners))]
    return [role for role in roles if only in (None, role[0])]


def run_role(config: Config, role: str, index: int, *, ready: Ready, stop: threading.Event) -> int:
    """Run one process of the node until `stop` is set; return its exit code."""
    roles: dict[str, Callable[[], None]] = {
        "prepare": lambda: _prepare(config),
        "listener": lambda: _listener(config, index, ready, stop),
        "worker": lambda: _worker(config, ready, stop),
        "web": lambda: _web(config, ready, stop),
    }
    try:
        roles[role]()
    except ConfigError as error:
        for mistake in error.mistakes:
            print(mistake, file=sys.stderr)  # noqa: T201 - for the person who starts the node
        return EXIT_CONFIG
    except NodeError as error:
        logs.get("node.service").error("process.failed", part=role, error=str(error))
        return 1
    return 0


def _prepare(config: Config) -> None:
    """Check the configuration, make the folders and bring the registry up to date, before anything starts."""
    from node.precheck import check
    from node.registry.database import engine, migrate

    check(config)
    for folder in (config.node.data_dir, config.outputs_dir, config.node.data_dir / "run"):
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    migrate(engine(config.registry_url))


def _listener(config: Config, index: int, ready: Ready, stop: threading.Event) -> None:
    """Receive: bytes to the spool, durable; rows to the registry, a moment later."""
    from node.listener.server import ListenerServer
    from node.registration import Registrar
    from node.registry.database import engine
    from node.registry.repository import Repository
    from node.retention import FreeSpace
    from node.spool import Spool

    owner = f"{socket.gethostname()}-{index}".replace(".", "-")[-64:]
    spool = Spool(config.spool_dir, owner, config.listener.durability)
    repository = Repository(engine(config.registry_url))
    registrar = Registrar(repository, spool)
    registrar.recover()
    registrar.start()
    server = ListenerServer(
        config, spool, registrar, repository, accepting=FreeSpace(config).accepting, index=index
    )
    port = server.start()

    def examine() -> tuple[bool, str, dict[str, Any]]:
        problem = registrar.problem or ("" if server.is_healthy() else "it no longer accepts associations")
        counters = {**server.counters(), "pending": registrar.pending}
        return not problem, problem or f"listening on port {port}", counters

    pulse = Pulse(config.node.data_dir / "run", f"listener-{index}", examine)
    pulse.start()
    ready(port)
    stop.wait()
    server.stop(DRAIN_S)
    registrar.stop()
    pulse.stop()


def _worker(config: Config, ready: Ready, stop: threading.Event) -> None:
    """Complete, process, deliver, and clear away."""
    from node.worker import Worker

    worker = Worker(config)
    worker.start()
    pulse = Pulse(config.node.data_dir / "run", "worker", worker.examine)
    pulse.start()
    ready()
    stop.wait()
    worker.stop()
    pulse.stop()


def _web(config: Config, ready: Ready, stop: threading.Event) -> None:
    """Show: health, metrics, API, pages."""
    from node.registry.database import engine
    from node.web.app import create_app
    from node.web.server import WebServer

    server = WebServer(create_app(config, engine(config.registry_url)), config.web.host, config.web.port)
    port = server.start()
    pulse = Pulse(
        config.node.data_dir / "run",
        "web",
        lambda: (server.is_healthy(), f"http://{config.web.host}:{port}", {}),
    )
    pulse.start()
    ready(port)
    stop.wait()
    server.stop()
    pulse.stop()
