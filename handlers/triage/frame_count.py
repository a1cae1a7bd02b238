"""Whether a multi-frame object has the frames that it claims, and all its parts."""

from __future__ import annotations

from collections import defaultdict

from handlers.model import Finding, Instance, Scope, Series, Severity
from handlers.triage import header


def inconsistent_frames(series: Series) -> list[Finding]:
    """Find objects whose NumberOfFrames contradicts their functional groups (ING-008).

    Source: PS3.3 C.7.6.6.1.1, C.7.6.16.
    """
    found = []
    for instance in series.instances:
        stated = header.text(instance, "NumberOfFrames")
        groups = len(header.items(instance, "PerFrameFunctionalGroupsSequence"))
        frames = header.number(instance, "NumberOfFrames")
        is_wrong = bool(stated) and (frames is None or frames < 1 or frames != int(frames))
        if is_wrong or (groups and groups != (frames or 1)):
            evidence = {"NumberOfFrames": stated, "functional_groups": groups}
            message = f"NumberOfFrames is {stated or 'absent'}, with functional groups for {groups} frames"
            found.append(
                Finding(
                    "ING-008", Severity.REVIEW, message, Scope.INSTANCE, instance.sop_instance_uid, evidence
                )
            )
    return found


def incomplete_concatenation(series: Series) -> list[Finding]:
    """Find split-up multi-frame objects of which parts are missing (ING-008).

    Source: PS3.3 C.7.6.16.2.2.4.
    """
    parts: dict[str, list[Instance]] = defaultdict(list)
    for instance in series.instances:
        if uid := header.text(instance, "ConcatenationUID"):
            parts[uid].append(instance)
    found = []
    for uid, instances in sorted(parts.items()):
        numbers = {header.number(instance, "InConcatenationNumber") for instance in instances}
        total = max(header.number(each, "InConcatenationTotalNumber") or 0 for each in instances)
        expected = int(total) or int(max(number or 0 for number in numbers))
        absent = _absent_frames(instances)
        if len(numbers) < expected or absent:
            evidence = {
                "ConcatenationUID": uid,
                "parts": len(numbers),
                "expected": expected,
                "absent": absent,
            }
            message = f"{len(numbers)} of {expected} parts of a multi-frame object are there"
            if absent:
                message += f"; {absent} frames are absent before or between them"
            found.append(Finding("ING-008", Severity.REVIEW, message, evidence=evidence))
    return found


def _absent_frames(instances: list[Instance]) -> int:
    """Return how many frames the offsets of the parts leave out, 0 where a part has no offset."""
    parts = []
    for each in instances:
        offset = header.number(each, "ConcatenationFrameOffsetNumber")
        if offset is None:
            return 0
        parts.append((int(offset), int(header.number(each, "NumberOfFrames") or 1)))
    end = absent = 0
    for offset, count in sorted(parts):
        absent += max(offset - end, 0)
        end = max(end, offset + count)
    return absent
