"""The listening port: accepts connections and gives each a thread; never waits for any of them."""

from __future__ import annotations

import errno
import itertools
import select
import socket
import ssl
import sys
import time
from typing import TYPE_CHECKING, Any

from pynetdicom.transport import AddressInformation, RequestHandler, ThreadedAssociationServer

from node import logs
from node.listener.acceptor import Acceptor, Parts
from node.listener.guards import GuardedSocket
from node.sockets import shut

if TYPE_CHECKING:
    from pynetdicom.ae import ApplicationEntity

BACKLOG = 128
SEND_BUFFER_BYTES = (
    65536  # answers are short; a peer that never reads them is noticed before megabytes of them
)
HANDSHAKE_TIMEOUT_S = 5.0  # for all of a TLS handshake
ACCEPT_POLL_S = 0.2
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
EXHAUSTED_PAUSE_S = 0.1  # a socket that cannot be accepted stays readable: do not spin

log = logs.get("node.listener")


class Port(ThreadedAssociationServer):
    """pynetdicom's association server with the TLS handshake and all waiting outside its accept loop."""

    request_queue_size = BACKLOG
    daemon_threads = True

    def __init__(  # noqa: PLR0913 - the parts of a port
        self,
        ae: ApplicationEntity,
        address: tuple[str, int],
        parts: Parts,
        *,
        tls: ssl.SSLContext | None,
        prefix: str,
        is_shared: bool,
    ) -> None:
        self.parts = parts
        self.ticked_at = time.monotonic()
        self._is_shared = is_shared
        self._prefix = prefix
        self._numbers = itertools.count(1)
        super().__init__(ae, address, ae.ae_title, [], ssl_context=tls, request_handler=Connection)

    @property
    def number(self) -> int:
        """The TCP port; the one that the system chose when 0 was asked for."""
        return int(self.server_address[1])

    def next_name(self) -> str:
        """Return the id of a new association; no other process and no earlier run has had it."""
        return f"{self._prefix}{next(self._numbers)}"

    def server_bind(self) -> None:
        """Bind; with several listener processes on one port the kernel shares connections out among them."""
        if self._is_shared and self.socket is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection; nothing is read from it here."""
        if self.socket is None:
            raise OSError(errno.EBADF, "the port is closed")
        try:
            connection, source = self.socket.accept()
        except OSError as error:
            if error.errno in EXHAUSTED:
                log.warning("listener.exhausted", error=error.strerror)
                time.sleep(EXHAUSTED_PAUSE_S)
            raise
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.parts.associations.connected(source[:2], connection)
        return connection, source

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Do the TLS handshake, in the connection's own thread, and begin the association."""
        source = client_address[:2]
        try:
            if self.ssl_context is not None:
                request = self._secured(request, source)
            Connection(request, client_address, self)
        except BaseException:
            self.parts.associations.gone(source)
            shut(request)
            request.close()
            raise

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say in one line why a connection did not become an association."""
        del request
        error = _current_error()
        if isinstance(sys.exception(), ssl.SSLError | TimeoutError):
            self.parts.service.tally.refused("tls")
        log.warning(
            "connection.failed", source_address=f"{client_address[0]}:{client_address[1]}", error=error
        )

    def service_actions(self) -> None:
        """Show that the accept loop turns."""
        self.ticked_at = time.monotonic()

    def _secured(self, connection: socket.socket, source: tuple[str, int]) -> ssl.SSLSocket:
        context = self.ssl_context
        if context is None:
            raise ValueError("TLS is not enabled")
        secured = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self.parts.associations.connected(source, secured)
        try:
            _handshake(secured, time.monotonic() + HANDSHAKE_TIMEOUT_S)
        except BaseException:
            secured.close()
            raise
        return secured


class Connection(RequestHandler):
    """Makes the association of one connection and starts its thread."""

    server: Port

    def handle(self) -> None:
        """Start the association; the thread of this handler ends then."""
        server, source = self.server, self.client_address
        acceptor = Acceptor(self.ae, server.parts, (source[0], source[1]), server.next_name())
        acceptor._server = server  # noqa: SLF001 - as pynetdicom's own handler does
        acceptor.set_socket(GuardedSocket(acceptor, self.request))
        acceptor.acceptor.maximum_length = self.ae.maximum_pdu_size
        acceptor.acceptor.ae_title = server.ae_title
        acceptor.acceptor.address_info = self.local
        acceptor.acceptor.implementation_class_uid = self.ae.implementation_class_uid
        acceptor.acceptor.implementation_version_name = self.ae.implementation_version_name
        acceptor.requestor.address_info = AddressInformation(source[0], source[1])
        server.parts.associations.add(acceptor)
        try:
            acceptor.start()
        except RuntimeError:  # no more threads
            server.parts.associations.remove(acceptor)
            raise


def _handshake(connection: ssl.SSLSocket, deadline: float) -> None:
    """Shake hands before the deadline, however slowly the peer drips.

    Raises:
        OSError: the handshake failed or took too long.
    """
    connection.setblocking(False)
    poller = select.poll()
    while True:
        try:
            connection.do_handshake()
        except ssl.SSLWantReadError:
            event = select.POLLIN
        except ssl.SSLWantWriteError:
            event = select.POLLOUT
        else:
            connection.setblocking(True)
            return
        left_s = deadline - time.monotonic()
        poller.register(connection.fileno(), event)
        if left_s <= 0 or not poller.poll(left_s * 1000):
            raise TimeoutError(f"no TLS handshake within {HANDSHAKE_TIMEOUT_S:.0f} s")


def _current_error() -> str:
    error = sys.exception()
    return f"{type(error).__name__}: {error}"
