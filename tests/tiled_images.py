"""Sheets of tiled slices, built from a volume: Siemens mosaics with their private CSA header, UIH grids."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence

import numpy as np
from pydicom.dataset import Dataset, FileDataset

import data

ROW, COLUMN = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.8, 0.6])  # of an oblique plane, LPS
CORNER = np.array([-40.0, -30.0, -20.0])  # centre of the first voxel of the first slice, LPS mm
SPACING = (2.5, 1.25)  # PixelSpacing: mm between rows, mm between columns
BETWEEN_MM = 4.0
SERIES = data.uid("series", "of sheets")


def slices(count: int, rows: int = 6, columns: int = 4) -> np.ndarray:
    """Return values (slices, rows, columns) that are all different."""
    return np.arange(1, count * rows * columns + 1, dtype=np.uint16).reshape(count, rows, columns)


def sheet(values: np.ndarray, *, number: int = 1, **attributes) -> FileDataset:
    """Return one image that holds the slices as tiles, row by row; what is left over is 0."""
    count, rows, columns = values.shape
    side = math.ceil(math.sqrt(count))
    tiled = np.zeros((side * rows, side * columns), np.uint16)
    for index, each in enumerate(values):
        down, across = divmod(index, side)
        tiled[down * rows : (down + 1) * rows, across * columns : (across + 1) * columns] = each
    (image,) = data.mr_series(slices=1, rows=8, columns=8, series_uid=SERIES)
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = data.uid("sheet", str(number))
    image.InstanceNumber, image.AcquisitionNumber = number, number
    image.Rows, image.Columns = tiled.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    image.PixelData = tiled.tobytes()
    image.PixelSpacing, image.ImageOrientationPatient = list(SPACING), [*ROW, *COLUMN]
    image.SpacingBetweenSlices = BETWEEN_MM
    image.ImagePositionPatient = [round(each, 6) for each in CORNER]
    for keyword, value in attributes.items():
        setattr(image, keyword, value)
    return image


def mosaic(
    values: np.ndarray, *, csa: Mapping[str, Sequence[object]] | None = None, number: int = 1, **attributes
) -> FileDataset:
    """Return a Siemens mosaic: the sheet lies around the centre of the first slice, as the scanner writes it.

    `csa` replaces or adds values of the CSA header; a value of () leaves the name without one.
    """
    count, rows, columns = values.shape
    side = math.ceil(math.sqrt(count))
    half_slice = ROW * SPACING[1] * columns / 2 + COLUMN * SPACING[0] * rows / 2
    corner = CORNER + half_slice - side * half_slice
    image = sheet(
        values, number=number, ImagePositionPatient=[round(each, 6) for each in corner],
        ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"],
    )  # fmt: skip
    normal = [f"{each:.8f}" for each in np.cross(ROW, COLUMN)]
    told = {"NumberOfImagesInMosaic": [count], "SliceNormalVector": normal, "ProtocolSliceNumber": [0]}
    block = image.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", csa_bytes({**told, **(csa or {})}))
    for keyword, value in attributes.items():
        setattr(image, keyword, value)
    return image


def grid(values: np.ndarray, **attributes) -> FileDataset:
    """Return a UIH grid, with the position of each slice in its private sequence."""
    image = sheet(values, ImageType=["ORIGINAL", "PRIMARY", "VFRAME"], **attributes)
    described = []
    for index in range(len(values)):
        position = CORNER + index * BETWEEN_MM * np.cross(ROW, COLUMN)
        item = Dataset()
        item.ImagePositionPatient = [round(each, 6) for each in position]
        described.append(item)
    block = image.private_block(0x0065, "Image Private Header", create=True)
    block.add_new(0x50, "DS", str(len(values)))
    block.add_new(0x51, "SQ", described)
    return image


def csa_bytes(values: Mapping[str, Sequence[object]]) -> bytes:
    """Encode names and values as a CSA header of the second kind ("SV10")."""
    parts = [b"SV10\4\3\2\1", struct.pack("<2I", len(values), 77)]
    for name, items in values.items():
        kind = b"IS" if all(isinstance(each, int) for each in items) else b"FD"
        parts.append(struct.pack("<64si4s3i", name.encode(), len(items), kind, 0, len(items), 77))
        for each in items:
            text = str(each).encode() + b"\0"
            parts += [struct.pack("<4i", len(text), len(text), 77, len(text)), text, bytes(-len(text) % 4)]
    return b"".join(parts)
