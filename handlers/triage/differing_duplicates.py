"""Frames at one position that are left after copies were dropped: different images, of which one is wrong."""

from __future__ import annotations

from handlers.model import Finding, Series, Severity
from handlers.triage.targets import LISTED, volume_finding


def differing_duplicates(series: Series) -> list[Finding]:
    """Hold volumes in which different images share a position (SPL-003).

    Runs on values: by then frames that repeat another pixel for pixel are gone.
    """
    found = []
    for volume in series.volumes:
        if volume.values is None or volume.geometry is None or not volume.geometry.duplicates:
            continue
        pairs = [
            [volume.frames[index].instance.sop_instance_uid for index in pair]
            for pair in volume.geometry.duplicates
        ]
        message = (
            f"{len(pairs)} pairs of different images share a position, and nothing tells which are right"
        )
        found.append(
            volume_finding(volume, "SPL-003", Severity.REVIEW, message, SOPInstanceUID=pairs[:LISTED])
        )
    return found
