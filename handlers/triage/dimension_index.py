"""Whether the dimension index of a multi-frame object goes with the places of its frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.geometry import DUPLICATE_MM
from handlers.model import Finding, Frame, Series, Severity
from handlers.triage.targets import STACKED, measured, volume_finding

SHORTEST = 3  # frames; two are in order whichever way they are counted
PLACES = (
    0x00209057,
    0x00200032,
)  # In-Stack Position Number, Image Position (Patient): what points to a place


def dimension_index(series: Series) -> list[Finding]:
    """Find objects whose dimension index counts frames in another order than their positions (GEO-021).

    The order of the volume is that of the positions; the index only names further axes. Only
    frames of one object, or of one concatenation, are counted together.

    Source: PS3.3 C.7.6.17 (Multi-frame Dimension), C.7.6.16.2.2 (Frame Content).
    """
    found = []
    for volume in measured(series, *STACKED):
        if volume.geometry is None:
            continue
        normal = np.asarray(volume.geometry.normal)
        for name, frames in _objects(volume.frames).items():
            indices = [_index(frame) for frame in frames]
            places = [_place(frame, normal) for frame in frames]
            known = [(p, i) for p, i in zip(places, indices, strict=True) if p is not None and i is not None]
            if len(known) == len(frames) >= SHORTEST and not _agree(known):
                evidence = {"object": name, "indices": [index for _, index in known][:20]}
                message = "the dimension index counts the frames in another order than their positions"
                found.append(volume_finding(volume, "GEO-021", Severity.WARN, message, **evidence))
    return found


def _objects(frames: Sequence[Frame]) -> dict[str, list[Frame]]:
    objects: dict[str, list[Frame]] = {}
    for frame in frames:
        name = attributes.text(frame.instance, "ConcatenationUID") or frame.instance.sop_instance_uid
        objects.setdefault(name, []).append(frame)
    return objects


def _agree(known: Sequence[tuple[float, int]]) -> bool:
    """Say whether place and index grow together, or against each other, in one direction throughout."""
    ordered = sorted(known)
    steps = [
        index - previous
        for (place, index), (before, previous) in zip(ordered[1:], ordered, strict=False)
        if place - before >= DUPLICATE_MM
    ]
    return all(step > 0 for step in steps) or all(step < 0 for step in steps)


def _index(frame: Frame) -> int | None:
    """Return the index of the frame's place; None where the object does not count places."""
    try:
        values = attributes.numbers(frame, "DimensionIndexValues") or ()
        for at, dimension in enumerate(attributes.items(frame, "DimensionIndexSequence")):
            pointer = dimension.get("DimensionIndexPointer")
            if pointer in PLACES and at < len(values):
                return int(values[at])
        number = attributes.number(frame, "InStackPositionNumber")
    except MalformedAttributeError:
        return None
    return None if number is None else int(number)


def _place(frame: Frame, normal: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
    try:
        position = attributes.numbers(frame, "ImagePositionPatient") or ()
    except MalformedAttributeError:
        return None
    return float(np.asarray(position) @ normal) if len(position) == 3 else None
