"""Heads that were scanned so finely that the face can be rebuilt and recognised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.api import needs_values
from handlers.model import Finding, Series, Severity, Volume
from handlers.tables import table
from handlers.triage import header
from handlers.triage.targets import measured, volume_finding
from handlers.triage.words import first

TEXTS = ("BodyPartExamined", "SeriesDescription", "ProtocolName", "StudyDescription")
HALF_NOSE_MM = 6.0  # to either side of the middle, in which its tip is looked for


@needs_values
def recognisable_face(series: Series) -> list[Finding]:
    """Find head CT and MR of 2 mm and finer that show the skin of the front (DEI-FACE-001).

    RecognizableVisualFeatures YES is believed; NO is believed when no nose shows. Without the
    attribute, skin with air in front of it is enough: a face cut off by the field of view has none. Where no
    text names the part of the body, a nose tells a head. The node removes no face.
    Source: PS3.3 C.7.6.1 (0028,0302).
    """
    found = []
    limits = table("privacy")["face"]
    for volume in measured(series, "CT", "MR"):
        if volume.geometry is None or max(volume.geometry.spacing_mm) > limits["max_spacing_mm"]:
            continue
        is_named = any(first(header.text(volume.frames[0], keyword), limits["head"]) for keyword in TEXTS)
        if not is_named and header.text(volume.frames[0], "BodyPartExamined"):
            continue
        stated = header.text(volume.frames[0], "RecognizableVisualFeatures").upper()
        surface = _surface(volume, limits)
        needs_nose = stated == "NO" or not is_named
        if not (stated == "YES" and is_named) and not _shows_face(surface, limits, needs_nose=needs_nose):
            continue
        evidence = {
            "spacing_mm": list(volume.geometry.spacing_mm),
            "RecognizableVisualFeatures": stated,
            **(surface or {}),
            "table_version": table("privacy")["version"],
        }
        message = "a head at this resolution, with the skin of its front: the face may be recognised"
        found.append(volume_finding(volume, "DEI-FACE-001", Severity.WARN, message, **evidence))
    return found


def _shows_face(surface: Mapping[str, float] | None, limits: Mapping[str, Any], *, needs_nose: bool) -> bool:
    if surface is None:
        return False
    width, height = limits["surface_mm"]
    if surface["surface_width_mm"] < width or surface["surface_height_mm"] < height:
        return False
    return not needs_nose or surface["nose_height_mm"] >= limits["nose_height_mm"]


def _surface(volume: Volume, limits: Mapping[str, Any]) -> dict[str, float] | None:
    """Measure the skin at the front of the head: its extent, and over what height a nose stands out.

    Returns None when the planes are so oblique that front and top are not those of the array, or empty.
    """
    standing = _standing(volume, limits)
    if standing is None:
        return None
    head, (height_mm, depth_mm, width_mm) = standing
    head = head[:, :-1] & head[:, 1:]  # a single bright voxel in the air is noise
    if not head.any():
        return None
    first_skin = head.argmax(axis=1)  # (height, width): index from the front
    depths = np.flatnonzero(head.any(axis=(0, 2)))
    middle = (depths[0] + depths[-1]) / 2
    is_skin = head.any(axis=1) & (first_skin > 0) & (first_skin < middle)
    widths_mm = is_skin.sum(axis=1) * width_mm
    is_broad = widths_mm >= limits["surface_mm"][0]
    depth = np.where(is_skin, first_skin * depth_mm, np.inf)
    nose = _nose(depth, round(float(np.argwhere(head)[:, 2].mean())), width_mm, limits)
    is_head_wide = head.any(axis=1).sum(axis=1) * width_mm >= limits["head_width_mm"]
    return {
        "surface_width_mm": round(float(widths_mm.max()), 1),
        "surface_height_mm": round(_longest_run(is_broad) * height_mm, 1),
        "nose_height_mm": round(_longest_run(nose & is_head_wide) * height_mm, 1),
    }


def _nose(
    depth: NDArray[np.float64], middle: int, width_mm: float, limits: Mapping[str, Any]
) -> NDArray[np.bool_]:
    """Say for each height whether the middle stands out against both sides."""
    half = max(1, round(HALF_NOSE_MM / width_mm))
    aside = round(limits["nose_side_mm"] / width_mm)
    if middle - aside < 0 or middle + aside >= depth.shape[1]:
        return np.zeros(len(depth), np.bool_)
    tip = depth[:, middle - half : middle + half + 1].min(axis=1)
    sides = np.minimum(depth[:, middle - aside], depth[:, middle + aside])
    is_seen = np.isfinite(tip) & np.isfinite(sides)
    with np.errstate(invalid="ignore"):
        stands_out: NDArray[np.bool_] = is_seen & (sides - tip >= limits["nose_mm"])
    return stands_out


def _standing(
    volume: Volume, limits: Mapping[str, Any]
) -> tuple[NDArray[np.bool_], tuple[float, float, float]] | None:
    """Return the head as (from top to bottom, from front to back, from right to left) and the steps in mm."""
    geometry, values = volume.geometry, volume.values
    if geometry is None or values is None or values.ndim != 3:
        return None
    axes = np.array([geometry.normal, geometry.column_cosine, geometry.row_cosine])  # of the array, in LPS
    patient = [int(np.abs(axis).argmax()) for axis in axes]
    if sorted(patient) != [0, 1, 2]:
        return None
    spacing = geometry.spacing_mm[::-1]
    thin = tuple(slice(None, None, max(1, int(limits["grid_mm"] / step))) for step in spacing)
    sample = values[thin]
    if volume.padding is not None:
        sample = np.where(volume.padding[thin], sample.min(), sample)
    head = sample > _skin_level(volume, sample, limits)
    order = [patient.index(axis) for axis in (2, 1, 0)]
    flips = []
    for axis, towards in zip(order, (-1, 1, 1), strict=True):  # inferior, posterior, left
        flips.append(slice(None, None, 1 if axes[axis][patient[axis]] * towards > 0 else -1))
    steps = [spacing[axis] * thin[axis].step for axis in order]
    return head.transpose(order)[tuple(flips)], (steps[0], steps[1], steps[2])


def _skin_level(volume: Volume, sample: NDArray[Any], limits: Mapping[str, Any]) -> float:
    if volume.modality == "CT":
        return float(limits["air_hu"])
    return float(limits["air_mr"] * np.percentile(sample, 99))


def _longest_run(flags: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int(max(edges[1::2] - edges[::2], default=0))
