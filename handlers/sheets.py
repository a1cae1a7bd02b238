"""Take a sheet of tiled slices apart: each tile becomes a frame with a matrix and a position of its own.

Tiles fill the sheet row by row, n x n of them with n = ceil(sqrt(N)); those behind the N-th are blank.
What is not written down is not guessed: a sheet whose slices cannot be placed stays whole, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from handlers import attributes, csa, geometry
from handlers.errors import MalformedAttributeError, VolumeError
from handlers.model import Frame, Tile
from handlers.tiled import (
    GRID,
    IMAGES_IN_GRID,
    IMAGES_IN_MOSAIC,
    MOSAIC,
    SIEMENS,
    SIEMENS_GROUP,
    UIH,
    UIH_GROUP,
)

PARALLEL: Final = 0.999  # least |cosine| between SliceNormalVector and row x column: both are unit vectors
GRID_FRAMES: Final = 0x51  # of UIH's private header: a sequence with the position of each slice
MOST_TILES: Final = 4096  # 64 x 64; no scan has so many slices


def take_apart(frame: Frame, code: str) -> tuple[Frame, ...]:
    """Return one frame for each slice in a sheet, in the order of the tiles.

    Rows, Columns and ImagePositionPatient of a tile are in `Frame.functional`, where they win over
    those of the sheet. Everything else holds for all tiles.

    Args:
        frame: the sheet.
        code: what `tiled.tiled_code` says of it.

    Raises:
        VolumeError: number, normal or spacing of the slices is not written down, or contradicts
            itself; the message says which.
    """
    try:
        positions = _mosaic_positions(frame) if code == MOSAIC else _grid_positions(frame)
        rows, columns, side = _tile_matrix(frame, len(positions))
    except MalformedAttributeError as error:
        raise VolumeError(str(error), code=code) from error
    return tuple(
        Frame(
            frame.instance,
            frame.number,
            {**frame.functional, "Rows": rows, "Columns": columns, "ImagePositionPatient": position},
            Tile(index + 1, index // side * rows, index % side * columns, rows, columns),
        )
        for index, position in enumerate(positions)
    )


def _mosaic_positions(frame: Frame) -> list[tuple[float, ...]]:
    """Return the position of each slice of a Siemens mosaic, LPS mm.

    ImagePositionPatient is where the corner of the sheet would be if the sheet had the centre of a slice.
    Source: https://nipy.org/nibabel/dicom/dicom_mosaic.html.
    """
    header = csa.image_header(frame)
    count = _mosaic_count(frame, header.get("NumberOfImagesInMosaic", ()))
    if any(_numbers(header.get("ProtocolSliceNumber", ()))):
        raise VolumeError("its slices are counted from the other end (ProtocolSliceNumber)", code=MOSAIC)
    rows, columns, side = _tile_matrix(frame, count)
    row, column, corner = _axes(frame, MOSAIC)
    normal = np.array(_numbers(header.get("SliceNormalVector", ())))
    if normal.shape != (3,) or not PARALLEL < abs(normal @ np.cross(row, column)) < 1 / PARALLEL:
        raise VolumeError("SliceNormalVector of the CSA header is absent or not normal to it", code=MOSAIC)
    between = attributes.number(frame, "SpacingBetweenSlices")
    if between is None or not 0 < between <= geometry.LENGTH_LIMIT_MM:
        raise VolumeError("SpacingBetweenSlices, the distance of its slices, is not stated", code=MOSAIC)
    row_mm, column_mm = geometry.pixel_spacing(frame) or (math.nan, math.nan)
    first = corner + row * column_mm * columns * (side - 1) / 2 + column * row_mm * rows * (side - 1) / 2
    if not np.isfinite(first).all():
        raise VolumeError("PixelSpacing is not stated", code=MOSAIC)
    return [_triple(first + index * between * normal) for index in range(count)]


def _mosaic_count(frame: Frame, in_csa: Sequence[Any]) -> int:
    stated = attributes.private_numbers(frame, SIEMENS_GROUP, SIEMENS, IMAGES_IN_MOSAIC)
    counts = {*stated[:1], *_numbers(in_csa)[:1]}
    if len(counts) != 1:
        what = "is not stated" if not counts else f"is {' and '.join(f'{each:g}' for each in sorted(counts))}"
        raise VolumeError(f"NumberOfImagesInMosaic {what}", code=MOSAIC)
    return _count(counts.pop(), MOSAIC)


def _grid_positions(frame: Frame) -> list[tuple[float, ...]]:
    """Return the position of each slice of a UIH grid, from the items of its private sequence, LPS mm."""
    stated = attributes.private_numbers(frame, UIH_GROUP, UIH, IMAGES_IN_GRID)
    described = attributes.private(frame, UIH_GROUP, UIH, GRID_FRAMES)
    items = [item for item in described or () if isinstance(item, Dataset)]
    if len(stated) != 1 or _count(stated[0], GRID) != len(items):
        number = f"{stated[0]:g}" if len(stated) == 1 else "no number of"
        raise VolumeError(f"it states {number} slices and describes {len(items)}", code=GRID)
    positions = [attributes.numbers(item, "ImagePositionPatient") or () for item in items]
    row, column, _ = _axes(frame, GRID)
    if any(len(position) != 3 for position in positions):
        raise VolumeError("a slice in it has no ImagePositionPatient", code=GRID)
    turned = [attributes.numbers(item, "ImageOrientationPatient") for item in items]
    if any(each is not None and not np.allclose(each, [*row, *column], atol=1e-3) for each in turned):
        raise VolumeError("its slices have other orientations than the sheet", code=GRID)
    return [_triple(position) for position in positions]


def _axes(frame: Frame, code: str) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    placed = geometry.orientation_and_position(frame)
    if placed is None:
        raise VolumeError("it has no orientation or no position", code=code)
    orientation, corner = placed
    return np.array(orientation[:3]), np.array(orientation[3:]), np.array(corner)


def _tile_matrix(frame: Frame, count: int) -> tuple[int, int, int]:
    """Return rows and columns of a tile, and the number of tiles along a side of the sheet."""
    side = math.isqrt(count - 1) + 1
    rows, columns = attributes.integer(frame, "Rows") or 0, attributes.integer(frame, "Columns") or 0
    if min(rows, columns) < side or rows % side or columns % side:
        raise MalformedAttributeError(
            f"{rows} x {columns} pixels cannot be {side} x {side} tiles of one size ({count} slices)"
        )
    return rows // side, columns // side, side


def _count(value: float, code: str) -> int:
    if value != int(value) or not 1 < value <= MOST_TILES:
        raise VolumeError(f"it states {value:g} slices", code=code)
    return int(value)


def _numbers(values: Iterable[Any]) -> tuple[float, ...]:
    """Return the numbers of a list; () where one is none."""
    try:
        return tuple(float(each) for each in values)
    except (TypeError, ValueError):
        return ()


def _triple(vector: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(each) for each in vector)
