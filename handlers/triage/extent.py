"""Whether slices may be missing at the ends, where positions cannot show it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from handlers.model import Finding, Series, Severity, Volume
from handlers.triage import header
from handlers.triage.sister_extent import shortages
from handlers.triage.targets import measured, volume_finding

MAX_LISTED = 20


def possibly_incomplete(series: Series) -> list[Finding]:
    """Find holes in InstanceNumber, fewer images than announced, and ends that sisters have (GEO-015).

    Numbers are judged of stacks of single-frame instances only. Those that go up in equal steps (every
    second, say) are no hole: other volumes of the series have the rest.
    """
    found = []
    numbers = (header.number(each, "InstanceNumber") for each in series.instances)
    present = {int(number) for number in numbers if number is not None}
    short = shortages(measured(series, "CT", "MR", "PT"))
    for volume in measured(series, "CT", "MR", "PT"):
        shortage = short.get(volume.name)
        expected = _announced(series, volume)
        holes = _holes(volume, present)
        if expected is None and not holes and shortage is None:
            continue
        evidence: dict[str, Any] = {
            "ImagesInAcquisition": expected,
            "images": len(series.instances),
            "missing_instance_numbers": holes[:MAX_LISTED],
        }
        if shortage is not None:
            evidence["sister"] = {
                "volume": shortage.sister,
                "slices_before": shortage.before,
                "slices_behind": shortage.behind,
            }
        reasons = [f"ImagesInAcquisition announces {expected}"] if expected else []
        reasons += [f"instance numbers that are missing: {len(holes)}"] if holes else []
        reasons += [str(shortage)] if shortage else []
        message = f"the volume may be incomplete: {' and '.join(reasons)}"
        found.append(volume_finding(volume, "GEO-015", Severity.WARN, message, **evidence))
    return found


def _announced(series: Series, volume: Volume) -> int | None:
    """Return ImagesInAcquisition when the acquisition has fewer images than it says."""
    frame = volume.frames[0]
    announced, acquisition = (
        header.number(frame, "ImagesInAcquisition"),
        header.text(frame, "AcquisitionNumber"),
    )
    if announced is None or announced != int(announced):
        return None
    arrived = sum(
        max(header.number(each, "NumberOfFrames") or 1, 1)
        for each in series.instances
        if header.text(each, "AcquisitionNumber") == acquisition
    )
    return int(announced) if arrived < announced else None


def _holes(volume: Volume, present: set[int]) -> list[int]:
    """Return the numbers that are not `present` in the series, between those of this volume and before them.

    Before them counts only when the series begins a little late, at 4 rather than at 101, which is a
    way of numbering.
    """
    if len(volume.instances) < 2 or len(volume.instances) != len(volume.frames):
        return []
    numbers = [header.number(instance, "InstanceNumber") for instance in volume.instances]
    own = sorted({int(number) for number in numbers if number is not None})
    steps = {b - a for a, b in pairwise(own)}
    if len(own) < len(numbers) or (len(steps) == 1 and steps != {1}):
        return []
    if own[-1] - own[0] > 10 * len(present):  # numbers that mean something else, such as 101, 201, 301
        return []
    first = 1 if own[0] == min(present) <= len(present) else own[0]
    return [number for number in range(first, own[-1]) if number not in present]
