"""What has to be known of a DICOM file to send its data set as it is, byte for byte."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from node.header_facts import HEAD_BYTES, VRS, facts
from node.part10 import read_file_meta

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"
DICOMDIR = "1.2.840.10008.1.3.10"  # Media Storage Directory: not an instance that can be sent


@dataclass(frozen=True, slots=True)
class Sendable:
    """One file whose encoded data set can be sent; the data set is bytes [offset, offset + size)."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    offset: int
    size: int

    @property
    def context(self) -> tuple[str, str]:
        """The presentation context that the file needs: SOP class and transfer syntax."""
        return self.sop_class_uid, self.transfer_syntax_uid


def sendable(path: Path) -> Sendable | None:
    """Look at a file, with or without File Meta Information; None when it is no instance that can be sent.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        size = file.seek(0, 2)
    meta = read_file_meta(head)
    if meta.sop_class_uid == DICOMDIR:
        return None
    transfer_syntax = meta.transfer_syntax_uid
    if not transfer_syntax:
        transfer_syntax = _guess(head[meta.dataset_offset :])
    # An acceptor compares the command with the data set, which file meta may contradict.
    found = facts(head[meta.dataset_offset :], transfer_syntax_uid=transfer_syntax)
    sop_class = str(found.get("SOPClassUID", meta.sop_class_uid))
    sop_instance = str(found.get("SOPInstanceUID", meta.sop_instance_uid))
    size -= meta.dataset_offset
    if not (sop_class and sop_instance and size > 0):
        return None
    return Sendable(path, sop_class, sop_instance, transfer_syntax, meta.dataset_offset, size)


def _guess(head: bytes) -> str:
    """Return the transfer syntax that the first element looks like, where no file meta says it."""
    if head[4:6] not in VRS:
        return IMPLICIT_VR_LITTLE_ENDIAN
    return EXPLICIT_VR_BIG_ENDIAN if head[:1] == b"\0" else EXPLICIT_VR_LITTLE_ENDIAN
