"""The cardiac phase of a volume, where it is stated, and whether the statements agree."""

from __future__ import annotations

from typing import Any

from handlers.model import Finding, Frame, Series, Severity, Volume
from handlers.triage import cardiac_sources, cardiac_text, header
from handlers.triage.cardiac_sources import CardiacPhase, HeartBeat
from handlers.triage.targets import measured, volume_finding

TOLERANCE = 5.0  # percent of the cycle; statements farther apart contradict each other
FAST_BPM = 80.0
IRREGULAR = 0.15  # of the mean beat
GATED_MODALITIES = ("CT", "MR")


def cardiac_phase(series: Series) -> list[Finding]:
    """State the cardiac phase (GAT-001, GAT-002), contradictions (GAT-003) and doubtful beats (GAT-008).

    Source: PS3.3 C.7.6.16.2.7 and C.7.6.18.1 (cardiac synchronization).
    """
    found = []
    for volume in measured(series, *GATED_MODALITIES):
        phases = cardiac_sources.phases(volume)
        is_gated = cardiac_sources.is_gated(volume.frames[0]) if volume.modality == "CT" else False
        if not phases and not is_gated:
            continue
        beat = cardiac_sources.heart_beat(volume.frames[0])
        found.append(_stated_phase(volume, phases, beat))
        found += _disagreement(volume, phases)
        found += _beat_findings(volume, beat)
    return found


def ungated_heart(series: Series) -> list[Finding]:
    """Find cardiac CT without any gating information (GAT-004), and text against technique (GAT-005)."""
    found = []
    for volume in measured(series, "CT"):
        frame = volume.frames[0]
        told = cardiac_text.read(header.text(frame, "SeriesDescription"))
        is_told = told.percent is not None or told.time_ms is not None or told.is_range
        if (
            cardiac_sources.technique(frame) == cardiac_sources.NOT_GATED
            and is_told
            and cardiac_sources.is_cardiac(frame)
        ):
            message = "the synchronization technique is NONE, but the description names a heart phase"
            evidence = {"CardiacSynchronizationTechnique": cardiac_sources.NOT_GATED}
            found.append(volume_finding(volume, "GAT-005", Severity.REVIEW, message, **evidence))
        elif _is_silent(volume, frame) and not told.is_range and cardiac_sources.is_cardiac(frame):
            message = "an examination of the heart, without any information on gating"
            found.append(volume_finding(volume, "GAT-004", Severity.WARN, message))
    return found


def several_phases(series: Series) -> list[Finding]:
    """Note a series with several cardiac phases (GAT-009); they are never averaged."""
    volumes = measured(series, *GATED_MODALITIES)
    firsts = {volume.name: phases[0] for volume in volumes if (phases := cardiac_sources.phases(volume))}
    known = sorted({phase.percent for phase in firsts.values() if phase.percent is not None})
    descriptions = {
        header.text(volume.frames[0], "SeriesDescription") for volume in volumes if volume.modality == "CT"
    }
    is_range = any(
        cardiac_text.read(each).is_range and cardiac_text.names_the_heart(each) for each in descriptions
    )
    if len(known) < 2 and not is_range:
        return []
    message = f"the series holds {len(known) if len(known) > 1 else 'several'} cardiac phases"
    return [Finding("GAT-009", Severity.INFO, message, evidence={"phases_percent": known})]


def _is_silent(volume: Volume, frame: Frame) -> bool:
    return not cardiac_sources.phases(volume) and not cardiac_sources.is_gated(frame)


def _stated_phase(volume: Volume, phases: list[CardiacPhase], beat: HeartBeat) -> Finding:
    best = phases[0] if phases else CardiacPhase("gated, phase not stated", None, None)
    fact: dict[str, Any] = {
        "phase_percent": best.percent,
        "time_ms": best.time_ms,
        "source": best.source,
        "heart_rate_bpm": beat.rate_bpm,
        "sources": [{"source": p.source, "phase_percent": p.percent, "time_ms": p.time_ms} for p in phases],
    }
    if best.source == "TriggerTime":
        message = f"cardiac phase {best.percent:g} %, computed from TriggerTime and the length of the beat"
        return volume_finding(volume, "GAT-002", Severity.WARN, message, cardiac=fact)
    if best.percent is None and best.time_ms is None:
        return volume_finding(
            volume, "GAT-001", Severity.INFO, "gated; the cardiac phase is not stated", cardiac=fact
        )
    what = f"{best.percent:g} %" if best.percent is not None else f"{best.time_ms:g} ms"
    return volume_finding(
        volume, "GAT-001", Severity.INFO, f"cardiac phase {what}, by {best.source}", cardiac=fact
    )


def _disagreement(volume: Volume, phases: list[CardiacPhase]) -> list[Finding]:
    known = [phase for phase in phases if phase.percent is not None]
    farthest = max((_distance(a, b) for a in known for b in known), default=0.0)
    if farthest <= TOLERANCE:
        return []
    stated = ", ".join(f"{phase.source} {phase.percent:g} %" for phase in known)
    message = f"statements on the cardiac phase differ by {farthest:g} %: {stated}"
    evidence = {phase.source: phase.percent for phase in known}
    return [volume_finding(volume, "GAT-003", Severity.REVIEW, message, **evidence)]


def _beat_findings(volume: Volume, beat: HeartBeat) -> list[Finding]:
    reasons = []
    if beat.rate_bpm is not None and beat.rate_bpm > FAST_BPM:
        reasons.append(f"{beat.rate_bpm:g} beats per minute")
    if beat.low_rr_ms and beat.high_rr_ms:
        spread = abs(beat.high_rr_ms - beat.low_rr_ms) / ((beat.high_rr_ms + beat.low_rr_ms) / 2)
        if spread > IRREGULAR:
            reasons.append(f"beats of {beat.low_rr_ms:g} to {beat.high_rr_ms:g} ms")
    if not reasons:
        return []
    evidence = {"heart_rate_bpm": beat.rate_bpm, "LowRRValue": beat.low_rr_ms, "HighRRValue": beat.high_rr_ms}
    message = f"fast or irregular heart beat: {' and '.join(reasons)}"
    return [volume_finding(volume, "GAT-008", Severity.WARN, message, **evidence)]


def _distance(first: CardiacPhase, second: CardiacPhase) -> float:
    """Return how far two phases are apart on the circle: 95 % and 0 % by 5."""
    apart = abs((first.percent or 0.0) - (second.percent or 0.0))
    return min(apart, 100.0 - apart)
