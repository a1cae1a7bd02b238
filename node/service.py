"""The wiring: which parts a node consists of, built in order, started, and stopped.

    supervisor ─┬─ registrar      takes receipts, writes arrivals to the registry
                ├─ listener x N   spool, C-STORE SCP
                ├─ worker         completion, jobs, processing, forwarding, commitment, sweep, retention
                └─ web            health, metrics, API, pages

The parts meet in the registry and nowhere else. `serve` runs the supervisor; `run_role` is
what each of its processes does.
"""

from __future__ import annotations

import os
import signal
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
from node.reload import Reload
from node.supervisor import Supervisor, child_command, child_input

CHECK_TIMEOUT_S = 60.0  # of a configuration that is read again
PREPARE_TIMEOUT_S = 300.0  # a migration of a large registry may take minutes
DRAIN_S = 15.0  # what runs at SIGTERM may end within this; the rest runs again at the next start
HANDOVER_S = 4.0  # what is not registered by then is at the next start
RECOVERY_LOOK_S = 5.0
NOT_FOR_RECEIVING = ("numpy", "PIL", "gdcm", "pylibjpeg", "openjpeg", "rle", "jpeg_ls", "pandas")
REGISTRAR_NICE = 5  # a row may be a moment late, an answer should not
EXIT_CONFIG = 2
EXIT_LOCKED = 75  # EX_TEMPFAIL, sysexits.h


class Ready(Protocol):
    """Tells the supervisor that a process works, and on which port."""

    def __call__(self, port: int | None = None) -> None:
        """Say so."""


class Follow(Protocol):
    """Has every change of the configuration handed to a function, from a thread of its own."""

    def __call__(self, reload: Callable[[Config], None]) -> None:
        """Begin to."""


def serve(
    config: Config, *, read: Callable[[], Config], only: str | None = None, log_level: str = "INFO"
) -> int:
    """Check, prepare and run the node until it is told to stop; return its exit code.

    `read` reads the configuration again, when SIGHUP asks for it.

    What needs large libraries is done in a process that ends, so the supervisor stays small.
    """
    from node.spool import Spool

    logs.configure(log_level, json=not sys.stderr.isatty())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
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
        reload = Reload(config, read, lambda wanted: _mistakes(wanted, log_level))
        return Supervisor(reload, _roles(config, only), only=only, log_level=log_level).run()
    except SpoolError as error:
        logs.get("node.service").error("node.locked", error=str(error))
        return EXIT_LOCKED
    finally:
        spool.close()


def _mistakes(config: Config, log_level: str) -> list[str]:
    """Return what `check-config` would say of a configuration, found in a process that ends."""
    try:
        checked = subprocess.run(
            child_command("check", 0, log_level),
            input=child_input(config),
            text=True,
            capture_output=True,
            timeout=CHECK_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [f"its check took more than {CHECK_TIMEOUT_S:.0f} s"]
    if checked.returncode == 0:
        return []
    said = checked.stderr.splitlines() or ["nothing"]
    return said if checked.returncode == EXIT_CONFIG else [f"its check failed: {said[-1]}"]


def _roles(config: Config, only: str | None) -> list[tuple[str, int]]:
    """Return the processes of this machine; the worker comes first, so that nothing waits for it."""
    receiving = [("registrar", 0), *(("listener", index) for index in range(config.node.listeners))]
    if only == "listener":
        return receiving
    return [role for role in [("worker", 0), ("web", 0), *receiving] if only in (None, role[0])]


def run_role(  # noqa: PLR0913 - what a process is given
    config: Config, role: str, index: int, *, ready: Ready, stop: threading.Event, follow: Follow
) -> int:
    """Run one process of the node until `stop` is set; return its exit code."""
    roles: dict[str, Callable[[], None]] = {
        "check": lambda: _check(config),
        "prepare": lambda: _prepare(config),
        "registrar": lambda: _registrar(config, ready, stop),
        "listener": lambda: _listener(config, index, ready, stop, follow),
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


def _check(config: Config) -> None:
    """Check a configuration that is to be taken over while the node runs."""
    from node.precheck import check

    check(config)


def _prepare(config: Config) -> None:
    """Check the configuration, make the folders and bring the registry up to date, before anything starts."""
    from node.precheck import check
    from node.registry.database import engine, migrate

    check(config)
    for folder in (config.node.data_dir, config.outputs_dir, config.node.data_dir / "run"):
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    migrate(engine(config.registry_url))


def _registrar(config: Config, ready: Ready, stop: threading.Event) -> None:
    """Register what the listeners of this machine receive, and first what a dead process left."""
    os.nice(REGISTRAR_NICE)
    _stay_light()
    from node.receipts import socket_path
    from node.registrar import RegistrarServer
    from node.registration import Registrar
    from node.registry.database import engine
    from node.registry.repository import Repository
    from node.spool import Spool

    run_dir = config.node.data_dir / "run"
    spool = Spool(config.spool_dir, _owner("registrar"), config.listener.durability)
    repository = Repository(engine(config.registry_url))
    registrar = Registrar(repository, spool)
    server = RegistrarServer(socket_path(run_dir), repository, spool, registrar)
    registrar.recover()
    registrar.start()
    server.start()
    pulse = Pulse(
        run_dir, "registrar", lambda: (registrar.problem is None, registrar.problem or "registering", {})
    )
    pulse.start()
    ready()
    stop.wait()
    registrar.stop()
    server.stop()
    pulse.stop()


def _listener(config: Config, index: int, ready: Ready, stop: threading.Event, follow: Follow) -> None:
    """Receive: bytes to the spool, durable; what they are to the registrar, a moment later."""
    _stay_light()
    from node.acks import AckBook
    from node.free_space import FreeSpace
    from node.handover import Handover
    from node.listener.server import ListenerServer, new_run
    from node.receipts import Receipt, socket_path
    from node.spool import Spool

    run_dir = config.node.data_dir / "run"
    spool = Spool(config.spool_dir, _owner(str(index)), config.listener.durability)
    run = new_run(spool.owner)
    handover = Handover(socket_path(run_dir), spool.owner, run)
    for path in spool.recover():
        handover.submit(Receipt(path.name, is_recovered=True))
    handover.start()
    while not handover.flush(RECOVERY_LOOK_S) and not stop.is_set():
        logs.get("node.service").info("spool.recovering", pending=handover.pending)
    book = AckBook(spool.root, spool.owner)
    server = ListenerServer(
        config,
        spool,
        handover,
        run=run,
        accepting=FreeSpace(config).accepting,
        acks=book,
        index=index,
    )
    port = server.start()

    def examine() -> tuple[bool, str, dict[str, Any]]:
        server.warn_of_expiry()
        problem = handover.problem or ("" if server.is_healthy() else "it no longer accepts associations")
        return not problem, problem or f"listening on port {port}", server.counters()

    pulse = Pulse(run_dir, f"listener-{index}", examine)
    pulse.start()
    ready(port)
    follow(server.reload)
    stop.wait()
    server.stop(DRAIN_S)
    handover.stop(HANDOVER_S)
    book.close()
    pulse.stop()


def _stay_light() -> None:
    """Keep pydicom from loading the decoders that it finds: these processes look at no pixel.

    It does without what cannot be imported. That is 40 MB less, and no code in C for peers to try.
    """
    for module in NOT_FOR_RECEIVING:
        sys.modules.setdefault(module, None)  # type: ignore[arg-type]  # "not found", as importlib has it


def _owner(name: str) -> str:
    """Return the name in the spool of a process of this machine."""
    return f"{socket.gethostname()}-{name}".replace(".", "-")[-64:]


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
