"""Contrast in MR: from agent, description and place in a dynamic series; its signal has no scale."""

from __future__ import annotations

from typing import Any

from handlers.model import Finding, Series, Severity, Volume
from handlers.tables import table
from handlers.triage import header, phase_lexicon, phase_times
from handlers.triage.agent_record import agent
from handlers.triage.phase_fusion import ENHANCED, Evidence, classes
from handlers.triage.phase_times import Injection
from handlers.triage.targets import measured, volume_finding

POSITIONS = ("TemporalPositionIndex", "TemporalPositionIdentifier")
Claim = tuple[str, float, str, str]  # code of the phase, confidence, source, raw text


def mr_contrast(series: Series) -> list[Finding]:
    """Say of MR that contrast was given (CON-001), and in a dynamic series before or how long after it.

    Only a dynamic series with an agent gets a phase: by the time after the start of injection; without
    that time the first of its positions is taken as before the injection, with a warning (CON-003). A start
    of injection that cannot be true is not used (CON-006). Source: PS3.3 C.7.6.4.
    """
    volumes = measured(series, "MR")
    positions = sorted({position for volume in volumes if (position := _position(volume)) is not None})
    return [finding for volume in volumes for finding in _judged(volume, positions)]


def _judged(volume: Volume, positions: list[int]) -> list[Finding]:
    frame = volume.frames[0]
    given, description = agent(frame), header.text(frame, "SeriesDescription")
    settings = table("phases")["mr"]
    is_told = "CE" in phase_lexicon.read(description).phases
    if not is_told and not given.is_given:
        return []
    claims: list[Claim] = []
    if given.is_given:  # the agent of a study is often copied to its series before injection
        claims.append((ENHANCED, settings["agent"], given.source, given.value))
    if is_told:
        claims.append((ENHANCED, settings["description"], "SeriesDescription", description))
    injection = phase_times.injection(volume) if _is_dynamic(volume, positions) and given.is_given else None
    if injection is not None:
        claims += _dynamic(volume, positions, injection)
    code, confidence, source, _ = max(claims, key=lambda claim: (claim[0] != ENHANCED, claim[1]))
    label = table("phases")["phase"][code]["label"]
    what = "contrast was given" if code == ENHANCED else f"contrast phase {label}"
    message = f"{what}, by {source}; confidence {confidence:.2f} (not calibrated)"
    fact = _fact(code, label, confidence, claims)
    found = [volume_finding(volume, "CON-001", Severity.INFO, message, contrast=fact)]
    if confidence < table("phases")["fusion"]["sure"] and code != ENHANCED:
        message = f"the contrast phase {label} is uncertain (confidence {confidence:.2f})"
        found.append(volume_finding(volume, "CON-003", Severity.WARN, message, confidence=confidence))
    if injection is not None and injection.objection:
        message = f"ContrastBolusStartTime was not used: {injection.objection}"
        found.append(volume_finding(volume, "CON-006", Severity.INFO, message))
    return found


def _dynamic(volume: Volume, positions: list[int], injection: Injection) -> list[Claim]:
    """Return what time and position in the dynamic series say; between two intervals nothing."""
    settings = table("phases")["mr"]
    if injection.delay_s is None:
        if _position(volume) != positions[0]:
            return []
        return [("NC", settings["first_position"], "TemporalPosition", f"first of {len(positions)}")]
    raw = f"{injection.delay_s:.0f} s"
    if injection.delay_s < 0:
        return [("NC", settings["time"], "ContrastBolusStartTime", raw)]
    return [
        (code, settings["time"], "ContrastBolusStartTime", raw)
        for code, (low, high) in settings["delay"].items()
        if low <= injection.delay_s <= high
    ][:1]


def _is_dynamic(volume: Volume, positions: list[int]) -> bool:
    return len(positions) > 1 and _position(volume) is not None


def _position(volume: Volume) -> int | None:
    for keyword in POSITIONS:
        value = header.number(volume.frames[0], keyword)
        if value is not None:
            return int(value)
    return None


def _fact(code: str, label: str, confidence: float, claims: list[Claim]) -> dict[str, Any]:
    """Return the fact `contrast`; without scores, since nothing is pooled."""
    lines = [
        Evidence(source, raw, (claimed,), weight, dict.fromkeys(classes(), 1.0)).line
        for claimed, weight, source, raw in claims
    ]
    return {
        "label": label,
        "code": code,
        "confidence": confidence,
        "evidence": lines,
        "scores": {},
        "calibration": None,
        "table_version": phase_lexicon.version(),
    }
