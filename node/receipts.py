"""What a listener tells of an instance that it made durable, and how that goes over a Unix socket.

A frame is two lengths (4 bytes each, big endian), a JSON object, and a blob: the first bytes of
the data sets, one after the other. Both ends are processes of this node; the JSON is checked all
the same, because a node may be updated while one of them still runs.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

HEAD_BYTES = 16384  # of a data set that go with its receipt: nearly every header up to Columns (0028,0011)
RECEIVED_AT = 8  # where it is among the fields of a receipt
FRAME_LIMIT_BYTES = 64 * 1024**2

_LENGTHS = struct.Struct(">II")


@dataclass(frozen=True, slots=True)
class Receipt:
    """One instance in new/, under `name`. `received_at` is UTC without zone.

    `sha256` is the digest of its data set. Of a file that an earlier process left, only the
    name is known (`is_recovered`); whether it was acknowledged is not.
    """

    name: str
    sop_instance_uid: str = ""
    sop_class_uid: str = ""
    transfer_syntax_uid: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    size_bytes: int = 0
    sha256: str = ""
    received_at: datetime | None = None
    calling_ae_title: str = ""
    called_ae_title: str = ""
    source_address: str = ""
    association: str | None = None
    is_recovered: bool = False

    def described(self) -> list[Any]:
        """Return the values as JSON has them, in the order of the fields."""
        return [
            self.name,
            self.sop_instance_uid,
            self.sop_class_uid,
            self.transfer_syntax_uid,
            self.study_instance_uid,
            self.series_instance_uid,
            self.size_bytes,
            self.sha256,
            self.received_at.isoformat() if self.received_at is not None else None,
            self.calling_ae_title,
            self.called_ae_title,
            self.source_address,
            self.association,
            self.is_recovered,
        ]


def receipts(described: Iterable[list[Any]], heads: bytes) -> Iterator[tuple[Receipt, bytes]]:
    """Yield the receipts of a frame, each with its head: `described` with the length of the head appended.

    Raises:
        ValueError, TypeError: they are not what `Receipt.described` gives.
    """
    at = 0
    for values in described:
        *plain, length = values
        if plain[RECEIVED_AT] is not None:
            plain[RECEIVED_AT] = datetime.fromisoformat(plain[RECEIVED_AT])
        yield Receipt(*plain), heads[at : at + length]
        at += length


def frame(message: dict[str, Any], blob: bytes = b"") -> bytes:
    """Encode one frame."""
    encoded = json.dumps(message, separators=(",", ":")).encode()
    return _LENGTHS.pack(len(encoded), len(blob)) + encoded + blob


def read_frame(connection: socket.socket) -> tuple[dict[str, Any], bytes] | None:
    """Read one frame; None when the other end has closed.

    Raises:
        OSError: the connection broke.
        ValueError: what came is no frame.
    """
    header = _exactly(connection, _LENGTHS.size)
    if header is None:
        return None
    length, blob_length = _LENGTHS.unpack(header)
    if length + blob_length > FRAME_LIMIT_BYTES:
        raise ValueError(f"a frame of {length + blob_length} bytes")
    body = _exactly(connection, length + blob_length)
    if body is None:
        return None
    message = json.loads(body[:length])
    if not isinstance(message, dict):
        raise ValueError("a frame without an object")  # noqa: TRY004 - of the data, not of an argument
    return message, bytes(body[length:])


def _exactly(connection: socket.socket, count: int) -> bytearray | None:
    data = bytearray(count)
    at = 0
    with memoryview(data) as view:
        while at < count:
            n = connection.recv_into(view[at:])
            if not n:
                return None
            at += n
    return data


def socket_path(run_dir: Path) -> Path:
    """Return where the registrar of this machine listens; several machines may share the folder."""
    return run_dir / f"{socket.gethostname()}.registrar"


def short_path(path: Path) -> tuple[int, str]:
    """Return a descriptor, to be closed after use, and a name of `path` that fits an address.

    A Unix socket's address has 108 bytes (unix(7)); the folder of a node may be deeper.
    """
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return folder, f"/proc/self/fd/{folder}/{path.name}"
