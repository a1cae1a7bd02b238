"""Hand receipts from a listener to the registrar process, and keep each until it is registered.

The file in new/ is what counts; this is how the registrar hears of it without looking. So
nothing is lost when either process dies: the listener tells again what was not registered,
and a new listener tells what its predecessor left in new/. `submit` never waits.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from node import logs
from node.clock import utc_now
from node.receipts import Receipt, frame, read_frame, short_path
from node.sockets import shut

TICK_S = 0.02  # how long receipts are collected before they are sent; of the 0.2 s that are promised
CONNECT_PAUSE_S = 0.1
SILENCE_S = 5.0  # without a registrar for so long, the registry counts as failing (0xA701)
MAX_WAITING = 20_000  # receipts; a registrar that is so far behind counts as failing
MAX_HEADS = 1000  # kept in memory, 16 MB; of what waits beyond, the registrar reads the file
MAX_FRAME_RECEIPTS = 1000

log = logs.get("node.handover")


class Handover:
    """The way from one listener process to the registrar. Start once, stop once.

    `run` names this run of the process; ids of its associations begin with it. `owner` is
    the listener's name in the spool.
    """

    def __init__(self, address: Path, owner: str, run: str, *, now: Callable[[], datetime] = utc_now) -> None:
        self._address, self._owner, self._run, self._now = address, owner, run, now
        self._changed = threading.Condition()
        self._fresh: deque[tuple[Receipt, bytes]] = deque()
        self._sent: dict[str, Receipt] = {}
        self._fresh_notes: deque[str] = deque()
        self._notes: dict[str, list[Any]] = {}
        self._told: str | None = None
        self._connection: socket.socket | None = None
        self._heard_at = time.monotonic()
        self._news = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._talk, name="handover", daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    @property
    def pending(self) -> int:
        """How many instances are durable but not registered yet."""
        return len(self._fresh) + len(self._sent)

    @property
    def problem(self) -> str | None:
        """Why instances cannot be registered at the moment; None while all is well."""
        if self._told is not None:
            return self._told
        if self.pending > MAX_WAITING:
            return f"{self.pending} instances wait to be registered"
        is_waiting = self._connection is None or self._sent
        if is_waiting and time.monotonic() - self._heard_at > SILENCE_S:
            return "the registrar process does not answer"
        return None

    def submit(self, receipt: Receipt, head: bytes = b"") -> None:
        """Take an instance that is durable, with the first bytes of its data set; returns at once.

        Without a head, the registrar reads the file.
        """
        self._fresh.append((receipt, head if len(self._fresh) < MAX_HEADS else b""))
        if not self._news.is_set():
            self._news.set()

    def open_association(
        self, association: str, *, calling_ae_title: str, called_ae_title: str, source_address: str
    ) -> None:
        """Have a new association noted, before what it brings. Returns at once."""
        at = self._now().isoformat()
        self._note(f"open {association}", [calling_ae_title, called_ae_title, source_address, at])

    def close_association(self, association: str, end: str, *, n_received: int = 0, n_bytes: int = 0) -> None:
        """Have the end of an association noted, after all that it brought. Returns at once."""
        self._note(f"close {association}", [end, n_received, n_bytes, self._now().isoformat()])

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was submitted is registered; return False when that took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._fresh or self._sent or self._notes), timeout_s)

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Wait for what is left and end; what is not registered then stays in new/ for the next start."""
        is_done = self.flush(timeout_s)
        self._is_stopping = True
        self._news.set()
        connection = self._connection
        if connection is not None:
            shut(connection)
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return is_done

    def _note(self, key: str, values: list[Any]) -> None:
        with self._changed:
            self._notes[key] = values
            self._fresh_notes.append(key)
        self._news.set()

    def _talk(self) -> None:
        """Connect, tell all that is not registered, then what comes; again when the connection breaks."""
        while not self._is_stopping:
            connection = self._connect()
            if connection is None:
                time.sleep(CONNECT_PAUSE_S)
                continue
            listening = threading.Thread(
                target=self._listen, args=(connection,), name="handover-answers", daemon=True
            )
            listening.start()
            try:
                self._tell(connection)
            except OSError as error:
                if not self._is_stopping:
                    log.warning("registrar.lost", error=str(error), pending=self.pending)
            finally:
                self._connection = None
                shut(connection)
                listening.join()
                connection.close()

    def _connect(self) -> socket.socket | None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            folder, name = short_path(self._address)
            try:
                connection.connect(name)
            finally:
                os.close(folder)
            connection.sendall(frame({"owner": self._owner, "run": self._run}))
        except OSError:
            connection.close()
            return None
        with self._changed:
            self._fresh.extendleft((receipt, b"") for receipt in reversed(self._sent.values()))
            self._sent.clear()
            self._fresh_notes = deque(self._notes)
        self._news.set()
        self._connection = connection
        return connection

    def _tell(self, connection: socket.socket) -> None:
        while not self._is_stopping and self._connection is connection:
            self._news.wait()
            if not self._is_stopping:
                time.sleep(TICK_S)
            self._news.clear()
            while self._send_some(connection):
                pass

    def _send_some(self, connection: socket.socket) -> bool:
        """Send one frame of what is fresh; return whether more is left.

        An opening is sent before, and an ending after, whatever was submitted earlier than it.
        """
        with self._changed:
            keys = [self._fresh_notes.popleft() for _ in range(len(self._fresh_notes))]
            batch = [self._fresh.popleft() for _ in range(min(len(self._fresh), MAX_FRAME_RECEIPTS))]
            is_more = bool(self._fresh)
            if is_more:
                self._fresh_notes.extendleft(key for key in reversed(keys) if key.startswith("close"))
                keys = [key for key in keys if key.startswith("open")]
            if not self._sent:
                self._heard_at = time.monotonic()
            self._sent.update((receipt.name, receipt) for receipt, _ in batch)
            notes = {key: self._notes[key] for key in keys if key in self._notes}
        if not batch and not notes:
            return is_more
        described = [[*receipt.described(), len(head)] for receipt, head in batch]
        heads = b"".join(head for _, head in batch)
        connection.sendall(frame({"receipts": described, "notes": notes}, heads))
        return is_more

    def _listen(self, connection: socket.socket) -> None:
        """Take the registrar's word of what is registered, until the connection ends."""
        try:
            while (read := read_frame(connection)) is not None:
                self._take(read[0])
        except (OSError, ValueError) as error:
            if not self._is_stopping:
                log.warning("registrar.lost", error=str(error), pending=self.pending)
        finally:
            if self._connection is connection:
                self._connection = None
            shut(connection)
            self._news.set()

    def _take(self, message: dict[str, Any]) -> None:
        self._heard_at = time.monotonic()
        with self._changed:
            for name in message.get("taken", ()):
                self._sent.pop(name, None)
            for key in message.get("noted", ()):
                self._notes.pop(key, None)
            self._told = message.get("problem")
            self._changed.notify_all()
