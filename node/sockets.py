"""End a connection, whoever waits on it."""

from __future__ import annotations

import socket


def shut(connection: socket.socket) -> None:
    """Shut a connection down in both directions; one that is gone already is no error."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
