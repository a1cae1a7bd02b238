"""One process of the node: `python -m node.role ROLE INDEX LOG_LEVEL`, configuration on standard input."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading

from node import logs, service
from node.config import Config

PR_SET_PDEATHSIG = 1  # prctl(2)


def main(arguments: list[str]) -> int:
    """Run one role until SIGTERM; return its exit code."""
    role, index, level = arguments[0], int(arguments[1]), arguments[2]
    _die_with(os.getppid())
    config = Config(**json.load(sys.stdin))
    logs.configure(level, json=not sys.stderr.isatty())
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    control = sys.stdout
    sys.stdout = sys.stderr  # nothing but the word of readiness may go to the supervisor

    def ready(port: int | None = None) -> None:
        print(json.dumps({"port": port}), file=control, flush=True)

    return service.run_role(config, role, index, ready=ready, stop=stop)


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when the supervisor dies, however it dies."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
