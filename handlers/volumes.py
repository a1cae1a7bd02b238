"""Split a series into volumes: frames that belong into one array.

    frame table -> sheets of tiles apart -> planar images one by one -> hard keys -> soft keys -> geometry

A frame of a modality without patient geometry makes a volume by itself, a multi-frame
instance without positions makes one of all its frames, a sheet of tiled slices makes one. Nothing is
ever merged by guess: what no key tells apart stays together and is visible as duplicates of the geometry.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from handlers import attributes, geometry, soft_keys, split_findings, split_keys
from handlers.errors import MalformedAttributeError, VolumeError
from handlers.frame_groups import Group
from handlers.frames import frames_of
from handlers.model import Finding, Frame, Scope, Series, Severity, Volume
from handlers.sheets import take_apart
from handlers.split_keys import CORE, ROOT, Key
from handlers.tables import table
from handlers.tiled import tiled_code

RESIDUAL_FRAMES: int = table("geometry")["split"]["residual_frames"]
MIN_POSITIONS = 3  # to tell a key that changes from slice to slice from one that tells volumes apart
VOLUMETRIC = {"CT", "MR", "PT", "NM", "MG", "XA"}  # modalities that may hold planes of a stack
PLANAR_CLASSES = {
    # projections and cine, whatever positions they may bear: CR, DX, MG, IO, US, XA, RF, and their variants
    ROOT + tail
    for tail in (
        "1",
        "1.1",
        "1.1.1",
        "1.2",
        "1.2.1",
        "1.3",
        "1.3.1",
        "6.1",
        "3.1",
        "12.1",
        "12.1.1",
        "12.2",
        "12.2.1",
    )
}


Member = tuple[Frame, dict[str, Key]]


def split(series: Series) -> Series:
    """Fill `volumes` of a series, and add the findings SPL-001 to SPL-009 to its findings.

    Order and content of the volumes depend on the instances alone, not on their order. Instances without
    pixel data are in no volume. A volume whose frames lack a position or orientation has no geometry.
    """
    frames, findings = _frame_table(series)
    whole, sheets = _sheets(frames)
    groups = [_measured(group) for group in (*_groups(whole), *sheets)]
    groups.sort(key=_order)
    kept, residual = _without_residual(groups)
    volumes = tuple(_volume(index, group) for index, group in enumerate(kept))
    named = _with_split_keys(volumes, kept)
    findings += split_findings.findings(named, kept, residual, series.instances)
    return replace(series, volumes=named, findings=(*series.findings, *findings))


def _frame_table(series: Series) -> tuple[list[Frame], list[Finding]]:
    frames: list[Frame] = []
    findings = []
    for instance in sorted(series.instances, key=lambda each: each.sop_instance_uid):
        if not instance.pixel_keyword:
            continue
        try:
            frames.extend(frames_of(instance))
        except VolumeError as error:
            uid = instance.sop_instance_uid
            findings.append(Finding(error.code, Severity.REVIEW, str(error), Scope.INSTANCE, uid))
    return frames, findings


def _sheets(frames: Sequence[Frame]) -> tuple[list[Frame], list[Group]]:
    """Return the frames that are no sheets of tiled slices, and the groups that sheets make.

    A sheet is one time point, so each makes a group of its slices. Those that cannot be taken apart
    stay together, with the reason.
    """
    rest, groups = [], []
    whole: dict[tuple[str, str], list[Frame]] = defaultdict(list)
    for frame in frames:
        code = tiled_code(frame)
        if not code:
            rest.append(frame)
            continue
        try:
            tiles, measured = geometry.measure(take_apart(frame, code))
        except VolumeError as error:
            whole[code, str(error)].append(frame)
        else:
            keys = {**split_keys.hard_keys(tiles[:1])[0], "InstanceNumber": _listed(frame)[0]}
            groups.append(Group(tiles, keys, measured, tiled=code))
    for (code, reason), kept in whole.items():
        keys = split_keys.hard_keys(kept[:1])[0]
        core = {name: keys.get(name) for name in CORE}
        groups.append(Group(tuple(kept), core, tiled=code, kept_whole=reason))
    return rest, groups


def _groups(frames: Sequence[Frame]) -> Iterable[Group]:
    keys = split_keys.hard_keys(frames)
    planar: dict[Key, list[Member]] = defaultdict(list)
    core: dict[tuple[Key, ...], list[Member]] = defaultdict(list)
    for frame, key in zip(frames, keys, strict=True):
        if _is_planar(frame, key):
            planar[frame.instance.sop_instance_uid].append((frame, key))
        else:
            core[tuple(key[name] for name in CORE)].append((frame, key))
    for members in planar.values():
        yield _group(members, CORE, is_exempt=True)
    for members in core.values():
        yield from _by_hard_keys(members)


def _is_planar(frame: Frame, key: Mapping[str, Key]) -> bool:
    """Say whether a frame makes no stack with those of other instances."""
    if frame.instance.sop_class_uid in PLANAR_CLASSES or split_keys.modality(frame) not in VOLUMETRIC:
        return True
    is_multi_frame = bool(frame.functional) or _text(frame, "NumberOfFrames") not in ("", "1")
    return not key["has_geometry"] and (is_multi_frame or key["sop_class_family"] == "SC")


def _by_hard_keys(members: Sequence[Member]) -> Iterable[Group]:
    names = _telling(members)
    by_key: dict[Key, list[Member]] = defaultdict(list)
    for frame, key in members:
        by_key[tuple(key.get(name) for name in names)].append((frame, key))
    for each in by_key.values():
        yield from _by_soft_keys(_group(each, (*CORE, *names)))


def _telling(members: Sequence[Member]) -> list[str]:
    """Return the names of the keys that tell volumes apart.

    A key with another value at nearly every frame of a stack (a time, a measured angle) tells
    slices apart, not volumes: a volume of n slices has n frames for one value.
    """
    names = [name for name in dict.fromkeys(name for _, key in members for name in key) if name not in CORE]
    restless = {name for name in names if 2 * len({key.get(name) for _, key in members}) > len(members)}
    if not restless or not members[0][1]["has_geometry"]:
        return names
    places = soft_keys.positions([frame for frame, _ in members])
    return names if len(set(places)) < MIN_POSITIONS else [name for name in names if name not in restless]


def _by_soft_keys(group: Group) -> Iterable[Group]:
    if not group.keys["has_geometry"]:
        return [group]
    try:
        frames, measured = geometry.measure(group.frames)
    except VolumeError:
        return [group]
    group = replace(group, frames=frames, geometry=measured)
    if len(frames) < RESIDUAL_FRAMES or (measured.is_uniform and not measured.duplicates):
        return [group]
    separated = soft_keys.separate(frames) if measured.duplicates else None
    thickness = None if separated else soft_keys.separate_thickness(frames)
    if separated is None and thickness is not None:
        separated = "SliceThickness", thickness
    if separated is None:
        return [group]
    name, parts = separated
    return [
        replace(group, frames=tuple(part), geometry=None, keys={**group.keys, name: value}, soft_key=name)
        for value, part in parts.items()
    ]


def _group(members: Sequence[Member], names: Iterable[str], *, is_exempt: bool = False) -> Group:
    first, key = members[0]
    is_exempt = is_exempt or split_keys.family(first) == "SC" or "LOCALIZER" in str(key["ImageType"])
    return Group(
        tuple(frame for frame, _ in members), {name: key.get(name) for name in names}, is_exempt=is_exempt
    )


def _measured(group: Group) -> Group:
    """Put the frames in order and measure where they lie; without positions, InstanceNumber orders."""
    if group.geometry is not None:
        return group
    if group.soft_key:
        frames, measured = geometry.measure(group.frames)
        return replace(group, frames=frames, geometry=measured)
    return replace(group, frames=tuple(sorted(group.frames, key=_listed)))


def _listed(frame: Frame) -> tuple[int, str, int]:
    try:
        number = attributes.integer(frame, "InstanceNumber") or 0
    except MalformedAttributeError:
        number = 0
    return number, frame.instance.sop_instance_uid, frame.number


def _order(group: Group) -> tuple[Any, ...]:
    keys = tuple((name, _rank(value)) for name, value in sorted(group.keys.items()))
    origin = () if group.geometry is None else group.geometry.origin
    return keys, origin, _listed(group.frames[0])


def _rank(value: Key) -> tuple[int, float, str]:
    if value is None:
        return 0, 0.0, ""
    return (1, float(value), "") if isinstance(value, (int, float)) else (2, 0.0, str(value))


def _without_residual(groups: Sequence[Group]) -> tuple[list[Group], list[Group]]:
    stacks = [group for group in groups if group.geometry is not None and not group.is_exempt]
    if not any(len(group.frames) >= RESIDUAL_FRAMES for group in stacks):
        return list(groups), []
    residual = [group for group in stacks if len(group.frames) < RESIDUAL_FRAMES]
    return [group for group in groups if group not in residual], residual  # groups compare by identity


def _volume(index: int, group: Group) -> Volume:
    measured = group.geometry
    spacing: tuple[float | None, float | None, float | None] = (None, None, None)
    if measured is not None:
        column, row, between = measured.spacing_mm
        spacing = (column, row, between if measured.slice_spacing_source == "positions" else None)
    return Volume(
        index=index,
        frames=group.frames,
        modality=split_keys.modality(group.frames[0]),
        geometry=measured,
        spacing_mm=spacing,
    )


def _with_split_keys(volumes: Sequence[Volume], groups: Sequence[Group]) -> tuple[Volume, ...]:
    """Give each volume the keys, and its values of them, in which the volumes differ."""
    names = sorted({name for group in groups for name in group.keys} - {"has_geometry"})
    differing = [name for name in names if len({group.keys.get(name) for group in groups}) > 1]
    return tuple(
        replace(volume, split_key={name: _json(group.keys.get(name)) for name in differing})
        for volume, group in zip(volumes, groups, strict=True)
    )


def _json(value: Key) -> Any:
    return [_json(each) for each in value] if isinstance(value, tuple) else value


def _text(frame: Frame, keyword: str) -> str:
    try:
        return attributes.text(frame, keyword) or ""
    except MalformedAttributeError:
        return ""
