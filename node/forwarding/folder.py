"""Delivery into a folder: `<path>/<StudyInstanceUID>/<SeriesInstanceUID>/r<revision>/`, whole or not at all.

Everything is copied into a temporary folder beside the final one, flushed, and renamed. A
later attempt replaces what an earlier one left, so a repeat does no harm.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from node.config import Destination
from node.errors import DeliveryError
from node.flushing import flush
from node.forwarding.package import Deadline, Item, Package, Sent

LEFTOVER_S = 3600.0  # older than any attempt that still runs
CHUNK_BYTES = 8 * 1024 * 1024  # between two looks at the deadline
ADVICE = {
    errno.ENOSPC: "no space is left there",
    errno.EDQUOT: "its quota is used up",
    errno.EROFS: "it is read-only",
    errno.EACCES: "the node may not write there; grant its user write permission",
    errno.EPERM: "the node may not write there; grant its user write permission",
    errno.ENOENT: "it is not there; create it, or mount the file system it is on",
    errno.ENOTDIR: "part of its path is not a folder",
    errno.EEXIST: "it is not a folder",
    errno.EIO: "its disk reports an error",
    errno.ESTALE: "its network file system is gone; mount it again",
}


def send(
    destination: Destination, package: Package, already: frozenset[str], deadline: Deadline
) -> Iterator[Sent]:
    """Copy a package into the folder, and yield every file once the whole is in place.

    Nothing is taken as delivered before the final rename, so `already` does not shorten the work.

    Raises:
        DeliveryError: the folder is missing, read-only or full (retryable); a file of the package
            is gone, or its place lies outside the folder (final).
    """
    del already
    root = Path(destination.path or "")
    try:
        final = _place(root, package)
        _clear(final, older_than_s=deadline.seconds + LEFTOVER_S)
        temporary = final.with_name(f".{final.name}.tmp-{uuid.uuid4().hex[:8]}")
        temporary.mkdir()
        try:
            for item in package.items:
                _copy(item, temporary / item.name, deadline)
            _flush_folders(temporary)
            _replace(temporary, final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        reason = ADVICE.get(error.errno or 0, os.strerror(error.errno) if error.errno else str(error))
        raise DeliveryError(f"folder {root} cannot be written: {reason}") from error
    yield from (Sent(item.name) for item in package.items)


def _place(root: Path, package: Package) -> Path:
    """Make the folder of the series and return the place of the revision in it.

    The root is made when it is absent, but not the folder above it: where a mounted file system
    is expected, its mount point exists, and a path that is wrong higher up is a mistake to be told.
    """
    root.mkdir(exist_ok=True)
    real_root = root.resolve(strict=True)
    parent = real_root / package.study_instance_uid / package.series_instance_uid
    parent.mkdir(parents=True, exist_ok=True)
    if not parent.resolve().is_relative_to(real_root) or parent.resolve() == real_root:
        raise DeliveryError(
            f"{parent} leads out of {root} by a symbolic link; remove the link", retryable=False
        )
    return parent / f"r{package.revision}"


def _clear(final: Path, *, older_than_s: float) -> None:
    """Remove what attempts left behind whose process was killed."""
    for leftover in final.parent.glob(f".{final.name}.*"):
        if time.time() - leftover.stat().st_mtime > older_than_s:
            shutil.rmtree(leftover, ignore_errors=True)


def _copy(item: Item, target: Path, deadline: Deadline) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source = item.path.open("rb")
    except FileNotFoundError:
        raise DeliveryError(
            f"{item.name} is no longer on this node; process the series again", retryable=False
        ) from None
    except OSError as error:
        raise DeliveryError(f"{item.name} cannot be read on this node: {error.strerror}") from error
    with source, target.open("xb") as copy:
        while chunk := source.read(CHUNK_BYTES):
            deadline.check()
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())


def _flush_folders(top: Path) -> None:
    for folder, _, _ in os.walk(top, topdown=False):
        flush(Path(folder))


def _replace(temporary: Path, final: Path) -> None:
    """Give the new folder its name; what had that name goes."""
    if final.exists():
        aside = temporary.with_name(f"{temporary.name}-old")
        final.rename(aside)
        temporary.rename(final)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        temporary.rename(final)
    flush(final.parent)
