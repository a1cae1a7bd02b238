"""Volumes as NIfTI-1 files: voxel values in modality units, affine in RAS millimetres.

This is the one room where RAS exists; everywhere else coordinates are LPS, as in DICOM.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from handlers.api import per_volume
from handlers.errors import VolumeError
from handlers.model import Companion, Outcome, Product, Verdict, Volume

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
GZIP_LEVEL = 2  # of ISA-L's 0..3: 512x512x300 CT in 0.5 s to half its size; level 3 is 3x slower for 2 % less
_GZIP_WRAPPER = 31  # zlib's wbits for a gzip header: no file name, no time, hence the same bytes every time
_CHUNK_BYTES = 4 << 20
_SCANNER = 1  # NIFTI_XFORM_SCANNER_ANAT
_UNKNOWN = 0  # NIFTI_XFORM_UNKNOWN
_SHEAR = 1.8e-3  # cosine between two axes, 0.1 degrees: rounded positions; beyond, GEO-008 tells of it
_EXACT_FLOAT32 = 1 << 24  # integers up to here are exact in float32
_RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


@per_volume
def write(outcome: Outcome, folder: Path) -> list[Product]:
    """Write `v<k>.nii.gz` for every accepted volume that has values, its companions, and its padding mask.

    The mask is written if the recipe asks.

    Values of shape (slices, rows, columns) become NIfTI (i, j, k) = (column, row, slice) without
    a copy. The slope is 1 and the intercept 0: what is stored is the value. sform code 1
    (scanner), qform the nearest rigid matrix, since ITK refuses a file that has none even where the
    shear is that of rounded positions; qform code 0 when the shear is more. A volume without patient
    geometry has sform and qform code 0 and only its pixel spacing; a spacing that is not known
    is written as 1 with the spatial unit "unknown". Descriptions stay empty: a file name or a
    patient's name has no place in a header.

    Source: NIfTI-1.1 (nifti1.h), methods 1 to 3 for the orientation.
    """
    products: list[Product] = []
    wants_mask = bool(outcome.provenance.get("recipe", {}).get("save_padding_mask"))
    for volume, verdict in zip(outcome.volumes, outcome.volume_verdicts, strict=True):
        if verdict not in (Verdict.ACCEPT, Verdict.ACCEPT_WARN) or volume.values is None:
            continue
        products.append(_write_one(volume, storable(volume.values), folder, Path(f"{volume.name}.nii.gz")))
        if wants_mask and volume.padding is not None:
            mask = volume.padding.view(np.uint8)
            products.append(_write_one(volume, mask, folder, _padding_name(volume), "padding_mask"))
        products += [_write_companion(volume, companion, folder) for companion in volume.companions]
    return products


def _padding_name(volume: Volume) -> Path:
    return Path(f"{volume.name}_padding.nii.gz")


def affine_ras(affine_lps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn a 4x4 matrix into LPS mm into one into RAS mm."""
    result: NDArray[np.float64] = LPS_TO_RAS @ affine_lps + 0.0  # no negative zeros
    return result


def storable(values: NDArray[Any]) -> NDArray[Any]:
    """Return the values in a type that NIfTI readers share, without losing any of them.

    int16 where it holds all values, else float32 where exact, else float64. Colour of shape
    (slices, rows, columns, 3) becomes RGB24.
    """
    if values.ndim == 4:
        contiguous = np.ascontiguousarray(values, dtype=np.uint8)
        return contiguous.view(_RGB)[..., 0]
    if values.dtype in (np.int16, np.uint8, np.float32, np.float64):
        return values
    if values.dtype.kind == "b":
        return values.view(np.uint8)
    if values.dtype.kind == "f":
        return values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64)
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    limits = np.iinfo(np.int16)
    if limits.min <= low and high <= limits.max:
        return values.astype(np.int16)
    return values.astype(np.float32 if max(-low, high) <= _EXACT_FLOAT32 else np.float64)


def header_of(volume: Volume, values: NDArray[Any]) -> Any:
    """Describe an array of shape (slices, rows, columns) that belongs to this volume, as a NIfTI-1 header."""
    make: Any = nib.Nifti1Header  # nibabel has no types
    header = make()
    header.set_data_dtype(values.dtype)
    header.set_data_shape(values.shape[::-1])
    header["descrip"] = b""
    header["cal_min"] = header["cal_max"] = 0
    header["magic"] = b"n+1"
    header["vox_offset"] = 352
    header.set_slope_inter(1, 0)
    if volume.affine is None:
        known = [spacing for spacing in volume.spacing_mm[:2] if spacing is not None]
        header.set_zooms([spacing or 1.0 for spacing in volume.spacing_mm])
        header.set_xyzt_units("mm" if len(known) == 2 else "unknown")
        header.set_sform(None, _UNKNOWN)
        header.set_qform(None, _UNKNOWN)
        return header
    matrix = affine_ras(volume.affine)
    header.set_zooms(np.linalg.norm(matrix[:3, :3], axis=0))
    header.set_xyzt_units("mm")
    header.set_sform(matrix, _SCANNER)
    if _is_nearly_rigid(matrix):
        header.set_qform(matrix, _SCANNER)
    else:
        header["qform_code"] = _UNKNOWN
    return header


def _is_nearly_rigid(matrix: NDArray[np.float64]) -> bool:
    axes = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() < _SHEAR)


def _write_one(
    volume: Volume, values: NDArray[Any], folder: Path, name: Path, kind: str = "nifti"
) -> Product:
    header = header_of(volume, values)
    checksum, size = _gzip(folder / name, header.binaryblock + b"\0\0\0\0", values)
    return Product(kind, name, volume.index, sha256=checksum, size_bytes=size)


def _write_companion(volume: Volume, companion: Companion, folder: Path) -> Product:
    """Write an array on the grid of the volume.

    Raises:
        VolumeError: a step that ran later has changed the grid.
    """
    if companion.values is None or volume.values is None or companion.values.shape != volume.values.shape:
        raise VolumeError(f"{companion.name} of volume {volume.name} is not on its grid any more")
    name = Path(f"{volume.name}_{companion.name}.nii.gz")
    return _write_one(volume, storable(companion.values), folder, name, "companion")


def _gzip(path: Path, head: bytes, values: NDArray[Any]) -> tuple[str, int]:
    """Stream header and values, a few slices at a time, through gzip; return SHA-256 and size of the file."""
    compressor = isal_zlib.compressobj(GZIP_LEVEL, isal_zlib.DEFLATED, _GZIP_WRAPPER)
    checksum = hashlib.sha256()
    size = 0
    slices_per_chunk = max(1, _CHUNK_BYTES // max(1, values[:1].nbytes))
    with path.open("wb") as file:
        for piece in _pieces(compressor, head, values, slices_per_chunk):
            checksum.update(piece)
            size += file.write(piece)
    return checksum.hexdigest(), size


def _pieces(compressor: Any, head: bytes, values: NDArray[Any], slices_per_chunk: int) -> Any:
    yield compressor.compress(head)
    little_endian = values.dtype.newbyteorder("<")
    for first in range(0, len(values), slices_per_chunk):
        chunk = np.ascontiguousarray(values[first : first + slices_per_chunk], dtype=little_endian)
        yield compressor.compress(chunk.view(np.uint8).reshape(-1).data)
    yield compressor.flush()
