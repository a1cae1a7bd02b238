"""Whether the cardiac phases of a series are all there, and cover the same slices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from statistics import median
from typing import Any

from handlers.model import Finding, Series, Severity, Volume
from handlers.triage import cardiac_sources, cardiac_text, header, phase_extent
from handlers.triage.targets import measured

MIN_PHASES = 4  # to see a regular step between phases, and a hole in it
STEP_TOLERANCE = 0.25  # of the step


def unequal_phases(series: Series) -> list[Finding]:
    """Find phases that do not cover the same slices, or a sequence of phases with holes (GAT-007)."""
    phases: dict[str, float] = {}
    volumes: list[Volume] = []
    for volume in measured(series, "CT", "MR"):
        fact = cardiac_sources.fact(volume)
        if fact is not None and (fact["phase_percent"] is not None or fact["time_ms"] is not None):
            volumes.append(volume)
            if fact["phase_percent"] is not None:
                phases[volume.name] = fact["phase_percent"]
    if len(volumes) < 2:
        return []
    evidence: dict[str, Any] = {}
    reasons = []
    if differing := phase_extent.unequal(volumes):
        evidence["slices"] = {name: count for group in differing for name, count in group.items()}
        evidence["incomplete"] = phase_extent.incomplete(volumes)
        reasons.append("they do not cover the same slices")
    if missing := _missing(phases, volumes):
        evidence["missing_percent"] = missing
        reasons.append(f"{', '.join(f'{each:g} %' for each in missing)} missing")
    if not reasons:
        return []
    message = f"the cardiac phases of the series are not complete: {'; '.join(reasons)}"
    return [Finding("GAT-007", Severity.WARN, message, evidence={**evidence, "phases_percent": phases})]


def _missing(phases: Mapping[str, float], volumes: Iterable[Volume]) -> list[float]:
    """Return the phases that a regular sequence lacks; the description may name its ends: "0 - 90 %"."""
    known = sorted(set(phases.values()))
    if len(known) < MIN_PHASES:
        return []
    step = median(after - before for before, after in pairwise(known))
    first, last = _told_range(volumes) or (known[0], known[-1])
    last = min(last, first + 100.0 - step)  # 100 % is 0 % again
    wanted = [first + k * step for k in range(round((last - first) / step) + 1)]
    near = STEP_TOLERANCE * step
    is_regular = all(min(abs(each - one) for one in wanted) <= near for each in known)
    if not is_regular:
        return []
    return [round(one, 1) for one in wanted if min(abs(one - each) for each in known) > near]


def _told_range(volumes: Iterable[Volume]) -> tuple[float, float] | None:
    told = {cardiac_text.read(header.text(each.frames[0], "SeriesDescription")).limits for each in volumes}
    return told.pop() if len(told) == 1 else None
