"""Which processes write into the spool, and which of them live: advisory locks on files.

A process that writes holds a shared lock on the file of its name; the kernel drops it when
the process dies, however it dies. So another process can tell what a dead one left behind.
"""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from node.errors import SpoolError


class Owners:
    """The lock files of one spool."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._held: dict[str, int] = {}

    def claim(self, owner: str) -> None:
        """Show that `owner` lives, until `close` or the end of this process.

        Raises:
            OSError: the lock file cannot be made.
        """
        if owner not in self._held:
            fd = self._open(self._root / "owners" / owner)
            fcntl.flock(fd, fcntl.LOCK_SH)
            self._held[owner] = fd

    def lives(self, owner: str) -> bool:
        """Say whether a process holds the claim on `owner`."""
        if owner in self._held:
            return True
        fd = self._open(self._root / "owners" / owner)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def lock_node(self) -> None:
        """Make this the only node of this machine on the spool, until `close` or the end of this process.

        Raises:
            SpoolError: another process has done so.
        """
        name = f"LOCK.{socket.gethostname()}"  # listeners of several machines may share a spool
        fd = self._open(self._root / name)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise SpoolError(f"{self._root}: another node uses this spool; stop it first") from None
        self._held[name] = fd

    def close(self) -> None:
        """Let go of every lock."""
        for fd in self._held.values():
            os.close(fd)
        self._held.clear()

    @staticmethod
    def _open(path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
