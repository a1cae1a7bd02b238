"""The objects that are sent: CT or MR files for each sender, and one multi-frame object of any size."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import FileDataset
from pydicom.uid import UID, MultiFrameGrayscaleWordSecondaryCaptureImageStorage

from node.benchmark.headers import complete
from node.errors import NodeError
from node.phantom import ct_slices, uid

MR_BELOW_PIXELS = 256  # smaller planes are MR (64: EPI), larger ones CT
SERIES_OBJECTS = 100  # of one series, at most
FRAME_PIXELS = 512  # rows and columns of a frame of the large object
FRAME_BYTES = 2 * FRAME_PIXELS**2
LARGEST_MB = 4094  # the length of an element has 32 bits, and 0xFFFFFFFF means undefined
PIXEL_DATA_OW = b"\xe0\x7f\x10\x00OW\x00\x00"  # (7FE0,0010), explicit VR little endian


@dataclass(frozen=True, slots=True)
class Share:
    """The files that one sender sends: a flat folder."""

    folder: Path
    objects: int
    size_bytes: int


def write_shares(  # noqa: PLR0913 - what is sent, to whom it is dealt, who hears of it
    folder: Path,
    name: str,
    *,
    objects: int,
    size: int,
    associations: int,
    written: Callable[[], None] = lambda: None,
) -> tuple[Share, ...]:
    """Write `objects` files of `size` x `size` pixels, dealt out evenly to so many senders.

    Each sender has series of its own, at least two when it has two objects. All UIDs follow from `name`.
    """
    shares = []
    for sender in range(associations):
        own = objects // associations + (sender < objects % associations)
        shares.append(_write_share(folder / f"sender-{sender}", f"{name}/{sender}", own, size, written))
    return tuple(shares)


def _write_share(folder: Path, name: str, objects: int, size: int, written: Callable[[], None]) -> Share:
    folder.mkdir(parents=True)
    dataset = _template(size)
    per_series = max(1, min(SERIES_OBJECTS, math.ceil(objects / 2)))
    for index in range(objects):
        series, position = divmod(index, per_series)
        dataset.StudyInstanceUID = uid("bench", name)
        dataset.SeriesInstanceUID = uid("bench", name, series)
        dataset.SeriesNumber = series + 1
        _name_instance(dataset, uid("bench", name, series, position))
        dataset.InstanceNumber = position + 1
        x_mm, y_mm, _ = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x_mm, y_mm, position]
        dataset.SliceLocation = position
        dataset.save_as(folder / f"{index:06d}.dcm", enforce_file_format=True)
        written()
    return Share(folder, objects, sum(path.stat().st_size for path in folder.iterdir()))


def write_large(folder: Path, *, size_mb: int) -> Share:
    """Write one multi-frame object with `size_mb` x 2^20 bytes of pixels, which take no room on the disk.

    Raises:
        NodeError: an element cannot be so long.
    """
    if size_mb > LARGEST_MB:
        raise NodeError(f"one object cannot hold {size_mb} MB of pixels; the most are {LARGEST_MB}")
    folder.mkdir(parents=True)
    dataset = _template(FRAME_PIXELS)
    del dataset.PixelData
    dataset.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    _name_instance(dataset, uid("bench", "large", size_mb))
    dataset.NumberOfFrames = size_mb * (1 << 20) // FRAME_BYTES
    path = folder / "large.dcm"
    dataset.save_as(path, enforce_file_format=True)
    with path.open("ab") as file:
        file.write(PIXEL_DATA_OW + (size_mb << 20).to_bytes(4, "little"))
        file.truncate(file.tell() + (size_mb << 20))  # zeros that are read, not stored
    return Share(folder, 1, path.stat().st_size)


def _template(size: int) -> FileDataset:
    dataset = next(ct_slices("bench", slices=1, size=size, description="BENCHMARK"))
    complete(dataset, is_mr=size < MR_BELOW_PIXELS)
    return dataset


def _name_instance(dataset: FileDataset, sop_instance_uid: str) -> None:
    dataset.SOPInstanceUID = sop_instance_uid
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
