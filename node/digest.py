"""The digest that says whether two received objects are the same: SHA-256 of the encoded data set.

The File Meta Information in front of the data set is left out: the node writes it, and it
names the sender, so the same object from two senders would differ in it. Where the data set
begins follows from the group length (`node.part10.dataset_offset`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from node.part10 import GROUP_LENGTH_END, dataset_offset

Buffer = bytes | bytearray | memoryview
READ_BYTES = 1 << 20


class DatasetDigest:
    """SHA-256 of what follows the File Meta Information in a stream of bytes.

    A stream without file meta is digested as a whole, and so is one whose file meta claims
    to be longer than the stream.
    """

    def __init__(self) -> None:
        self._head: bytearray | None = bytearray()
        self._skip = 0
        self._meta = hashlib.sha256()
        self._dataset = hashlib.sha256()
        self._is_empty = True

    def update(self, data: Buffer) -> None:
        """Take the next bytes of the stream."""
        if self._head is not None:
            self._head += data
            if len(self._head) < GROUP_LENGTH_END:
                return
            data, self._head = bytes(self._head), None
            self._skip = dataset_offset(data)
        self._feed(memoryview(data))

    def hexdigest(self) -> str:
        """Return the digest once all bytes have been given."""
        if self._head is not None:
            return hashlib.sha256(self._head).hexdigest()
        return (self._meta if self._is_empty else self._dataset).hexdigest()

    def _feed(self, data: memoryview) -> None:
        if self._skip:
            part = data[: self._skip]
            self._meta.update(part)
            self._skip -= len(part)
            data = data[len(part) :]
        if len(data):
            self._is_empty = False
            self._dataset.update(data)


def digest(path: Path, *, pace: Callable[[int], None] | None = None) -> str:
    """Return the SHA-256 of the data set in a stored file, as `Incoming.sha256` does while it is written.

    `pace` is told how many bytes each step has read, and may take its time.

    Raises:
        OSError: the file cannot be read.
    """
    running = DatasetDigest()
    with path.open("rb") as file:
        while chunk := file.read(READ_BYTES):
            running.update(chunk)
            if pace is not None:
                pace(len(chunk))
    return running.hexdigest()
