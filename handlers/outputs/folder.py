"""A folder of results that appears whole or not at all."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_AT_FDCWD = -100  # linux/fcntl.h
_RENAME_EXCHANGE = 2  # linux/fs.h, renameat2(2)
_ASIDE = "-old"


@contextmanager
def published(out: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `out` to write into; on success it becomes `out` in one step.

    An older `out` is replaced: where the file system can exchange two names (renameat2),
    a reader always finds one of the two whole; elsewhere there is an instant without any.
    On failure the temporary folder is removed and `out` stays as it was. What a killed
    process left behind is removed first; a folder that a living process writes is locked
    and stays.

    Raises:
        OSError: the folder cannot be made, written or renamed.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    _sweep(out)
    temporary = out.parent / f".{out.name}.tmp-{os.getpid()}"
    temporary.mkdir()
    lock = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # a file system without locks: the sweep then leaves leftovers alone
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield temporary
        _replace(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(lock)


def _sweep(out: Path) -> None:
    """Remove the temporary folders of `out` whose writers are gone (nobody holds their lock)."""
    for leftover in sorted(out.parent.glob(f".{_literal(out.name)}.tmp-*")):
        if leftover.name.endswith(_ASIDE) and not out.exists():
            leftover.rename(out)  # its writer died between the two renames of `_replace`
            continue
        try:
            handle = os.open(leftover, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(leftover, ignore_errors=True)
        except OSError:
            continue
        finally:
            os.close(handle)


def _replace(temporary: Path, out: Path) -> None:
    """Let `temporary` become `out`; what was there before ends under the temporary name, to be deleted."""
    if not out.exists():
        temporary.rename(out)
        return
    if _exchange(temporary, out):
        return
    aside = temporary.with_name(temporary.name + _ASIDE)
    out.rename(aside)
    temporary.rename(out)
    aside.rename(temporary)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names in one step; False where kernel or file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM):
        return False
    raise OSError(code, os.strerror(code), str(second))


def _literal(name: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)
