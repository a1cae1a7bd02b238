"""Volumes put together by hand from data sets: frames, geometry and order from their own attributes.

What `handlers.frames`, `handlers.geometry` and `handlers.volumes` would make, in the plainest way, so
that the tests of a step depend on that step alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset

from data import file_bytes
from handlers.model import Frame, Geometry, Instance, Volume

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def instance(path: Path) -> Instance:
    """Return one file as an instance; its header ends where the pixels begin."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = pydicom.dcmread(path, force=True, defer_size=64)
        header = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        return Instance(
            str(header.get("SOPInstanceUID", path.name)),
            str(header.get("SOPClassUID", "")),
            str(getattr(whole, "file_meta", Dataset()).get("TransferSyntaxUID", "")),
            path,
            header,
            path.stat().st_size,
            next((keyword for keyword in PIXELS if keyword in whole), ""),
        )


def volume_of(paths: Iterable[Path], *, is_placed: bool = True) -> Volume:
    """Return all frames of these files as one volume, classic frames sorted along their normal."""
    frames = []
    for path in paths:
        each = instance(path)
        numbers = range(1, int(each.header.get("NumberOfFrames", 1) or 1) + 1)
        frames += [Frame(each, number, functional(each.header, number)) for number in numbers]
    modality = str(frames[0].instance.header.get("Modality", ""))
    if not is_placed or value(frames[0], "ImagePositionPatient") is None:
        return Volume(0, tuple(frames), modality)
    ordered, geometry = measure(frames)
    return Volume(0, ordered, modality, geometry=geometry)


def built(datasets: Iterable[FileDataset], folder: Path, **options: Any) -> Volume:
    """Write data sets to files and return them as one volume."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, dataset in enumerate(datasets):
        paths.append(folder / f"{number:04d}.dcm")
        paths[-1].write_bytes(file_bytes(dataset))
    return volume_of(paths, **options)


def functional(header: Dataset, number: int) -> dict[str, Any]:
    """Flatten the functional groups of one frame: a macro of the frame wins over the shared one."""
    result: dict[str, Any] = {}
    groups = (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", number - 1))
    for keyword, index in groups:
        if keyword in header and len(header[keyword].value) > index:
            for macro in header[keyword].value[index]:
                if macro.VR == "SQ" and macro.value:
                    result |= {element.keyword: element.value for element in macro.value[0]}
    return result


def value(frame: Frame, keyword: str) -> Any:
    return frame.functional.get(keyword, frame.instance.header.get(keyword))


def measure(frames: list[Frame]) -> tuple[tuple[Frame, ...], Geometry]:
    """Measure what the stack is from positions alone; missing slices are gaps of whole multiples of the median."""
    row, column = np.asarray(value(frames[0], "ImageOrientationPatient"), float).reshape(2, 3)
    normal = np.cross(row, column)
    ordered = sorted(
        frames, key=lambda frame: float(np.asarray(value(frame, "ImagePositionPatient"), float) @ normal)
    )
    positions = np.array([value(frame, "ImagePositionPatient") for frame in ordered], float)
    gaps = np.diff(positions @ normal)
    step = (positions[-1] - positions[0]) / max(len(ordered) - 1, 1)
    median = float(np.median(gaps)) if len(gaps) else 0.0
    counts = np.rint(gaps / median) if median else np.ones(len(gaps))
    is_multiple = np.all(np.abs(gaps - counts * median) < 0.05 * max(median, 1e-9)) if len(gaps) else True
    missing = tuple((i, int(n) - 1) for i, n in enumerate(counts) if n > 1) if is_multiple else ()
    if not step.any():  # one position: the step has no length of its own
        step = normal
    across, down = np.hypot(step @ row, step @ column), abs(step @ normal)
    spacing = [float(part) for part in value(ordered[0], "PixelSpacing")]
    geometry = Geometry(
        origin=triple(positions[0]),
        row_cosine=triple(row),
        column_cosine=triple(column),
        normal=triple(normal),
        slice_step=triple(step),
        spacing_mm=(spacing[1], spacing[0], float(down)),
        gaps_mm=tuple(float(gap) for gap in gaps),
        shear_deg=float(np.degrees(np.arctan2(across, down))) if len(gaps) else 0.0,
        residual_mm=0.0,
        orthonormality_error=0.0,
        orientation_spread_deg=0.0,
        missing=missing,
        duplicates=tuple((i, i + 1) for i, gap in enumerate(gaps) if gap < 1e-3),
        is_uniform=bool(not len(gaps) or np.ptp(gaps) <= 0.02),
        orientation="",
        slice_spacing_source="positions" if len(gaps) and gaps.any() else "unknown",
    )
    return tuple(ordered), geometry


def triple(values: Any) -> tuple[float, float, float]:
    x, y, z = (float(part) for part in values)
    return (x, y, z)
