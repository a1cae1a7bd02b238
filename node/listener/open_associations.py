"""The connections of a listener: those that have not asked yet, and the associations that are open.

Only accepted associations count towards the limits, so silent connections keep nobody out.
Of connections that have not asked yet, one is cut when there are too many: the oldest of the
host that has the most of them. A sender asks at once, who waits is no sender.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from node import logs
from node.listener.access import Access, Caller, Refusal, host_of
from node.listener.file_meta import Sender
from node.sockets import shut

if TYPE_CHECKING:
    import socket

    from node.listener.acceptor import Acceptor, End

MAX_SILENT = 128  # connections that have not asked yet; two threads each

log = logs.get("node.listener")


class AssociationNotes(Protocol):
    """Where associations are written down; `node.registration.Registrar` does it."""

    def open_association(
        self, association: str, *, calling_ae_title: str, called_ae_title: str, source_address: str
    ) -> None:
        """Have a new association noted."""

    def close_association(self, association: str, end: End, *, n_received: int = 0, n_bytes: int = 0) -> None:
        """Have the end of an association noted, after all that it brought."""


class OpenAssociations:
    """Knows every connection of one listener; every method may be called from any thread."""

    def __init__(
        self,
        notes: AssociationNotes,
        *,
        max_per_host: int = MAX_SILENT,
        refused: Callable[[str], None] = lambda _kind: None,
    ) -> None:
        self.max_per_host = max_per_host
        self._notes = notes
        self._refused = refused
        self._lock = threading.Lock()
        self._silent: dict[tuple[str, int], socket.socket] = {}
        self._acceptors: set[Acceptor] = set()
        self._admitted: dict[Acceptor, str] = {}
        self._is_draining = False

    def connected(self, source: tuple[str, int], connection: socket.socket) -> None:
        """Note a new connection, or its new socket after TLS; of too many, cut one that does not ask.

        A host whose connections are all associations already gets no more of them: the new one is cut.
        """
        surplus: dict[str, socket.socket] = {}
        with self._lock:
            self._silent[source] = connection
            host = host_of(source[0])
            silent = [each for each in self._silent if host_of(each[0]) == host]
            open_now = sum(1 for each in self._admitted if host_of(each.host) == host)
            if len(silent) + open_now > self.max_per_host:
                surplus["host_connections"] = self._silent.pop(silent[0])
            if len(self._silent) > MAX_SILENT:
                surplus["silent_connections"] = self._silent.pop(self._most_superfluous())
        for kind, each in surplus.items():
            self._refused(kind)
            shut(each)

    def _most_superfluous(self) -> tuple[str, int]:
        """Return the oldest silent connection of the host that has most of them."""
        by_host = Counter(host_of(source[0]) for source in self._silent)
        host = by_host.most_common(1)[0][0]
        return next(source for source in self._silent if host_of(source[0]) == host)

    def gone(self, source: tuple[str, int]) -> None:
        """Note that a connection ended before it became an association."""
        with self._lock:
            self._silent.pop(source, None)

    def add(self, acceptor: Acceptor) -> None:
        """Note the thread that serves a connection."""
        with self._lock:
            self._acceptors.add(acceptor)

    def admit(self, acceptor: Acceptor, caller: Caller, access: Access) -> Refusal | None:
        """Decide about a request and, when it is accepted, count it, in one step."""
        self.gone(acceptor.source)
        with self._lock:
            established = Counter(self._admitted.values())
            refusal = access.refuse(caller, established, is_draining=self._is_draining)
            if refusal is None:
                self._admitted[acceptor] = access.account_of(caller)
            return refusal

    def withdraw(self, acceptor: Acceptor) -> None:
        """Take back the admission of a request that is refused after all."""
        with self._lock:
            self._admitted.pop(acceptor, None)

    def remove(self, acceptor: Acceptor) -> bool:
        """Note the end of a connection; return whether it was an association."""
        self.gone(acceptor.source)
        with self._lock:
            self._acceptors.discard(acceptor)
            return self._admitted.pop(acceptor, None) is not None

    def opened(self, sender: Sender) -> None:
        """Have the registry told."""
        self._notes.open_association(
            sender.association,
            calling_ae_title=sender.calling_ae_title,
            called_ae_title=sender.called_ae_title,
            source_address=sender.source_address,
        )

    def closed(self, association: str, end: End, *, n_received: int, n_bytes: int) -> None:
        """Have the registry told, after all that the association brought."""
        self._notes.close_association(association, end, n_received=n_received, n_bytes=n_bytes)

    @property
    def count(self) -> int:
        """How many associations are open."""
        with self._lock:
            return len(self._admitted)

    def drain(self) -> None:
        """From now on admit nobody."""
        with self._lock:
            self._is_draining = True

    def acceptors(self) -> list[Acceptor]:
        """Return the threads that serve connections now."""
        with self._lock:
            return list(self._acceptors)

    def cut_silent(self) -> None:
        """Cut every connection that has not asked yet."""
        with self._lock:
            silent = list(self._silent.values())
        for connection in silent:
            shut(connection)
