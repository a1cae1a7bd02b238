"""Tell frames at equal positions apart by time or number, where no hard key does.

A soft key is taken only when it proves itself: every group it makes is a stack of unique
positions, and all groups have the same positions, one more or less.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from handlers import attributes, geometry
from handlers.errors import MalformedAttributeError, VolumeError
from handlers.model import Frame
from handlers.tables import table

MIN_SLICES: int = table("geometry")["split"]["soft_key_slices"]  # per group
MIN_THICKNESS_SLICES = 3  # to see whether a stack is even
UNEVEN: int = table("geometry")["split"]["soft_key_uneven"]  # positions in which two groups may differ

Groups = dict[Hashable, list[Frame]]


def separate(frames: Sequence[Frame]) -> tuple[str, Groups] | None:
    """Separate frames that share positions into volumes; None when no soft key proves itself.

    Returns:
        The name of the key, and the frames by its values in ascending order.
    """
    places = positions(frames)
    for name, read in KEYS:
        groups = _grouped(frames, [_safe(read, frame) for frame in frames])
        if groups and _is_accepted(groups, frames, places):
            return name, groups
    groups = _grouped(frames, _occurrences(frames, places))
    if groups and _is_accepted(groups, frames, places):
        return "InstanceNumber", groups
    return None


def separate_thickness(frames: Sequence[Frame]) -> Groups | None:
    """Separate interleaved stacks of different SliceThickness; None unless each is an even stack by itself.

    One stack whose thickness changes along the body (as GE head CT) is not interleaved and stays
    whole: its spacing varies, which the geometry shows.
    """
    known = [_safe(_thickness, frame) for frame in frames]
    groups = _grouped(frames, known)
    if not groups or None in known:
        return None
    ranges = []
    for group in groups.values():
        try:
            _, measured = geometry.measure(group)
        except VolumeError:
            return None
        is_even = measured.is_uniform or bool(measured.missing)
        if len(group) < MIN_THICKNESS_SLICES or measured.duplicates or not is_even:
            return None
        along = _along(group, np.asarray(measured.normal))
        ranges.append((along.min(), along.max()))
    ranges.sort()
    is_interleaved = any(low < end for (_, end), (low, _) in itertools.pairwise(ranges))
    return groups if is_interleaved else None


def positions(frames: Sequence[Frame]) -> NDArray[np.intp]:
    """Number the positions along the normal: frames with one number lie at one position."""
    _, measured = geometry.measure(frames)
    along = _along(frames, np.asarray(measured.normal))
    order = np.argsort(along, kind="stable")
    steps = np.concatenate([[0], np.diff(along[order]) >= geometry.DUPLICATE_MM])
    places = np.empty(len(frames), dtype=np.intp)
    places[order] = np.cumsum(steps)
    return places


def _along(frames: Sequence[Frame], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    read = (geometry.orientation_and_position(frame) for frame in frames)
    result: NDArray[np.float64] = np.array([placed[1] for placed in read if placed is not None]) @ normal
    return result


def _safe(read: Callable[[Frame], Hashable], frame: Frame) -> Hashable:
    try:
        return read(frame)
    except MalformedAttributeError:
        return None


def _acquired_at(frame: Frame) -> Hashable:
    for keyword in ("FrameAcquisitionDateTime", "AcquisitionDateTime"):
        value = attributes.text(frame, keyword)
        if value:
            return value
    date, time = attributes.text(frame, "AcquisitionDate"), attributes.text(frame, "AcquisitionTime")
    return (date or "") + time if time else None


def _thickness(frame: Frame) -> Hashable:
    value = attributes.number(frame, "SliceThickness")
    return round(value, 2) if value and value > 0 else None


KEYS: tuple[tuple[str, Callable[[Frame], Hashable]], ...] = (
    # Philips writes the dynamic's time as TriggerTime; either way it tells volumes apart.
    ("TriggerTime", lambda frame: attributes.number(frame, "TriggerTime")),
    ("AcquisitionNumber", lambda frame: attributes.integer(frame, "AcquisitionNumber")),
    ("AcquisitionDateTime", _acquired_at),
    ("ContentTime", lambda frame: attributes.text(frame, "ContentTime") or None),
)


def _occurrences(frames: Sequence[Frame], places: NDArray[np.intp]) -> list[Hashable]:
    """Number the frames of each position by InstanceNumber, then by frame number."""
    at: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for index, (frame, place) in enumerate(zip(frames, places, strict=True)):
        number = _safe(lambda each: attributes.integer(each, "InstanceNumber"), frame)
        if not isinstance(number, int):
            return [None] * len(frames)
        at[int(place)].append((number, frame.number, index))
    result: list[Hashable] = [None] * len(frames)
    for found in at.values():
        if len({each[:2] for each in found}) < len(found):
            return [None] * len(frames)
        for rank, (_, _, index) in enumerate(sorted(found)):
            result[index] = rank
    return result


def _grouped(frames: Sequence[Frame], values: Sequence[Hashable]) -> Groups:
    """Group frames by value; {} when the values are all alike or one is missing."""
    groups: Groups = defaultdict(list)
    for frame, value in zip(frames, values, strict=True):
        groups[value].append(frame)
    if len(groups) < 2 or None in groups:
        return {}
    return {value: groups[value] for value in sorted(groups)}  # type: ignore[type-var]


def _is_accepted(groups: Groups, frames: Sequence[Frame], places: NDArray[np.intp]) -> bool:
    place_of = {id(frame): int(place) for frame, place in zip(frames, places, strict=True)}
    stacks = [[place_of[id(frame)] for frame in group] for group in groups.values()]
    if any(len(stack) < MIN_SLICES or max(Counter(stack).values()) > 1 for stack in stacks):
        return False
    stacks.sort(key=len)
    largest = set(stacks[-1])
    return all(len(largest.symmetric_difference(stack)) <= UNEVEN for stack in stacks)
