"""One instance on its way to durable storage: written in tmp/, flushed, renamed into new/, its name flushed.

The order is the promise: only after all four may an instance be acknowledged (ADR-0021 says
why it is these system calls). A failure at any of them leaves no trace and is told as
`SpoolError`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from node.digest import Buffer
from node.errors import DiskFullError, SpoolError

WRITEV_BUFFERS = 512  # IOV_MAX is 1024 on Linux
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Folders:
    """Descriptors of tmp/ and new/: an instance ends where it began, whatever is mounted meanwhile."""

    root: Path  # of new/
    tmp: int
    new: int


class NameFlush:
    """Flush a folder for all who wait: whoever comes while a flush runs shares the next one with the others.

    A flush covers the names that were there when it began. So of n associations that have
    renamed their files while one flush ran, one flushes and n - 1 wait for it.
    """

    def __init__(self, folder: int) -> None:
        self._folder = folder
        self._changed = threading.Condition()
        self._asked = 0
        self._done = 0
        self._failed: dict[int, OSError] = {}
        self._is_flushing = False

    def __call__(self) -> None:
        """Return when the names that were there at the call are on stable storage.

        Raises:
            OSError: the flush that was to cover them failed.
        """
        with self._changed:
            self._asked += 1
            ticket = self._asked
            while self._is_flushing and self._done < ticket:
                self._changed.wait()
            if self._done < ticket:
                self._flush()
            error = self._failed.pop(ticket, None)
        if error is not None:
            raise error

    def _flush(self) -> None:
        covered, first = self._asked, self._done + 1
        self._is_flushing = True
        error = None
        self._changed.release()
        try:
            os.fsync(self._folder)
        except OSError as failed:
            error = failed
        finally:
            self._changed.acquire()
            self._is_flushing, self._done = False, covered
            if error is not None:
                self._failed |= dict.fromkeys(range(first, covered + 1), error)
            self._changed.notify_all()


class Incoming:
    """Bytes of one instance as they arrive. `commit` or `discard` ends it; `size` and `sha256` describe it.

    `file_meta` goes in front of them; the digest is that of what follows it. After `commit`,
    `received_at` is when the last byte was written, as the file says it too. As a context
    manager it discards what was not committed.
    """

    def __init__(
        self, name: str, folders: Folders, flush_names: NameFlush | None, *, file_meta: bytes = b""
    ) -> None:
        self.name = name
        self.size = 0
        self.received_at: datetime | None = None
        self._folders = folders
        self._flush_names = flush_names
        self._file_meta = file_meta
        self._digest = hashlib.sha256()
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
        self.append(buffers)
        self.digest(buffers)

    def append(self, buffers: Sequence[Buffer]) -> None:
        """Append several buffers; `digest` is to be given the same, in the same order, before it is read.

        Raises:
            SpoolError: they cannot be written (DiskFullError: no space); the file is gone then.
        """
        fd = self._descriptor()
        left = [*buffers]
        if not self.size and self._file_meta:
            left.insert(0, self._file_meta)
        size = sum(map(len, left))
        self.size += size
        try:
            while (written := os.writev(fd, left[:WRITEV_BUFFERS])) < size:
                left, size = _after(left, written), size - written
        except OSError as error:
            self.discard()
            raise failure(error, "an instance cannot be written") from error

    def digest(self, buffers: Sequence[Buffer]) -> None:
        """Take what was appended into the digest."""
        for buffer in buffers:
            self._digest.update(buffer)

    @property
    def sha256(self) -> str:
        """The digest of all that `digest` was given."""
        return self._digest.hexdigest()

    def commit(self) -> Path:
        """Make the instance durable; return its path in new/.

        Raises:
            SpoolError: it could not be made durable; no trace is left. A failed flush is never
                repeated on the same file: the kernel may have dropped the bytes by then.
        """
        fd = self._descriptor()
        folders = self._folders
        try:
            self.received_at = written_at(os.fstat(fd))
            if self._flush_names is not None:
                os.fdatasync(fd)
            self._fd = None
            os.close(fd)
            os.rename(self.name, self.name, src_dir_fd=folders.tmp, dst_dir_fd=folders.new)
            self._is_in_tmp = False
            if self._flush_names is not None:
                self._flush_names()
        except OSError as error:
            if not self._is_in_tmp:
                _remove(self.name, folders.new)
            self.discard()
            raise failure(error, "an instance cannot be made durable") from error
        return folders.root / self.name

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


def _after(buffers: Sequence[Buffer], written: int) -> list[Buffer]:
    """Return what is left of `buffers` when `written` bytes of them have been taken."""
    for index, buffer in enumerate(buffers):
        if written < len(buffer):
            return [memoryview(buffer)[written:], *buffers[index + 1 :]]
        written -= len(buffer)
    return []


def _remove(name: str, folder: int) -> None:
    """Unlink a file; one that is gone, or cannot be removed now, is left for the recovery at start."""
    with suppress(OSError):
        os.unlink(name, dir_fd=folder)
