"""Where the scanner measured nothing: padding as declared, and undeclared padding of CT."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.model import AppliedStep, Finding, Frame, Scope, Severity, Volume
from handlers.normalization.decoded import is_colour
from handlers.normalization.pixel_layout import FLOAT_BITS, PixelLayout, pixel_layout
from handlers.tables import table

LIMITS = table("hounsfield")["padding"]
MAX_INTERIOR: float = LIMITS["max_interior"]
MIN_UNDECLARED: float = LIMITS["min_undeclared"]
NO_TISSUE_HU: float = table("hounsfield")["ends"]["below_air_hu"]
HOUNSFIELD = "[hnsf'U]"
PADDING = {
    "PixelData": ("PixelPaddingValue", "PixelPaddingRangeLimit"),
    "FloatPixelData": ("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit"),
    "DoubleFloatPixelData": ("DoubleFloatPixelPaddingValue", "DoubleFloatPixelPaddingRangeLimit"),
}


@dataclass(frozen=True, slots=True)
class _Declared:
    """Padding range of one instance in stored values; `raw` is what the header says where that differs."""

    low: float
    high: float
    raw: tuple[float, ...] = ()


def mark_declared_padding(volume: Volume) -> Volume:
    """Mark stored values within PixelPaddingValue and PixelPaddingRangeLimit, per instance.

    Nothing is marked when more than `MAX_INTERIOR` of the volume would be padding away from
    the borders (PAD-001): the value then also occurs in anatomy. Float pixel data that is not
    finite is always padding.

    Source: PS3.3 C.7.5.1.1.2.
    """
    if volume.values is None or is_colour(volume):
        return volume
    values = volume.values
    declared, findings = _declarations(volume)
    mask = np.zeros(values.shape, np.bool_)
    for index, frame in enumerate(volume.frames):
        span = declared.get(frame.instance.sop_instance_uid)
        if span is not None:
            mask[index] = _is_within(values[index], span)
    ranges = sorted({(span.low, span.high) for span in declared.values()})
    voxels, inside = int(np.count_nonzero(mask)), _interior(mask)
    if voxels == mask.size or inside > MAX_INTERIOR * mask.size:
        share = f"{inside / mask.size:.1%} of the voxels"
        message = f"declared padding also lies inside the image ({share}); it was not masked"
        evidence = {"stored_ranges": ranges, "voxels": voxels, "interior_voxels": inside}
        findings.append(_finding(volume, "PAD-001", message, evidence))
        mask[...] = False
    elif voxels:
        message = f"{voxels} voxels of declared padding ({voxels / mask.size:.1%}) are replaced by background"
        evidence = {"stored_ranges": ranges, "voxels": voxels}
        findings.append(_finding(volume, "PAD-004", message, evidence, Severity.INFO))
    if values.dtype.kind == "f":
        mask |= ~np.isfinite(values)
    voxels = int(np.count_nonzero(mask))
    steps = (
        [AppliedStep("padding", {"stored_ranges": ranges, "voxels": voxels})] if declared or voxels else []
    )
    return replace(
        volume,
        padding=mask if voxels else None,
        steps=(*volume.steps, *steps),
        findings=(*volume.findings, *findings),
    )


def mark_undeclared_padding(volume: Volume) -> Volume:
    """Mask a constant value of CT below any tissue that fills the borders but is not declared (PAD-003).

    Scanners fill the corners outside the reconstruction circle with -2000, -3024 and the
    like. Values in HU are expected; other units are left alone.
    """
    values = volume.values
    if values is None or volume.units != HOUNSFIELD or not values.size or values.min() >= NO_TISSUE_HU:
        return volume
    low = values[values < NO_TISSUE_HU]
    value, count = _most_frequent(low)
    mask = values == value
    at_borders = count - _interior(mask)
    if at_borders < MIN_UNDECLARED * values.size or count - at_borders > MAX_INTERIOR * values.size:
        return volume
    filled = values.copy()
    filled[mask] = volume.background
    padding = mask if volume.padding is None else volume.padding | mask
    evidence = {"value": float(value), "voxels": count, "share": round(count / values.size, 4)}
    share = f"{count / values.size:.1%} of the voxels"
    message = f"{share} hold {value:g} HU, which is no tissue and not declared as padding"
    return replace(
        volume,
        values=filled,
        padding=padding,
        steps=(*volume.steps, AppliedStep("undeclared_padding", evidence)),
        findings=(*volume.findings, _finding(volume, "PAD-003", message, evidence)),
    )


def _most_frequent(values: NDArray[Any]) -> tuple[float, int]:
    if values.dtype == np.int16:  # counting is many times faster than sorting
        counts = np.bincount(values.view(np.uint16), minlength=1 << 16)
        found = int(counts.argmax())
        return float(found - (1 << 16) if found >= 1 << 15 else found), int(counts.max())
    levels, counts = np.unique(values, return_counts=True)
    return float(levels[counts.argmax()]), int(counts.max())


def _is_within(stored: NDArray[Any], span: _Declared) -> NDArray[np.bool_]:
    # Whole bounds keep the comparison in whole numbers, several times faster.
    low, high = (span.low, span.high) if stored.dtype.kind == "f" else (int(span.low), int(span.high))
    return np.asarray(stored == low if low == high else (stored >= low) & (stored <= high), np.bool_)


def _declarations(volume: Volume) -> tuple[dict[str, _Declared], list[Finding]]:
    declared: dict[str, _Declared] = {}
    reinterpreted: dict[str, tuple[float, ...]] = {}
    unusable: list[str] = []
    for instance in volume.instances:
        uid = instance.sop_instance_uid
        try:
            span = _declaration(Frame(instance), pixel_layout(instance))
        except MalformedAttributeError:
            unusable.append(uid)
            continue
        if span is not None:
            declared[uid] = span
            if span.raw:
                reinterpreted[uid] = span.raw
    findings = []
    if reinterpreted:
        uid, raw = next(iter(reinterpreted.items()))
        span = declared[uid]
        evidence = {"declared": list(raw), "taken_as": [span.low, span.high], "instances": len(reinterpreted)}
        message = f"padding {list(raw)} cannot be stored as PixelRepresentation says; {span.low:g} was taken"
        findings.append(_finding(volume, "PAD-002", message, evidence))
    if unusable:
        evidence = {"SOPInstanceUID": unusable[:5], "instances": len(unusable)}
        message = f"the padding value of {len(unusable)} instances is no number; it was ignored"
        findings.append(_finding(volume, "PAD-002", message, evidence))
    return declared, findings


def _declaration(frame: Frame, layout: PixelLayout) -> _Declared | None:
    keywords = PADDING.get(frame.instance.pixel_keyword, PADDING["PixelData"])
    stated = [attributes.numbers(frame, keyword) or () for keyword in keywords]
    if not stated[0]:
        return None
    if any(len(values) > 1 for values in stated):
        raise MalformedAttributeError(f"{keywords[0]} has more than one value")
    raw = tuple(values[0] for values in stated if values)
    taken = (
        raw if frame.instance.pixel_keyword in FLOAT_BITS else tuple(_wrapped(value, layout) for value in raw)
    )
    return _Declared(min(taken), max(taken), raw if taken != raw else ())


def _wrapped(value: float, layout: PixelLayout) -> float:
    """Reinterpret a padding value that was written with the wrong sign: 63536 is -2000 in 16 bits."""
    low, high = layout.stored_range
    if low <= value <= high:
        return value
    wrapped = int(value) % (1 << layout.bits_stored)
    return float(wrapped - (1 << layout.bits_stored) if wrapped > high else wrapped)


def _interior(mask: NDArray[np.bool_]) -> int:
    """Count marked voxels that no chain of marked voxels of the same slice joins to its border."""
    total, previous, count = 0, None, 0
    for plane in mask:
        if previous is None or not np.array_equal(
            plane, previous
        ):  # a reconstruction circle repeats in every slice
            previous, count = plane, _interior_of_plane(plane)
        total += count
    return total


def _interior_of_plane(plane: NDArray[np.bool_]) -> int:
    seen = int(np.count_nonzero(plane)) - _seen_from_border(plane)
    return seen if seen <= MAX_INTERIOR * plane.size else _not_joined_to_border(plane)


def _seen_from_border(plane: NDArray[np.bool_]) -> int:
    """Count marked voxels that a straight ray from a border reaches through marked voxels alone."""
    rows, columns = plane.shape
    across, down = np.arange(columns), np.arange(rows)[:, None]
    full_row, full_column = plane.all(axis=1), plane.all(axis=0)
    left = np.where(full_row, columns, plane.argmin(axis=1))[:, None]
    right = (columns - np.where(full_row, columns, plane[:, ::-1].argmin(axis=1)))[:, None]
    top = np.where(full_column, rows, plane.argmin(axis=0))
    bottom = rows - np.where(full_column, rows, plane[::-1].argmin(axis=0))
    return int(np.count_nonzero((across < left) | (across >= right) | (down < top) | (down >= bottom)))


def _not_joined_to_border(plane: NDArray[np.bool_]) -> int:
    sitk: Any = import_module("SimpleITK")  # not needed for most volumes, and large

    labels = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(plane.astype(np.uint8))))
    borders = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return int(np.count_nonzero(plane & ~np.isin(labels, np.unique(borders[borders > 0]))))


def _finding(
    volume: Volume, code: str, message: str, evidence: dict[str, Any], severity: Severity = Severity.WARN
) -> Finding:
    return Finding(code, severity, message, Scope.VOLUME, volume.name, evidence)
