"""The digest that says whether two received objects are the same: SHA-256 of the encoded data set.

The File Meta Information in front of the data set is left out: the node writes it, and it
names the sender, so the same object from two senders would differ in it. Where the data set
begins follows from the group length (`node.part10.dataset_offset`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from node.part10 import GROUP_LENGTH_END, dataset_offset

Buffer = bytes | bytearray | memoryview
READ_BYTES = 1 << 20


def digest(path: Path, *, pace: Callable[[int], None] | None = None) -> str:
    """Return the SHA-256 of the data set in a stored file, as `Incoming.sha256` is while it is written.

    A file without file meta is digested as a whole, and so is one whose file meta claims to
    be longer than the file.

    `pace` is told how many bytes each step has read, and may take its time.

    Raises:
        OSError: the file cannot be read.
    """
    running = hashlib.sha256()
    with path.open("rb") as file:
        offset = dataset_offset(file.read(GROUP_LENGTH_END))
        file.seek(offset if offset < os.fstat(file.fileno()).st_size else 0)
        while chunk := file.read(READ_BYTES):
            running.update(chunk)
            if pace is not None:
                pace(len(chunk))
    return running.hexdigest()
