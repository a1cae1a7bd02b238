"""One instance on its way to durable storage: written in tmp/, flushed, renamed into new/, its name flushed.

The order is the promise: only after all four may an instance be acknowledged. A failure at
any of them leaves no trace and is told as `SpoolError`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from node.digest import Buffer, DatasetDigest
from node.errors import DiskFullError, SpoolError

WRITEV_BUFFERS = 512  # IOV_MAX is 1024 on Linux
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Folders:
    """Descriptors of tmp/ and new/: an instance ends where it began, whatever is mounted meanwhile."""

    root: Path
    tmp: int
    new: int


class Incoming:
    """Bytes of one instance as they arrive. `commit` or `discard` ends it; `size` and `sha256` describe it.

    After `commit`, `received_at` is when its last byte was written, as its file says it too.

    As a context manager it discards what was not committed.
    """

    def __init__(self, name: str, folders: Folders, *, is_durable: bool) -> None:
        self.name = name
        self.size = 0
        self.sha256 = ""
        self.received_at: datetime | None = None
        self._folders = folders
        self._is_durable = is_durable
        self._digest = DatasetDigest()
        self._is_in_tmp = False
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._fd: int | None = os.open(name, flags, 0o600, dir_fd=folders.tmp)
        except OSError as error:
            raise failure(error, "no file can be made in the spool") from error
        self._is_in_tmp = True

    def write(self, data: Buffer) -> None:
        """Append bytes.

        Raises:
            SpoolError: they cannot be written (DiskFullError: no space); the file is gone then.
        """
        self.writev((data,))

    def writev(self, buffers: Sequence[Buffer]) -> None:
        """Append several buffers with as few system calls as possible.

        Raises:
            SpoolError: they cannot be written (DiskFullError: no space); the file is gone then.
        """
        fd = self._descriptor()
        left = [memoryview(buffer).cast("B") for buffer in buffers]
        for view in left:
            self._digest.update(view)
            self.size += len(view)
        try:
            while left:
                left = _after(left, os.writev(fd, left[:WRITEV_BUFFERS]))
        except OSError as error:
            self.discard()
            raise failure(error, "an instance cannot be written") from error

    def commit(self) -> Path:
        """Make the instance durable; return its path in new/.

        Raises:
            SpoolError: it could not be made durable; no trace is left. A failed flush is never
                repeated on the same file: the kernel may have dropped the bytes by then.
        """
        fd = self._descriptor()
        self.sha256 = self._digest.hexdigest()
        folders = self._folders
        try:
            self.received_at = written_at(os.fstat(fd))
            if self._is_durable:
                os.fdatasync(fd)
            self._fd = None
            os.close(fd)
            os.rename(self.name, self.name, src_dir_fd=folders.tmp, dst_dir_fd=folders.new)
            self._is_in_tmp = False
            if self._is_durable:
                os.fsync(folders.new)
        except OSError as error:
            if not self._is_in_tmp:
                _remove(self.name, folders.new)
            self.discard()
            raise failure(error, "an instance cannot be made durable") from error
        return folders.root / "new" / self.name

    def discard(self) -> None:
        """Drop what was not committed, and every trace of it; may be called at any time, also twice."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with suppress(OSError):  # the bytes are not wanted any more
                os.close(fd)
        if self._is_in_tmp:
            self._is_in_tmp = False
            _remove(self.name, self._folders.tmp)

    def _descriptor(self) -> int:
        if self._fd is None:
            raise SpoolError(f"{self.name}: committed or discarded already")
        return self._fd

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


def written_at(status: os.stat_result) -> datetime:
    """Return when a file was last written, UTC without zone: also after a crash the same."""
    return datetime.fromtimestamp(status.st_mtime, UTC).replace(tzinfo=None)


def failure(error: OSError, what: str) -> SpoolError:
    """Return the spool's own error for one of the operating system."""
    if error.errno in NO_SPACE:
        return DiskFullError(f"{what}: {os.strerror(error.errno)}; free some space or raise the quota")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return SpoolError(f"{what}: {reason}; check the disk, its permissions and the limits of the process")


def _after(buffers: list[memoryview], written: int) -> list[memoryview]:
    """Return what is left of `buffers` when `written` bytes of them have been taken."""
    for index, buffer in enumerate(buffers):
        if written < len(buffer):
            return [buffer[written:], *buffers[index + 1 :]]
        written -= len(buffer)
    return []


def _remove(name: str, folder: int) -> None:
    """Unlink a file; one that is gone, or cannot be removed now, is left for the recovery at start."""
    with suppress(OSError):
        os.unlink(name, dir_fd=folder)
