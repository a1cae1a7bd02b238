"""What is committed: an object that is registered under its class, and whose bytes are as they were received.

The file is read again and digested; nothing is committed on the word of the registry alone.
Where several objects came under one SOP Instance UID, all of them have to be whole, as the
reference does not say which is meant. Source: PS3.4 J.3.3.1.1, PS3.3 C.14.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from node import logs
from node.commitment.dataset import Reference

COMMITTED = 0
PROCESSING_FAILURE = 0x0110
NO_SUCH_OBJECT = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119
DUPLICATE_TRANSACTION = 0x0131

log = logs.get("node.commitment")


@dataclass(frozen=True, slots=True)
class Stored:
    """A registered object: its class, where its bytes are, and their digest as they were received."""

    sop_class_uid: str
    path: Path
    sha256: str


def judge(reference: Reference, stored: Sequence[Stored], digest: Callable[[Path], str]) -> int:
    """Return `COMMITTED` or the Failure Reason; `stored` is all that is registered under the instance UID."""
    sop_class, sop_instance = reference
    if not stored:
        return NO_SUCH_OBJECT
    if any(each.sop_class_uid != sop_class for each in stored):
        return CLASS_INSTANCE_CONFLICT
    for each in stored:
        try:
            found = digest(each.path)
        except FileNotFoundError:  # retention has removed it, or a hand
            return NO_SUCH_OBJECT
        except OSError as error:
            _alarm("commitment.unreadable", sop_instance, each.path, error=str(error))
            return PROCESSING_FAILURE
        if found != each.sha256:
            _alarm("commitment.corrupt", sop_instance, each.path)
            return PROCESSING_FAILURE
    return COMMITTED


def is_caught_up(new: Path, received_at: float) -> bool:
    """Say whether the registry has all that was acknowledged before a request came.

    What is acknowledged lies in the spool's new/ until it is registered. `received_at` is in
    seconds since 1970; a second is allowed for the clock of the file system.
    """
    for path in new.iterdir() if new.is_dir() else ():
        try:
            if path.stat().st_mtime <= received_at + 1.0:
                return False
        except FileNotFoundError:
            continue
    return True


def _alarm(event: str, sop_instance_uid: str, path: Path, **facts: str) -> None:
    log.error(event, SOPInstanceUID=sop_instance_uid, path=str(path), **facts)
