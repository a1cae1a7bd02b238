"""The cardiac phase of a volume, where it is stated, and whether the statements agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handlers.model import Finding, Frame, Series, Severity, Volume
from handlers.tables import table
from handlers.triage import cardiac_beat, cardiac_sources, cardiac_text, header
from handlers.triage.cardiac_beat import HeartBeat
from handlers.triage.cardiac_sources import CardiacPhase
from handlers.triage.targets import measured, volume_finding

GATED_MODALITIES = ("CT", "MR")


def cardiac_phase(series: Series) -> list[Finding]:
    """State the cardiac phase (GAT-001, GAT-002), contradictions (GAT-003) and doubtful beats (GAT-008).

    Source: PS3.3 C.7.6.16.2.7 and C.7.6.18.1 (cardiac synchronization).
    """
    found = []
    for volume in measured(series, *GATED_MODALITIES):
        fact = cardiac_sources.fact(volume)
        if fact is None:
            continue
        found.append(_stated_phase(volume, fact))
        found += _disagreement(volume, cardiac_sources.phases(volume))
        found += _beat_findings(volume, cardiac_beat.heart_beat(volume.frames))
    return found


@dataclass(frozen=True, slots=True)
class UngatedHeart:
    """Find cardiac CT without any gating information (GAT-004), and text against technique (GAT-005).

    `need_phase`: the profile asks for a phase, so that a scan without one is held.
    """

    need_phase: bool = False

    def __call__(self, series: Series) -> list[Finding]:
        """Look at every CT volume."""
        found = []
        for volume in measured(series, "CT"):
            frame = volume.frames[0]
            words = header.text(frame, "SeriesDescription")
            told = cardiac_text.read(words)
            is_told = told.percent is not None or told.time_ms is not None or told.is_range
            is_told = is_told or cardiac_text.names_gating(words)
            is_cardiac = cardiac_sources.is_cardiac(frame)
            if cardiac_beat.technique(frame) == cardiac_beat.NOT_GATED and is_told and is_cardiac:
                message = "the synchronization technique is NONE, but the description speaks of gating"
                evidence = {"CardiacSynchronizationTechnique": cardiac_beat.NOT_GATED}
                found.append(volume_finding(volume, "GAT-005", Severity.REVIEW, message, **evidence))
            elif _is_silent(volume, frame) and not told.is_range and is_cardiac:
                message = "an examination of the heart, without any information on gating"
                severity = Severity.REVIEW if self.need_phase else Severity.WARN
                found.append(volume_finding(volume, "GAT-004", severity, message))
        return found


def several_phases(series: Series) -> list[Finding]:
    """Note a series with several cardiac phases (GAT-009); they are never averaged."""
    volumes = measured(series, *GATED_MODALITIES)
    facts = [fact for volume in volumes if (fact := cardiac_sources.fact(volume))]
    known = sorted({fact["phase_percent"] for fact in facts if fact["phase_percent"] is not None})
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
    return not cardiac_sources.phases(volume) and not cardiac_beat.is_gated(frame)


def _stated_phase(volume: Volume, fact: Mapping[str, Any]) -> Finding:
    percent, time, source = fact["phase_percent"], fact["time_ms"], fact["source"]
    if source == cardiac_sources.TRIGGER_TIME:
        about = f" (± {error:.1f} %)" if (error := _beat_error(volume, time)) is not None else ""
        message = f"cardiac phase {percent:g} %{about}, computed from TriggerTime and the length of the beat"
        return volume_finding(volume, "GAT-002", Severity.WARN, message, cardiac=fact, error_percent=error)
    if percent is None and time is None:
        message = "gated; the cardiac phase is not stated"
    else:
        what = f"{percent:g} %" if percent is not None else f"{time:g} ms"
        message = f"cardiac phase {what}, by {source}"
    return volume_finding(volume, "GAT-001", Severity.INFO, message, cardiac=fact)


def _beat_error(volume: Volume, time_ms: float | None) -> float | None:
    """Return by how many percent a computed phase is uncertain, from the shortest and longest beat."""
    beat = cardiac_beat.heart_beat(volume.frames)
    shares = [cardiac_beat.share(time_ms, each) for each in (beat.low_rr_ms, beat.high_rr_ms)]
    known = [each for each in shares if each is not None]
    return round(abs(known[0] - known[1]) / 2, 1) if len(known) == 2 else None


def _disagreement(volume: Volume, phases: list[CardiacPhase]) -> list[Finding]:
    """Compare what was asked for; what the scanner then measured of the beats may differ."""
    known = [phase for phase in phases if phase.percent is not None and not phase.is_actual]
    farthest = max((_distance(a, b) for a in known for b in known), default=0.0)
    if farthest <= table("gating")["cardiac"]["disagree_percent"]:
        return []
    stated = ", ".join(f"{phase.source} {phase.percent:g} %" for phase in known)
    message = f"statements on the cardiac phase differ by {farthest:g} %: {stated}"
    evidence = {phase.source: phase.percent for phase in known}
    return [volume_finding(volume, "GAT-003", Severity.REVIEW, message, **evidence)]


def _beat_findings(volume: Volume, beat: HeartBeat) -> list[Finding]:
    limits = table("gating")["cardiac"]
    reasons = []
    if beat.rate_bpm is not None and beat.rate_bpm > limits["fast_bpm"]:
        reasons.append(f"{beat.rate_bpm:g} beats per minute")
    if beat.low_rr_ms and beat.high_rr_ms:
        spread = abs(beat.high_rr_ms - beat.low_rr_ms) / ((beat.high_rr_ms + beat.low_rr_ms) / 2)
        if spread > limits["irregular"]:
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
