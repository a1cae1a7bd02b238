"""One process of the node: `python -m node.role ROLE INDEX LOG_LEVEL`, configuration on standard input.

The first line of standard input is the configuration; further lines are changes of it, which
a listener takes over and answers. `node.supervisor` is at the other end.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import IO, Any

sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # structlog loads it: 4 MB, for nobody's eyes

from node import logs, service  # noqa: E402
from node.config import Config  # noqa: E402
from node.errors import ConfigError  # noqa: E402

PR_SET_PDEATHSIG = 1  # prctl(2)
AT_ONCE = ("listener", "registrar")  # end without waiting for threads of peers; what counts is on the disk


def main(arguments: list[str]) -> int:
    """Run one role until SIGTERM; return its exit code."""
    role, index, level = arguments[0], int(arguments[1]), arguments[2]
    _die_with(os.getppid())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the supervisor hears it, whoever else gets it
    config = Config(**json.loads(sys.stdin.readline()))
    logs.configure(level, json=not sys.stderr.isatty())
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    control = sys.stdout
    sys.stdout = sys.stderr  # nothing but the word of readiness may go to the supervisor

    def tell(**word: Any) -> None:
        print(json.dumps(word), file=control, flush=True)

    def ready(port: int | None = None) -> None:
        tell(port=port)

    def follow(reload: Callable[[Config], None]) -> None:
        threading.Thread(
            target=_take_over, args=(sys.stdin, reload, tell), name="changes", daemon=True
        ).start()

    code = service.run_role(config, role, index, ready=ready, stop=stop, follow=follow)
    if role in AT_ONCE:
        os._exit(code)
    return code


def _take_over(stream: IO[str], reload: Callable[[Config], None], tell: Callable[..., None]) -> None:
    """Hand every change of the configuration to `reload`, and tell the supervisor what became of it."""
    for line in stream:
        change = json.loads(line)
        mistakes = []
        try:
            reload(Config(**change["config"]))
        except ConfigError as error:
            mistakes = error.mistakes
        except Exception as error:  # noqa: BLE001 - the mouth of this loop: the process goes on as it was
            logs.get("node.role").exception("config.not_taken_over")
            mistakes = [f"{type(error).__name__} while it was taken over; see the node's log"]
        tell(took=change["number"], mistakes=mistakes)


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when the supervisor dies, however it dies."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
