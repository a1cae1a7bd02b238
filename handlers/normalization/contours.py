"""Contours of an RT Structure Set as masks on the grid of a volume: inside is where a voxel's centre lies.

Contours lie in parallel planes. Each stands for the slab halfway to the planes beside it, so
nothing is interpolated between them, and a plane that was not drawn stays empty.

Source: PS3.3 C.8.8.5 (Structure Set), C.8.8.6 (ROI Contour).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from handlers import attributes
from handlers.model import Instance

CLOSED = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
SAME_PLANE_MM = 0.01  # contours nearer than this along the normal lie in one plane
PARALLEL = 0.999  # cosine between normals of contours of one structure
GAP = 1.5  # times the usual distance between planes; beyond, planes were left out

Points = NDArray[np.float64]


def frame_of_reference(instance: Instance) -> str:
    """Return the one frame of reference of all structures, "" when there are several or none."""
    rois = attributes.items(instance, "StructureSetROISequence")
    found = {attributes.text(roi, "ReferencedFrameOfReferenceUID") or "" for roi in rois}
    return found.pop() if len(found) == 1 else ""


def referenced_series(instance: Instance) -> set[str]:
    """Return the series that the structures were drawn on."""
    return {
        attributes.text(series, "SeriesInstanceUID") or ""
        for frame in attributes.items(instance, "ReferencedFrameOfReferenceSequence")
        for study in attributes.items(frame, "RTReferencedStudySequence")
        for series in attributes.items(study, "RTReferencedSeriesSequence")
    }


def structures(instance: Instance) -> list[dict[str, Any]]:
    """Number the structures from 1 and say what each is, by number and type; names are free text."""
    types = {
        attributes.integer(item, "ReferencedROINumber"): attributes.text(item, "RTROIInterpretedType")
        for item in attributes.items(instance, "RTROIObservationsSequence")
    }
    numbers = [
        attributes.integer(roi, "ROINumber") for roi in attributes.items(instance, "StructureSetROISequence")
    ]
    return [
        {"number": index, "ROINumber": number, "RTROIInterpretedType": types.get(number)}
        for index, number in enumerate(sorted(n for n in numbers if n is not None), 1)
    ]


def masks(
    instance: Instance, affine: NDArray[np.float64], shape: tuple[int, int, int]
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield the number (as `structures` has it) and the mask (slices, rows, columns) of each structure.

    `affine` maps (column, row, slice) to LPS mm. Contours in one plane exclude one another
    where they overlap, so that one inside another is a hole.

    Raises:
        ValueError: the contours of a structure do not lie in parallel planes, or are damaged.
    """
    numbers = {each["ROINumber"]: each["number"] for each in structures(instance)}
    for item in attributes.items(instance, "ROIContourSequence"):
        number = numbers.get(attributes.integer(item, "ReferencedROINumber"))
        contours = [_points(each) for each in attributes.items(item, "ContourSequence") if _is_closed(each)]
        if number is not None and contours:
            yield number, _mask(contours, affine, shape)


def _is_closed(contour: Dataset) -> bool:
    return attributes.text(contour, "ContourGeometricType") in CLOSED


def _points(contour: Dataset) -> Points:
    values = attributes.numbers(contour, "ContourData") or ()
    if len(values) < 9 or len(values) % 3:
        raise ValueError("a closed contour has fewer than three points")
    return np.asarray(values, np.float64).reshape(-1, 3)


def _mask(
    contours: Sequence[Points], affine: NDArray[np.float64], shape: tuple[int, int, int]
) -> NDArray[np.bool_]:
    normals = [_normal(points) for points in contours]
    normal = normals[int(np.argmax([np.linalg.norm(each) for each in normals]))]
    if not np.linalg.norm(normal):
        raise ValueError("the contours of a structure enclose nothing")
    normal = normal / np.linalg.norm(normal)
    for each in normals:
        if np.linalg.norm(each) and abs(each @ normal) < PARALLEL * np.linalg.norm(each):
            raise ValueError("the contours of a structure do not lie in parallel planes")
    across = np.argmin(np.abs(normal))
    first = np.cross(normal, np.eye(3)[across])
    first /= np.linalg.norm(first)
    axes = np.stack([first, np.cross(normal, first), normal])  # rows: two axes in the plane, the normal
    placed = [points @ axes.T for points in contours]
    planes = _distinct([float(points[:, 2].mean()) for points in placed])
    fallback = float(np.abs(normal @ affine[:3, :3]).max())  # one plane alone: as thick as a slice
    result = np.zeros(shape, np.bool_)
    for points in placed:
        low, high = _slab(float(points[:, 2].mean()), planes, fallback)
        _toggle(result, points[:, :2], (low, high), axes @ affine[:3, :3], axes @ affine[:3, 3])
    return result


def _normal(points: Points) -> Points:
    """Return twice the area of a polygon as a vector along its normal (Newell's method)."""
    moved = points - points[0]
    normal: Points = np.cross(moved, np.roll(moved, -1, axis=0)).sum(axis=0)
    return normal


def _distinct(positions: Sequence[float]) -> Points:
    ordered = np.sort(positions)
    kept: Points = ordered[np.concatenate([[True], np.diff(ordered) > SAME_PLANE_MM])]
    return kept


def _slab(position: float, planes: Points, fallback: float) -> tuple[float, float]:
    """Return the ends of what a plane stands for: halfway to its neighbours, or half the usual distance."""
    usual = float(np.median(np.diff(planes))) if len(planes) > 1 else fallback
    at = int(np.argmin(np.abs(planes - position)))
    low, high = planes[at] - usual / 2, planes[at] + usual / 2
    if at and planes[at] - planes[at - 1] <= GAP * usual:
        low = (planes[at - 1] + planes[at]) / 2
    if at + 1 < len(planes) and planes[at + 1] - planes[at] <= GAP * usual:
        high = (planes[at] + planes[at + 1]) / 2
    return float(low), float(high)


def _toggle(
    result: NDArray[np.bool_], polygon: Points, slab: tuple[float, float], matrix: Points, offset: Points
) -> None:
    """Turn the voxels with their centre in polygon and slab; `matrix`, `offset`: index -> plane axes."""
    (left, top), (right, bottom) = polygon.min(axis=0), polygon.max(axis=0)
    corners = np.array([[u, v, w] for u in (left, right) for v in (top, bottom) for w in slab])
    at = np.linalg.solve(matrix, (corners - offset).T)
    size = np.array(result.shape[::-1])
    low = np.clip(np.floor(at.min(axis=1)).astype(int), 0, size)
    high = np.clip(np.ceil(at.max(axis=1)).astype(int) + 1, 0, size)
    if (high <= low).any():
        return
    columns, rows, slices = (np.arange(a, b) for a, b in zip(low, high, strict=True))
    k, j, i = np.meshgrid(slices, rows, columns, indexing="ij")
    u, v, w = np.tensordot(matrix, np.stack([i, j, k]), axes=1) + offset[:, None, None, None]
    inside = _is_inside(u, v, polygon) & (w >= slab[0]) & (w < slab[1])
    block = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))
    result[block] ^= inside


def _is_inside(u: Points, v: Points, polygon: Points) -> NDArray[np.bool_]:
    """Say which points lie inside a polygon: a ray from them crosses it an odd number of times."""
    inside = np.zeros(u.shape, np.bool_)
    for (u1, v1), (u2, v2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if v1 != v2:
            crosses = (v1 > v) != (v2 > v)
            inside ^= crosses & (u < (u2 - u1) * (v - v1) / (v2 - v1) + u1)
    return inside
