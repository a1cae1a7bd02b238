"""The registrar process: takes receipts from the listeners of this machine and has them registered.

One process writes the arrivals of a machine, so listeners do not wait for one another's
locks, and none of them opens the database. A listener that connects names itself and its
run; associations of its earlier runs that are still open ended with them.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from node import logs
from node.clock import utc_now
from node.errors import RegistryError, SpoolError
from node.header_facts import facts, facts_of_head
from node.receipts import HEAD_BYTES, Receipt, frame, read_frame, receipts, short_path
from node.recovery import read_left_behind
from node.registration import Registrar
from node.registry.arrivals import Arrival
from node.registry.associations import Ending, Opening
from node.registry.repository import Repository
from node.sockets import shut
from node.spool import Spool

BACKLOG = 64
MAX_PENDING = 5000  # beyond, listeners are not read from, and wait
PAUSE_S = 0.05
SEND_TIMEOUT_S = 10.0  # for a listener that does not take what it is told

log = logs.get("node.registrar")


def arrival_of(receipt: Receipt, head: bytes, new: Path) -> Arrival:
    """Describe an instance of new/ to the registry, by its receipt and the first bytes of its data set.

    Raises:
        OSError: the head shows too little, and the file cannot be read.
    """
    path = new / receipt.name
    found = facts_of_head(head, receipt.transfer_syntax_uid) if head else None
    if found is None and 0 < len(head) < HEAD_BYTES:  # that is all there is
        found = facts(head, transfer_syntax_uid=receipt.transfer_syntax_uid)
    return Arrival(
        sop_instance_uid=receipt.sop_instance_uid,
        sop_class_uid=receipt.sop_class_uid,
        transfer_syntax_uid=receipt.transfer_syntax_uid,
        study_instance_uid=receipt.study_instance_uid,
        series_instance_uid=receipt.series_instance_uid,
        path=path,
        size_bytes=receipt.size_bytes,
        sha256=receipt.sha256,
        received_at=receipt.received_at or utc_now(),
        calling_ae_title=receipt.calling_ae_title,
        called_ae_title=receipt.called_ae_title,
        source_address=receipt.source_address,
        association=receipt.association,
        facts=facts(path) if found is None else found,
    )


class RegistrarServer:
    """Listens at `address`, and feeds `registrar`. Start once, stop once."""

    def __init__(self, address: Path, repository: Repository, spool: Spool, registrar: Registrar) -> None:
        self._address, self._repository, self._spool = address, repository, spool
        self._registrar = registrar
        registrar.told = self._tell
        self._lock = threading.Lock()
        self._listeners: dict[str, _Listener] = {}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._accept, name="registrar-accept", daemon=True)

    def start(self) -> None:
        """Listen; the folder of the address must be this user's alone.

        Raises:
            OSError: the address cannot be used.
        """
        self._address.unlink(missing_ok=True)
        folder, name = short_path(self._address)
        try:
            self._socket.bind(name)
        finally:
            os.close(folder)
        self._address.chmod(0o600)
        self._socket.listen(BACKLOG)
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more; what was taken but is not registered stays in new/."""
        shut(self._socket)
        self._socket.close()
        with self._lock:
            listeners = list(self._listeners.values())
        for listener in listeners:
            shut(listener.connection)
        self._address.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(
                target=self._serve, args=(connection,), name="registrar-listener", daemon=True
            ).start()

    def _serve(self, connection: socket.socket) -> None:
        """Take what one listener tells, until it ends."""
        timeout = struct.pack("ll", int(SEND_TIMEOUT_S), 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        listener = None
        try:
            hello = read_frame(connection)
            if hello is None:
                return
            listener = _Listener(connection, str(hello[0]["owner"]), str(hello[0]["run"]))
            self._repository.lose_associations(listener.run_prefix, utc_now(), but=listener.run)
            with self._lock:
                self._listeners[listener.owner] = listener
            listener.send({"problem": self._registrar.problem})
            while (read := read_frame(connection)) is not None:
                self._take(listener, *read)
        except (OSError, ValueError, TypeError, KeyError, RegistryError, SpoolError) as error:
            log.warning("listener.lost", error=f"{type(error).__name__}: {error}")
        finally:
            with self._lock:
                if listener is not None and self._listeners.get(listener.owner) is listener:
                    del self._listeners[listener.owner]
            connection.close()

    def _take(self, listener: _Listener, told: dict[str, Any], heads: bytes) -> None:
        notes = told.get("notes", {})
        for key, values in notes.items():
            self._note(listener, key, values)
        gone = []
        for receipt, head in receipts(told.get("receipts", ()), heads):
            arrival = self._arrival(receipt, head)
            if arrival is None:
                gone.append(receipt.name)
            else:
                self._registrar.submit(arrival)
        if gone:
            listener.send({"taken": gone, "problem": self._registrar.problem})
        while self._registrar.waiting > MAX_PENDING and self._registrar.wait(PAUSE_S):
            pass

    def _arrival(self, receipt: Receipt, head: bytes) -> Arrival | None:
        """Return what is to be registered; None when there is nothing left to do."""
        try:
            if receipt.is_recovered:
                path = self._spool.root / "new" / receipt.name
                return read_left_behind(path, self._repository, self._spool, utc_now())
            return arrival_of(receipt, head, self._spool.root / "new")
        except FileNotFoundError:  # it was taken in by an earlier run of this process
            return None

    def _note(self, listener: _Listener, key: str, values: list[Any]) -> None:
        """Have the begin or the end of an association noted, and tell when that is done."""
        kind, _, association = key.partition(" ")
        noted = partial(listener.send, {"noted": [key]})
        if kind == "open":
            calling, called, source, at = values
            self._registrar.note(
                Opening(association, calling, called, source, datetime.fromisoformat(at)), noted
            )
        else:
            end, n_received, n_bytes, at = values
            self._registrar.note(
                Ending(association, end, datetime.fromisoformat(at), n_received, n_bytes), noted
            )

    def _tell(self, taken: Sequence[Arrival], problem: str | None) -> None:
        """Tell each listener what of its own is registered, and all of them what hinders.

        What was left behind may have been found by a listener that did not receive it, so all hear of that.
        """
        names: dict[str, list[str]] = {}
        left_behind: list[str] = []
        for arrival in taken:
            name = arrival.path.name
            if arrival.association is None:
                left_behind.append(name)
            else:
                names.setdefault(name.partition(".")[0], []).append(name)
        with self._lock:
            listeners = list(self._listeners.values())
        for listener in listeners:
            listener.tell([*names.get(listener.owner, ()), *left_behind], problem)


class _Listener:
    """The connection of one listener."""

    def __init__(self, connection: socket.socket, owner: str, run: str) -> None:
        self.connection, self.owner, self.run = connection, owner, run
        self._lock = threading.Lock()
        self._problem: str | None = None

    @property
    def run_prefix(self) -> str:
        """What the ids of all associations of this listener begin with, in every run."""
        return self.run.partition(":")[0] + ":"

    def tell(self, taken: Iterable[str], problem: str | None) -> None:
        """Tell what is registered and what hinders, when there is something to tell."""
        if taken or problem != self._problem:
            self.send({"taken": list(taken), "problem": problem})
            self._problem = problem

    def send(self, message: dict[str, Any]) -> None:
        """Send one frame; a listener that does not take it is cut off, and tells again what it told."""
        try:
            with self._lock:
                self.connection.sendall(frame(message | {"problem": message.get("problem", self._problem)}))
        except OSError:
            shut(self.connection)
