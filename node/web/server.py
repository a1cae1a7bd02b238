"""uvicorn in a thread, with a port that is known once it listens."""

from __future__ import annotations

import socket
import threading

import uvicorn
from fastapi import FastAPI

from node.errors import NodeError

START_TIMEOUT_S = 15.0


class WebServer:
    """Serves one application on one address."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        self._address = (host, port)
        settings = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, lifespan="off"
        )
        self._server = uvicorn.Server(settings)
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        """Listen and serve; return the port.

        Raises:
            NodeError: the address cannot be used.
        """
        host, port = self._address
        try:
            listening = socket.create_server(
                (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128
            )
        except OSError as error:
            raise NodeError(
                f"web: cannot listen on {host} port {port}: {error.strerror}; see [web]"
            ) from None
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listening]}, name="web", daemon=True
        )
        self._thread.start()
        return int(listening.getsockname()[1])

    def is_healthy(self) -> bool:
        """Say whether the serving thread lives."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Let requests that run come to their end, then close."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=5.0)
