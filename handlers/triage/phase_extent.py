"""Whether the phases of one scan cover the same slices: sister volumes compared, holes counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

from handlers.geometry import DUPLICATE_MM
from handlers.model import Volume
from handlers.tables import table
from handlers.triage import header


@dataclass(frozen=True, slots=True)
class Extent:
    """Positions of a volume, where it begins and ends along its normal in mm, and slices missing inside."""

    slices: int
    start_mm: float
    end_mm: float
    spacing_mm: float
    missing: int


def extent(volume: Volume) -> Extent | None:
    """Return what a volume covers; None without geometry."""
    geometry = volume.geometry
    if geometry is None:
        return None
    start = sum(a * b for a, b in zip(geometry.origin, geometry.normal, strict=True))
    return Extent(
        1 + sum(gap >= DUPLICATE_MM for gap in geometry.gaps_mm),
        start,
        start + sum(geometry.gaps_mm),
        geometry.spacing_mm[2],
        sum(count for _, count in geometry.missing),
    )


def incomplete(volumes: Iterable[Volume]) -> dict[str, str]:
    """Return why a volume is not complete, by its name: holes, or fewer slices than its sisters.

    Sisters are volumes of one reconstruction; volumes of other slices or kernels are not compared.
    """
    limits = table("gating")["phases"]
    found = {}
    for sisters in _reconstructions(volumes):
        most = max(own.slices for own in sisters.values())
        for name, own in sisters.items():
            if own.missing:
                found[name] = f"{own.missing} slices are missing"
            elif own.slices < limits["min_slices"]:
                found[name] = f"only {own.slices} slices"
            elif own.slices < most - limits["slices_tolerance"]:
                found[name] = f"{own.slices} of {most} slices"
    return found


def unequal(volumes: Iterable[Volume]) -> list[dict[str, int]]:
    """Return the slices of each volume, by name, for each reconstruction whose volumes differ."""
    tolerance = table("gating")["phases"]["ends_tolerance"]
    found = []
    for sisters in _reconstructions(volumes):
        extents = list(sisters.values())
        limit = tolerance * extents[0].spacing_mm
        is_moved = any(
            max(ends) - min(ends) > limit
            for ends in zip(*((e.start_mm, e.end_mm) for e in extents), strict=True)
        )
        if is_moved or len({each.slices for each in extents}) > 1 or any(each.missing for each in extents):
            found.append({name: each.slices for name, each in sisters.items()})
    return found


def _reconstructions(volumes: Iterable[Volume]) -> Iterable[Mapping[str, Extent]]:
    groups: dict[Hashable, dict[str, Extent]] = defaultdict(dict)
    for volume in volumes:
        own = extent(volume)
        if own is not None:
            groups[_reconstruction(volume)][volume.name] = own
    return groups.values()


def _reconstruction(volume: Volume) -> Hashable:
    """Return what is equal in the phases of one scan."""
    frame, geometry = volume.frames[0], volume.geometry
    normal = () if geometry is None else tuple(round(each, 2) for each in geometry.normal)
    texts = ("ConvolutionKernel", "PixelSpacing", "ImageType")
    return (
        normal,
        header.number(frame, "SliceThickness"),
        header.number(frame, "Rows"),
        *(header.texts(frame, keyword) for keyword in texts),
    )
