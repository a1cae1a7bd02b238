"""Two makings of one output file: the same, the same but for software versions, or what differs, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

NAMED = 10  # differences that are listed one by one
# Where the versions of the software stand in report.json and in sidecars.
VERSION_KEYS = frozenset(
    {
        ("provenance", "software"),
        ("provenance", "versions"),
        ("provenance", "pipeline_version"),
        ("node", "versions"),
        ("ConversionSoftwareVersion",),
    }
)
DIGEST_KEYS = frozenset({"sha256", "size_bytes"})  # of other files: those are compared by themselves
_MISSING = object()


def differences(first: Path, second: Path) -> list[str]:
    """Say what differs between two files of one kind; empty when nothing does but software versions.

    JSON is compared key by key, NIfTI by shape, type, affine and voxels; anything else by its bytes.

    Raises:
        OSError: a file cannot be read.
    """
    if first.read_bytes() == second.read_bytes():
        return []
    try:
        if first.suffix == ".json":
            return _some(list(_json(_loaded(first), _loaded(second), ())))
        if first.name.endswith(".nii.gz"):
            return _nifti(first, second)
    except (ValueError, nib.filebasedimages.ImageFileError, EOFError, OSError) as error:
        return [f"one of the two cannot be read: {error}"]
    return [f"other bytes: {first.stat().st_size} and {second.stat().st_size}"]


def _loaded(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _some(found: list[str]) -> list[str]:
    rest = len(found) - NAMED
    return found[:NAMED] + ([f"and {rest} more"] if rest > 0 else [])


def _json(first: Any, second: Any, path: tuple[str, ...]) -> Iterator[str]:
    if path in VERSION_KEYS or (path[:1] == ("products",) and path[-1] in DIGEST_KEYS):
        return
    if isinstance(first, dict) and isinstance(second, dict):
        for key in sorted(first.keys() | second.keys()):
            yield from _json(first.get(key, _MISSING), second.get(key, _MISSING), (*path, key))
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            yield from _json(one, other, (*path, str(index)))
    elif first != second or type(first) is not type(second):
        yield f"{'.'.join(path)}: {_short(first)} -> {_short(second)}"


def _short(value: Any) -> str:
    if value is _MISSING:
        return "absent"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _nifti(first: Path, second: Path) -> list[str]:
    """Compare two NIfTI files; i, j, k of a voxel are (column, row, slice)."""
    load: Any = nib.load  # nibabel has no types
    one, other = load(first), load(second)
    found = []
    if one.shape != other.shape:
        found.append(f"shape {one.shape} -> {other.shape}")
    if one.get_data_dtype() != other.get_data_dtype():
        found.append(f"type {one.get_data_dtype()} -> {other.get_data_dtype()}")
    shift = np.abs(one.affine - other.affine).max()
    if shift > 0:
        found.append(f"affine differs by up to {shift:.3g} mm")
    if one.shape == other.shape:
        found += _voxels(np.asanyarray(one.dataobj), np.asanyarray(other.dataobj))
    return found or ["the same voxels and affine in other bytes (header or compression)"]


def _voxels(one: Any, other: Any) -> list[str]:
    differ = one != other
    count = int(np.count_nonzero(differ))
    if count == 0:
        return []
    where = tuple(int(index[0]) for index in np.nonzero(differ))
    words = f"{count} of {differ.size} voxels differ, first at {where}: {one[where]} -> {other[where]}"
    if one.dtype.names is None and other.dtype.names is None:
        largest = np.abs(one.astype(np.float64) - other.astype(np.float64)).max()
        words += f", by up to {largest:.6g}"
    return [words]
