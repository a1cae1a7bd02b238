"""The configuration in force: read again on request, taken over only when all of it is right.

What the listeners work by (peers, limits, users, certificates) changes while the node runs.
Everything else keeps its value until the next start, and is named in the log. A file with
mistakes changes nothing: the last good configuration stays in force, and is called stale.

Events in the log: `config.reloaded`, `config.waits` (for the next start), `config.rejected`
(once for each mistake).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from node import logs
from node.config import Config, Listener
from node.errors import ConfigError

LISTENER_KEYS = (
    "max_associations",
    "max_connections_per_host",
    "require_called_aet",
    "called_aets",
    "acse_timeout_s",
    "network_timeout_s",
    "max_instance_mb",
    "users_file",
    "require_user_identity",
    "peer",
)
SINCE_START = "in force since the start"

log = logs.get("node.reload")


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reading of the file gave: a configuration, or the mistakes in it."""

    config: Config | None
    mistakes: tuple[str, ...] = ()


def merged(current: Config, wanted: Config) -> tuple[Config, list[str]]:
    """Return `current` with what may change while the node runs, and the keys that wait for a start."""
    waiting = []
    for section in Config.model_fields:
        own, other = getattr(current, section), getattr(wanted, section)
        if section == "tls" or own == other:
            continue
        if section in ("destination", "route", "profile"):
            waiting.append(section)
            continue
        taken = LISTENER_KEYS if section == "listener" else ()
        waiting += [
            f"{section}.{key}"
            for key in type(own).model_fields
            if key not in taken and getattr(own, key) != getattr(other, key)
        ]
    if _quiet(current.listener) != _quiet(wanted.listener):
        waiting.append("listener.peer: quiet_s")
    listener = current.listener.model_copy(
        update={key: getattr(wanted.listener, key) for key in LISTENER_KEYS}
    )
    return current.model_copy(update={"listener": listener, "tls": wanted.tls}), waiting


class Reload:
    """Holds the configuration in force; `ask` is for a signal handler, `look` for the loop that serves it.

    `read` reads the file, `check` returns what is wrong with a configuration beyond its shape;
    both run in a thread, so that nobody waits for them.
    """

    def __init__(
        self, config: Config, read: Callable[[], Config], check: Callable[[Config], list[str]]
    ) -> None:
        self.config = config
        self.number = 0  # of changes that were taken over
        self._read, self._check = read, check
        self._is_asked = False
        self._thread: threading.Thread | None = None
        self._reading: Reading | None = None
        self._mistakes: tuple[str, ...] = ()
        self._rejected = 0
        self._since = SINCE_START

    def ask(self) -> None:
        """Have the file read; of several requests during one reading, one more reading serves all."""
        self._is_asked = True

    @property
    def is_reading(self) -> bool:
        """Whether a request is not answered yet."""
        return self._is_asked or self._thread is not None

    def look(self) -> None:
        """Begin a reading that was asked for, or take up one that has ended."""
        if self._thread is not None and not self._thread.is_alive():
            self._thread = None
            self._take_up(self._reading or Reading(None, ("the reading failed; see the node's log",)))
        if self._is_asked and self._thread is None:
            self._is_asked = False
            self._reading = None
            self._thread = threading.Thread(target=self._run, name="reload", daemon=True)
            self._thread.start()

    def reject(self, mistakes: Iterable[str]) -> None:
        """Note why a change was not taken over, by the node or by one part of it."""
        self._mistakes = tuple(mistakes)
        self._rejected += 1
        for mistake in self._mistakes:
            log.error("config.rejected", mistake=mistake)

    def examine(self) -> tuple[bool, str, dict[str, Any]]:
        """Return what a heartbeat says of the configuration; a stale one is no failure of the node."""
        counters = {
            "config_stale": int(bool(self._mistakes)),
            "config_reloads": {"taken": self.number, "rejected": self._rejected},
        }
        if not self._mistakes:
            return True, self._since, counters
        count = "1 mistake" if len(self._mistakes) == 1 else f"{len(self._mistakes)} mistakes"
        return True, f"stale: the file has {count}, named in the log; the last good one holds", counters

    def _run(self) -> None:
        try:
            wanted = self._read()
            mistakes = tuple(self._check(wanted))
            self._reading = Reading(None if mistakes else wanted, mistakes)
        except ConfigError as error:
            self._reading = Reading(None, tuple(error.mistakes))

    def _take_up(self, reading: Reading) -> None:
        if reading.config is None:
            self.reject(reading.mistakes)
            return
        self.config, waiting = merged(self.config, reading.config)
        self.number += 1
        self._mistakes = ()
        self._since = f"in force since {time.strftime('%Y-%m-%d %H:%M:%S')}"
        log.info("config.reloaded", number=self.number, peers=len(self.config.listener.peer))
        if waiting:
            log.warning("config.waits", keys=waiting, reason="takes effect at the next start")


def _quiet(listener: Listener) -> dict[str, float | None]:
    """Return what the worker, which reads the peers at its start, knows of them."""
    return {peer.calling_aet: peer.quiet_s for peer in listener.peer if peer.quiet_s is not None}
