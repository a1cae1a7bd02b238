"""Ends that a volume lacks and its sisters have: other phases, echoes or time points of one scan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np

from handlers.model import Geometry, Volume
from handlers.tables import table
from handlers.triage import header


@dataclass(frozen=True, slots=True)
class Shortage:
    """Slices that a sister has before the first and behind the last slice of a volume."""

    before: int
    behind: int
    sister: str

    def __str__(self) -> str:
        """Say where slices may be missing."""
        ends = [f"{self.before} before the first slice"] * bool(self.before)
        ends += [f"{self.behind} behind the last one"] * bool(self.behind)
        return f"volume {self.sister} has {' and '.join(ends)}"


def shortages(volumes: Iterable[Volume]) -> dict[str, Shortage]:
    """Return by its name each volume that lacks a few slices of a sister at an end.

    Sisters lie on one grid: same planes, spacing and matrix, and slices at the same places. A volume that
    lacks many slices was planned shorter, and is none.
    """
    scans: dict[Hashable, list[tuple[Volume, Geometry]]] = defaultdict(list)
    for volume in volumes:
        if volume.geometry is not None:
            scans[_grid(volume, volume.geometry)].append((volume, volume.geometry))
    found = {}
    for sisters in scans.values():
        for volume, own in sisters:
            lacking = [
                shortage
                for sister, other in sisters
                if sister is not volume and (shortage := _shortage(own, other, sister.name)) is not None
            ]
            if lacking:
                found[volume.name] = max(lacking, key=lambda each: each.before + each.behind)
    return found


def _grid(volume: Volume, geometry: Geometry) -> Hashable:
    """Return what sisters have in common; positions are compared one by one."""
    frame = volume.frames[0]
    texts = ("FrameOfReferenceUID", "ConvolutionKernel", "SliceThickness", "Rows", "Columns")
    axes = (*geometry.row_cosine, *geometry.column_cosine, *geometry.spacing_mm[:2])
    return volume.modality, tuple(header.text(frame, each) for each in texts), tuple(np.round(axes, 3))


def _shortage(own: Geometry, other: Geometry, sister: str) -> Shortage | None:
    """Return what `other` has at the ends beyond `own`; None where they do not fit, or it is too much."""
    limits = table("geometry")["sisters"]
    step = other.spacing_mm[2]
    if abs(own.spacing_mm[2] / step - 1) > limits["spacing_relative"]:
        return None
    slices = 1 + round(sum(other.gaps_mm) / step)
    start, end = (np.subtract(place, other.origin) @ other.normal / step for place in _ends(own))
    beside = np.subtract(own.origin, other.origin) - start * np.asarray(other.slice_step)
    tolerance = limits["aligned"]
    if max(abs(start - round(start)), abs(end - round(end)), np.linalg.norm(beside) / step) > tolerance:
        return None
    before, behind = max(round(start), 0), max(slices - 1 - round(end), 0)
    if not 0 < before + behind <= limits["missing_share"] * slices:
        return None
    return Shortage(before, behind, sister)


def _ends(geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the first and of the last slice, LPS mm."""
    steps = sum(geometry.gaps_mm) / geometry.spacing_mm[2]
    return np.asarray(geometry.origin), np.add(geometry.origin, np.multiply(geometry.slice_step, steps))
