"""One slice per position: a frame that repeats another, pixel for pixel, is dropped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from handlers import geometry
from handlers.model import AppliedStep, Finding, Scope, Severity, Volume


def drop_duplicates(volume: Volume) -> Volume:
    """Drop frames that lie at the position of another and hold the same values (GEO-007).

    Frames at one position with different values stay: which one is right is not for
    arithmetic to say, and the triage holds such a volume.
    """
    values, measured = volume.values, volume.geometry
    if values is None or measured is None or not measured.duplicates:
        return volume
    dropped = sorted(
        {second for first, second in measured.duplicates if np.array_equal(values[first], values[second])}
    )
    if not dropped:
        return volume
    kept = [index for index in range(len(volume.frames)) if index not in set(dropped)]
    frames, remeasured = geometry.measure([volume.frames[index] for index in kept])
    place = {frame.identity: index for index, frame in enumerate(volume.frames)}
    order = [place[frame.identity] for frame in frames]
    uids = [volume.frames[index].instance.sop_instance_uid for index in dropped]
    message = f"{len(dropped)} frames repeat the position and the pixels of another; they were dropped"
    evidence = {"SOPInstanceUID": uids[:5], "frames": len(dropped), "action": "dropped"}
    return replace(
        volume,
        frames=frames,
        geometry=remeasured,
        values=values[order],
        padding=None if volume.padding is None else volume.padding[order],
        steps=(*volume.steps, AppliedStep("drop_duplicates", {"frames": len(dropped)})),
        findings=(
            *volume.findings,
            Finding("GEO-007", Severity.INFO, message, Scope.VOLUME, volume.name, evidence),
        ),
    )
