"""What a service tells systemd (sd_notify(3)), for tests."""

import socket
import threading
from pathlib import Path


class Systemd(threading.Thread):
    """Stands in for systemd's notification socket."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.messages: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))

    def run(self) -> None:
        while message := self._socket.recv(4096).decode():
            self.messages.append(message)
        self._socket.close()
