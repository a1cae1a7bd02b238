"""Segmentations on the grid of a volume: nearest neighbour, in patient space, never interpolated.

A label is a name, not a quantity: between 1 and 3 there is no 2. So a voxel takes the label
of the segmentation's voxel that its centre lies in, by the two affines; how the volume came
to its grid does not matter.

Source: PS3.3 A.51, C.8.20 (Segmentation).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.model import Companion, Finding, Instance, Scope, Severity, Volume
from handlers.normalization import contours
from handlers.normalization.decoded import affine_of, values_of
from handlers.normalization.memory import check_result

HALF = 0.5  # of a voxel; and of a fractional segment: from here a voxel belongs to it
NUDGE_MM = 1e-4  # to left, back and head: a centre on the border of two voxels is no matter of luck
STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
# What a damaged segmentation makes its reader raise.
UNREADABLE = (
    ValueError, RuntimeError, AttributeError, KeyError, NotImplementedError, MalformedAttributeError,
)  # fmt: skip
OWN_CODES = ("SCT", "SRT", "DCM", "FMA")  # schemes whose meanings are not free text of a site


@dataclass(frozen=True, slots=True)
class PlaceLabels:
    """Add a companion "labels<n>" for each SEG or RTSTRUCT that shares the volume's frame of reference.

    Segments keep their numbers; where one overlaps those before it, it has a companion of its own,
    "labels<n>_segment<k>", since a voxel has one number only.
    """

    segmentations: tuple[Instance, ...]

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with the labels and NRM-LBL-001; GEO-013 or NRM-LBL-002 where one has none."""
        if volume.values is None or volume.affine is None or not volume.frames:
            return volume
        own = _text(volume.frames[0], "FrameOfReferenceUID")
        ordered = sorted(self.segmentations, key=lambda instance: instance.sop_instance_uid)
        for number, instance in enumerate(ordered, 1):
            other = _frame_of_reference(instance)
            if own and own == other:
                volume = _placed(volume, instance, f"labels{number}")
            elif _refers_to(instance, volume):
                facts = {"SOPInstanceUID": instance.sop_instance_uid, "FrameOfReferenceUID": [own, other]}
                message = "a segmentation of this series has another frame of reference; it was left out"
                volume = _told(volume, "GEO-013", Severity.WARN, message, facts)
        return volume


def _placed(volume: Volume, instance: Instance, name: str) -> Volume:
    """Add the companions of one segmentation or structure set."""
    facts: dict[str, Any] = {"SOPInstanceUID": instance.sop_instance_uid}
    try:
        segments, arrays = _arrays(volume, instance)
    except UNREADABLE as error:
        message = f"a segmentation could not be read as a volume: {str(error)[:200]}"
        return _told(volume, "NRM-LBL-002", Severity.WARN, message, facts)
    companions = []
    for suffix, values in arrays:
        counts = dict(zip(*(each.tolist() for each in np.unique(values, return_counts=True)), strict=True))
        present = [each for each in segments if each["number"] in counts]
        described = [{**each, "voxels": counts[each["number"]]} for each in present]
        told = {**facts, "interpolator": "nearest", "segments": described}
        companions.append(Companion(f"{name}{suffix}", values, "1", told))
    facts |= {"files": [each.name for each in companions], "segments": len(segments)}
    volume = replace(volume, companions=(*volume.companions, *companions))
    message = f"a segmentation of {len(segments)} segments was put onto the grid, nearest neighbour"
    return _told(volume, "NRM-LBL-001", Severity.INFO, message, facts)


def _arrays(
    volume: Volume, instance: Instance
) -> tuple[list[dict[str, Any]], list[tuple[str, NDArray[Any]]]]:
    """Return what the segments are, and (suffix of the name, numbers on the grid of the volume)."""
    if instance.sop_class_uid == STRUCTURE_SET:
        slices, rows, columns = (int(n) for n in values_of(volume).shape[:3])
        masks = contours.masks(instance, affine_of(volume), (slices, rows, columns))
        label_map, apart = _united(masks)
        return contours.structures(instance), _named(_small(label_map), apart)
    label_map, apart, affine = _label_map(instance)
    return _segments(instance), [
        (suffix, _sampled(volume, labels, affine)) for suffix, labels in _named(label_map, apart)
    ]


def _named(
    label_map: NDArray[Any], apart: list[tuple[int, NDArray[np.uint16]]]
) -> list[tuple[str, NDArray[Any]]]:
    return [("", label_map), *((f"_segment{number}", mask) for number, mask in apart)]


def _united(
    masks: Iterable[tuple[int, NDArray[np.bool_]]],
) -> tuple[NDArray[np.uint16], list[tuple[int, NDArray[np.uint16]]]]:
    """Put masks into one array of their numbers; those that overlap the ones before stay apart."""
    label_map = None
    apart = []
    for number, mask in masks:
        if label_map is None:
            label_map = np.zeros(mask.shape, np.uint16)
        if label_map[mask].any():
            apart.append((number, mask.astype(np.uint16) * np.uint16(number)))
        else:
            label_map[mask] = number
    if label_map is None:
        raise ValueError("it has no segments")
    return label_map, apart


def _small(labels: NDArray[np.uint16]) -> NDArray[Any]:
    return labels.astype(np.uint8) if labels.max(initial=0) <= np.iinfo(np.uint8).max else labels


def _label_map(
    instance: Instance,
) -> tuple[NDArray[np.uint16], list[tuple[int, NDArray[np.uint16]]], NDArray[np.float64]]:
    """Read a segmentation: numbers (slices, rows, columns), segments that overlap, affine of that array."""
    seg: Any = import_module("highdicom.seg")  # not needed for most volumes, and large

    read = seg.segread(instance.path)
    geometry = read.get_volume_geometry()
    if geometry is None:
        raise ValueError("its frames make no even stack")
    check_result(geometry.spatial_shape, name="a segmentation")
    label_map, apart = _united(
        (int(number), read.get_volume(segment_numbers=[number]).array[..., 0] >= HALF)
        for number in read.segment_numbers
    )
    return label_map, apart, np.asarray(geometry.affine, np.float64)


def _sampled(volume: Volume, labels: NDArray[np.uint16], affine: NDArray[np.float64]) -> NDArray[Any]:
    """Return for each voxel the label that its centre lies in, 0 outside."""
    # Index (column, row, slice) of the volume -> index (slice, row, column) of the labels.
    nudged = affine_of(volume).copy()
    nudged[:3, 3] += NUDGE_MM
    matrix = np.linalg.inv(affine) @ nudged
    shape = values_of(volume).shape[:3]
    rows, columns = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")
    across = matrix[:3, :2] @ np.stack([columns.ravel(), rows.ravel()])
    limits = np.asarray(labels.shape)[:, None]
    result = np.zeros(shape, np.uint16)
    for index in range(shape[0]):
        at = across + (matrix[:3, 2] * index + matrix[:3, 3])[:, None]
        nearest = np.floor(at + HALF).astype(np.intp)
        inside = ((nearest >= 0) & (nearest < limits)).all(axis=0)
        result[index].reshape(-1)[inside] = labels[tuple(nearest[:, inside])]
    return _small(result)


def _segments(instance: Instance) -> list[dict[str, Any]]:
    """Say what each segment is, by its code; its label is free text and stays where it is."""
    found = []
    for item in attributes.items(instance.header, "SegmentSequence"):
        entry: dict[str, Any] = {"number": attributes.integer(item, "SegmentNumber")}
        for code in attributes.items(item, "SegmentedPropertyTypeCodeSequence")[:1]:
            scheme = attributes.text(code, "CodingSchemeDesignator")
            entry |= {"code": attributes.text(code, "CodeValue"), "scheme": scheme}
            if scheme in OWN_CODES:
                entry["meaning"] = attributes.text(code, "CodeMeaning")
        found.append(entry)
    return found


def _frame_of_reference(instance: Instance) -> str:
    if instance.sop_class_uid != STRUCTURE_SET:
        return _text(instance, "FrameOfReferenceUID")
    try:
        return contours.frame_of_reference(instance)
    except MalformedAttributeError:
        return ""


def _refers_to(instance: Instance, volume: Volume) -> bool:
    """Say whether a segmentation names the series of the volume as its source."""
    own = _text(volume.frames[0], "SeriesInstanceUID")
    try:
        if instance.sop_class_uid == STRUCTURE_SET:
            return own in contours.referenced_series(instance)
        named = attributes.items(instance, "ReferencedSeriesSequence")
        return any(attributes.text(item, "SeriesInstanceUID") == own for item in named)
    except MalformedAttributeError:
        return False


def _text(source: Any, keyword: str) -> str:
    try:
        return attributes.text(source, keyword) or ""
    except MalformedAttributeError:
        return ""


def _told(volume: Volume, code: str, severity: Severity, message: str, facts: dict[str, Any]) -> Volume:
    finding = Finding(code, severity, message, Scope.VOLUME, volume.name, facts)
    return replace(volume, findings=(*volume.findings, finding))
