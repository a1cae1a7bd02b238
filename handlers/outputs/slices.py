"""Which frame lies where in the array that was written: the way back from a voxel to its instance."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.model import Frame, Volume

AXES = ("column", "row", "slice")


@dataclass(frozen=True, slots=True)
class PlacedFrame:
    """One frame and the index at which its plane crosses the array.

    `tile` counts the slices of a sheet from 1, and is 0 where the frame is no sheet.
    `index` is whole unless the volume was resampled; None where positions are unknown.
    """

    sop_instance_uid: str
    frame_number: int
    tile: int
    index: float | None

    @property
    def facts(self) -> dict[str, str | float | None]:
        """What a sidecar says of it."""
        tile = {"tile": self.tile} if self.tile else {}
        return {
            "index": self.index,
            "SOPInstanceUID": self.sop_instance_uid,
            "frame": self.frame_number,
            **tile,
        }


@dataclass(frozen=True, slots=True)
class Placement:
    """The frames of a volume in the order of the written array, along one of its axes.

    `axis` is "slice" for a volume whose slices were kept; "column" or "row" after a sagittal
    or coronal acquisition was permuted to a canonical orientation.
    """

    axis: str
    frames: tuple[PlacedFrame, ...]

    @property
    def sop_instance_uids(self) -> list[str]:
        """Each instance once, in the order of the array."""
        return list(dict.fromkeys(frame.sop_instance_uid for frame in self.frames))


def place(volume: Volume) -> Placement:
    """Find the array index of every frame from its position and the affine.

    Without geometry, or when a position cannot be read, the order of `volume.frames` holds.
    """
    unplaced = tuple(PlacedFrame(*frame.identity, None) for frame in volume.frames)
    if volume.geometry is None or volume.affine is None:
        return Placement("slice", unplaced)
    lengths = np.linalg.norm(volume.affine[:3, :3], axis=0)
    alignment = (volume.affine[:3, :3] / lengths).T @ np.asarray(volume.geometry.normal)
    axis = int(np.abs(alignment).argmax())
    inverse = np.linalg.inv(volume.affine)
    placed: list[PlacedFrame] = []
    for frame, bare in zip(volume.frames, unplaced, strict=True):
        centre = _centre(frame, volume)
        if centre is None:
            return Placement(AXES[axis], unplaced)
        index = round(float(inverse[axis, :3] @ centre + inverse[axis, 3]), 3)
        placed.append(replace(bare, index=index + 0.0))
    placed.sort(
        key=lambda frame: (frame.index or 0.0, frame.sop_instance_uid, frame.frame_number, frame.tile)
    )
    return Placement(AXES[axis], tuple(placed))


def matrix_size(volume: Volume) -> tuple[int | None, int | None, int]:
    """Return (columns, rows, frames) as acquired; None where the header does not say."""
    if not volume.frames:
        return None, None, 0
    first = volume.frames[0]
    return _integer(first, "Columns"), _integer(first, "Rows"), len(volume.frames)


def _centre(frame: Frame, volume: Volume) -> np.ndarray | None:
    """Return the centre of a frame in LPS mm."""
    geometry = volume.geometry
    columns, rows, _ = matrix_size(volume)
    try:
        position = attributes.numbers(frame, "ImagePositionPatient")
    except MalformedAttributeError:
        return None
    if geometry is None or position is None or len(position) != 3 or columns is None or rows is None:
        return None
    along_row = np.multiply(geometry.row_cosine, geometry.spacing_mm[0] * (columns - 1) / 2)
    along_column = np.multiply(geometry.column_cosine, geometry.spacing_mm[1] * (rows - 1) / 2)
    centre: np.ndarray = np.asarray(position) + along_row + along_column
    return centre


def _integer(frame: Frame, keyword: str) -> int | None:
    try:
        return attributes.integer(frame, keyword)
    except MalformedAttributeError:
        return None
