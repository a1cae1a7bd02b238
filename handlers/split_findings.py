"""What splitting a series found: SPL-001 to SPL-009."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.frame_groups import Group
from handlers.geometry import DUPLICATE_MM
from handlers.model import Finding, Frame, Geometry, Instance, Scope, Severity, Volume
from handlers.split_keys import CORE
from handlers.tables import table
from handlers.tiled import GRID, MOSAIC

LISTED = 50  # identifiers or values per finding
EXTENT_TOLERANCE: float = table("geometry")["split"]["extent_tolerance"]
RECONSTRUCTION = (
    *CORE,
    "ConvolutionKernel",
    "RescaleType",
    "SliceThickness",
)  # equal in the phases of one scan


def findings(
    volumes: Sequence[Volume],
    groups: Sequence[Group],
    residual: Sequence[Group],
    instances: Sequence[Instance],
) -> list[Finding]:
    """Return the findings about a split; `groups` belong to `volumes` one by one."""
    return [
        *_several(volumes),
        *_soft(groups),
        *_duplicates(volumes),
        *_residual(residual),
        *_mixed(groups),
        *_unequal(groups),
        *_tiled(volumes, groups),
        *_concatenated(instances),
    ]


def _several(volumes: Sequence[Volume]) -> list[Finding]:
    if len(volumes) < 2:
        return []
    keys = {name: _distinct(volume.split_key[name] for volume in volumes) for name in volumes[0].split_key}
    by = ", ".join(keys) or "instance"
    message = f"the series holds {len(volumes)} volumes, told apart by {by}"
    evidence = {"keys": keys, "frames": [len(volume.frames) for volume in volumes[:LISTED]]}
    return [Finding("SPL-001", Severity.INFO, message, evidence=evidence)]


def _soft(groups: Sequence[Group]) -> list[Finding]:
    counts: dict[str, int] = defaultdict(int)
    for group in groups:
        if group.soft_key:
            counts[group.soft_key] += 1
    return [
        Finding(
            "SPL-002",
            Severity.WARN,
            f"{count} volumes at the same positions were told apart by {name} alone",
            evidence={"key": name, "volumes": count},
        )
        for name, count in sorted(counts.items())
    ]


def _duplicates(volumes: Sequence[Volume]) -> list[Finding]:
    found = []
    for volume in volumes:
        if volume.geometry is None or not volume.geometry.duplicates:
            continue
        indices = sorted({index for pair in volume.geometry.duplicates for index in pair})
        message = f"{len(indices)} of {len(volume.frames)} frames share their position with another frame"
        uids = _distinct(volume.frames[index].instance.sop_instance_uid for index in indices)
        evidence = {"frames": len(indices), "SOPInstanceUID": uids}
        found.append(Finding("SPL-003", Severity.REVIEW, message, Scope.VOLUME, volume.name, evidence))
    return found


def _residual(groups: Sequence[Group]) -> list[Finding]:
    if not groups:
        return []
    frames = [frame for group in groups for frame in group.frames]
    message = f"{len(frames)} frames fit no volume and were left out"
    uids = _distinct(frame.instance.sop_instance_uid for frame in frames)
    return [Finding("SPL-004", Severity.WARN, message, evidence={"SOPInstanceUID": uids})]


def _mixed(groups: Sequence[Group]) -> list[Finding]:
    """Find several reconstructions in one series: kernels, thicknesses, orientations."""
    stacks = [group for group in groups if group.geometry is not None and not group.is_exempt]
    orientations = {group.keys.get("ImageOrientationPatient") for group in stacks}
    several = {
        "ConvolutionKernel": _distinct(_plain(group.keys.get("ConvolutionKernel")) for group in stacks),
        "SliceThickness": _distinct(_thickness(frame) for group in stacks for frame in group.frames),
        "ImageOrientationPatient": _distinct(map(_plain, sorted(orientations, key=str))),
    }
    mixed = {name: values for name, values in several.items() if len(values) > 1}
    if not mixed:
        return []
    message = f"one series mixes images of different {', '.join(mixed)}"
    return [Finding("SPL-005", Severity.WARN, message, evidence=mixed)]


def _unequal(groups: Sequence[Group]) -> list[Finding]:
    """Find phases of one scan that do not cover the same slices."""
    scans: dict[Hashable, list[Geometry]] = defaultdict(list)
    for group in groups:
        if group.geometry is not None and not group.is_exempt:
            scans[tuple(group.keys.get(name) for name in RECONSTRUCTION)].append(group.geometry)
    for phases in scans.values():
        counts = [1 + sum(gap >= DUPLICATE_MM for gap in phase.gaps_mm) for phase in phases]
        ends = [_ends(phase) for phase in phases]
        limit = EXTENT_TOLERANCE * phases[0].spacing_mm[2]
        is_moved = any(max(side) - min(side) > limit for side in zip(*ends, strict=True))
        if len(phases) > 1 and (len(set(counts)) > 1 or is_moved):
            message = f"{len(phases)} phases of one scan do not cover the same slices"
            return [Finding("SPL-006", Severity.WARN, message, evidence={"slices": counts[:LISTED]})]
    return []


def _ends(phase: Geometry) -> tuple[float, float]:
    start = sum(a * b for a, b in zip(phase.origin, phase.normal, strict=True))
    return start, start + sum(phase.gaps_mm)


def _tiled(volumes: Sequence[Volume], groups: Sequence[Group]) -> list[Finding]:
    found = []
    for code, kind in ((MOSAIC, "a Siemens mosaic"), (GRID, "a UIH grid")):
        sheets = [(v, g) for v, g in zip(volumes, groups, strict=True) if g.tiled == code]
        apart = [len(volume.frames) for volume, group in sheets if not group.kept_whole]
        if apart:
            message = f"{_counted(len(apart), 'image')} {kind}, taken apart into {_range(apart)} slices each"
            evidence = {"images": len(apart), "slices": sorted(set(apart)), "split": True}
            found.append(Finding(code, Severity.WARN, message, evidence=evidence))
        for volume, group in sheets:
            if group.kept_whole:
                images = len(group.frames)
                message = f"{_counted(images, 'image')} {kind} that was not taken apart: {group.kept_whole}"
                evidence = {"images": images, "split": False, "reason": group.kept_whole}
                held = Finding(code, Severity.REVIEW, message, Scope.VOLUME, volume.name, evidence)
                found.append(held)
    return found


def _counted(number: int, what: str) -> str:
    return f"1 {what} is" if number == 1 else f"{number} {what}s are each"


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def _concatenated(instances: Sequence[Instance]) -> list[Finding]:
    parts: dict[str, int] = defaultdict(int)
    for instance in instances:
        uid = _concatenation(instance)
        if uid:
            parts[uid] += 1
    joined = {uid: count for uid, count in sorted(parts.items()) if count > 1}
    if not joined:
        return []
    message = f"{sum(joined.values())} parts of {len(joined)} concatenations were joined"
    return [Finding("SPL-009", Severity.INFO, message, evidence={"ConcatenationUID": joined})]


def _concatenation(instance: Instance) -> str:
    try:
        return attributes.text(instance, "ConcatenationUID") or ""
    except MalformedAttributeError:
        return ""


def _thickness(frame: Frame) -> float | None:
    try:
        value = attributes.number(frame, "SliceThickness")
    except MalformedAttributeError:
        return None
    return None if value is None else round(value, 2)


def _plain(value: Hashable) -> object:
    return list(value) if isinstance(value, tuple) else value


def _distinct(values: Iterable[object]) -> list[object]:
    """Return the values that differ, in their order, at most `LISTED`; None counts as no value."""
    result: list[object] = []
    for value in values:
        if value is not None and value not in result and len(result) < LISTED:
            result.append(value)
    return result
