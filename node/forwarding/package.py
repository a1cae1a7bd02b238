"""What one delivery sends: the files behind "outputs", "report" and "originals" of one revision."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from node.errors import DeliveryError

BYTES_PER_S = 1_000_000  # the slowest destination that is waited for
REPORT_NAMES = ("report.json", "report.html", "dicom/report.dcm")
DICOM_SUFFIX = ".dcm"


@dataclass(frozen=True, slots=True)
class Item:
    """One file to send: its name at the destination (relative, with `/`), and where its bytes are."""

    name: str
    path: Path
    what: str
    kind: str
    size_bytes: int
    sha256: str = ""
    volume: int | None = None

    @property
    def is_dicom(self) -> bool:
        """True for a DICOM object: an original, or one that the node derived."""
        return self.name.endswith(DICOM_SUFFIX)


@dataclass(frozen=True, slots=True)
class Package:
    """All that one delivery sends of one revision of a series."""

    study_instance_uid: str
    series_instance_uid: str
    revision: int
    items: tuple[Item, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(item.size_bytes for item in self.items)


@dataclass(frozen=True, slots=True)
class Sent:
    """One file that the destination took; `remark` is what it said besides."""

    name: str
    remark: str = ""


class Deadline:
    """The end of one attempt: `base_s` plus the time that the package takes at 1 MB/s."""

    def __init__(
        self, base_s: float, size_bytes: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self.seconds = base_s + size_bytes / BYTES_PER_S
        self._end = clock() + self.seconds

    @property
    def remaining_s(self) -> float:
        """Seconds left; negative when it is over."""
        return self._end - self._clock()

    def check(self) -> None:
        """Go on while there is time.

        Raises:
            DeliveryError: the attempt has taken too long; a later one may be faster.
        """
        if self.remaining_s <= 0:
            raise DeliveryError(f"the attempt was given up after {self.seconds:.0f} s; what was sent is kept")


def pack(
    send: Iterable[str],
    *,
    series: Mapping[str, Any],
    outputs: Iterable[Mapping[str, Any]],
    instances: Iterable[Mapping[str, Any]],
    outputs_dir: Path,
) -> Package:
    """Collect the files of a delivery: `send` holds "outputs", "report", "originals".

    `series` has StudyInstanceUID, SeriesInstanceUID and revision. `outputs` are the registry's
    rows of that revision, with their `path` relative to `outputs_dir`. Of `instances` those in
    conflict with an earlier one of the same SOPInstanceUID stay behind: two objects cannot
    bear one UID.
    """
    wanted = frozenset(send)
    top = f"{series['StudyInstanceUID']}/{series['SeriesInstanceUID']}/r{series['revision']}"
    items = [item for item in (_output(row, outputs_dir, top) for row in outputs) if item.what in wanted]
    if "originals" in wanted:
        items += [_original(row) for row in instances if not row["is_conflict"]]
    return Package(
        study_instance_uid=series["StudyInstanceUID"],
        series_instance_uid=series["SeriesInstanceUID"],
        revision=series["revision"],
        items=tuple(sorted(items, key=lambda item: item.name)),
    )


def _output(row: Mapping[str, Any], outputs_dir: Path, top: str) -> Item:
    name = PurePosixPath(row["path"]).relative_to(top).as_posix()
    return Item(
        name=name,
        path=outputs_dir / row["path"],
        what="report" if name in REPORT_NAMES else "outputs",
        kind=row["kind"],
        size_bytes=row["size_bytes"],
        sha256=row["sha256"],
        volume=row["volume_index"],
    )


def _original(row: Mapping[str, Any]) -> Item:
    return Item(
        name=f"originals/{row['SOPInstanceUID']}{DICOM_SUFFIX}",
        path=Path(row["path"]),
        what="originals",
        kind="original",
        size_bytes=row["size_bytes"],
        sha256=row["sha256"],
    )
