"""The respiratory phase of a volume: bins of a 4-D scan, inspiration and expiration, averages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from handlers.model import Finding, Frame, Series, Severity
from handlers.triage import header
from handlers.triage.targets import measured, volume_finding
from handlers.triage.words import first, fold

BINS = (
    re.compile(r"gated,\s*(\d{1,3}(?:\.\d+)?)\s*%"),  # "P4^P101^S300^I00003, Gated, 0.0%A"
    re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d+)?)\s*%\s*(?:in|ex)(?![a-z])"),
    re.compile(r"(?<![a-z0-9])t\s*=\s*(\d{1,3})\s*%"),
    re.compile(r"(?<![a-z0-9])resp\w*\.?\s*(\d{1,3})\s*%"),
)
COMBINED = re.compile(
    r"(?<![a-z0-9])(ave|avg|average|mip|minip|mean)[\s_-]*4d|4d[\s_-]*(ct[\s_-]*)?(ave|avg|average|mip|minip|mean)(?![a-z])"
)
WORDS = {
    "INSPIRATION": ("insp", "inspir*", "inspiration", "inhal*", "inhale", "wdech*", "einatm*"),
    "EXPIRATION": (
        "exp",
        "expir*",
        "exspir*",
        "exhal*",
        "exhale",
        "wydech*",
        "ausatm*",
        "espir*",
        "espiraz*",
    ),
}
TEXTS = ("SeriesDescription", "ImageComments")


@dataclass(frozen=True, slots=True)
class RespiratoryPhase:
    """Percent of the breathing cycle, or the name of a position in it, and where that stands."""

    percent: float | None
    name: str
    source: str


def respiratory_phase(series: Series) -> list[Finding]:
    """State the respiratory phase of CT and PET (RSP-001). Source: PS3.3 C.7.6.16.2.17, C.7.6.18.2."""
    found = []
    for volume in measured(series, "CT", "PT"):
        phase = _phase(volume.frames[0])
        if phase is None:
            continue
        fact: dict[str, Any] = {"phase_percent": phase.percent, "phase": phase.name, "source": phase.source}
        what = f"{phase.percent:g} %" if phase.percent is not None else phase.name.lower()
        message = f"respiratory phase {what}, by {phase.source}"
        found.append(volume_finding(volume, "RSP-001", Severity.INFO, message, respiratory=fact))
    return found


def combined_breathing(series: Series) -> list[Finding]:
    """Find averages and projections over the breathing cycle (RSP-002); refused, as any projection."""
    found = []
    for volume in measured(series, "CT", "PT"):
        match = COMBINED.search(fold(header.text(volume.frames[0], "SeriesDescription")))
        if match:
            message = f"an average or projection over all breathing phases ({match[0]})"
            found.append(volume_finding(volume, "RSP-002", Severity.ERROR, message, words=match[0]))
    return found


def _phase(frame: Frame) -> RespiratoryPhase | None:
    percent = header.number(frame, "NominalPercentageOfRespiratoryPhase")
    name = header.text(frame, "StartingRespiratoryPhase") or header.text(frame, "RespiratoryCyclePosition")
    if percent is not None and 0 <= percent <= 100:
        return RespiratoryPhase(percent % 100.0, name, "NominalPercentageOfRespiratoryPhase")
    for keyword in TEXTS:
        told = fold(header.text(frame, keyword))
        for pattern in BINS:
            if (match := pattern.search(told)) and float(match[1]) <= 100:
                return RespiratoryPhase(float(match[1]) % 100.0, _named(told), keyword)
    if name:
        return RespiratoryPhase(None, name, "StartingRespiratoryPhase")
    told = header.text(frame, "SeriesDescription")
    return RespiratoryPhase(None, _named(told), "SeriesDescription") if _named(told) else None


def _named(told: str) -> str:
    """Return INSPIRATION or EXPIRATION when the words name just one of them."""
    found = [name for name, wanted in WORDS.items() if first(told, wanted)]
    return found[0] if len(found) == 1 else ""
