"""The contrast phase of a CT volume, with its confidence and its evidence, or that it is unknown."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

from handlers.model import Finding, Series, Severity, Volume
from handlers.triage import header, phase_evidence, phase_lexicon
from handlers.triage.phase_fusion import ENHANCED, UNKNOWN, Evidence, Phase, contradict, fuse
from handlers.triage.targets import measured, volume_finding

STRONG = 1.0  # weight from which on two statements may contradict each other
VIRTUAL = Phase("VNC", "VIRTUAL_NON_CONTRAST", 0.95, is_sure=True)


@dataclass(frozen=True, slots=True)
class ContrastPhase:
    """Label the contrast phase (CON-001 to CON-006); `need_phase` holds volumes without one (CON-002)."""

    need_phase: bool = False

    def __call__(self, series: Series) -> list[Finding]:
        """Judge every CT volume by what its headers say."""
        return [finding for volume in measured(series, "CT") for finding in self._judge(series, volume)]

    def _judge(self, series: Series, volume: Volume) -> list[Finding]:
        frame = volume.frames[0]
        given, injection = phase_evidence.agent(frame), phase_evidence.injection(volume)
        evidence = [
            *phase_evidence.text_evidence(frame),
            *phase_evidence.agent_evidence(frame, given),
            *phase_evidence.usage_evidence(frame),
            *phase_evidence.delay_evidence(injection),
            *phase_evidence.bolus_tracking_before(frame, series.study),
        ]
        phase = VIRTUAL if _is_virtual(volume) else fuse(evidence)
        found = [self._label(volume, phase, evidence)]
        if phase.code not in (UNKNOWN, ENHANCED) and not phase.is_sure:
            message = f"the contrast phase {phase.label} is uncertain (confidence {phase.confidence:.2f})"
            found.append(
                volume_finding(volume, "CON-003", Severity.WARN, message, confidence=phase.confidence)
            )
        if pair := _contradiction(evidence):
            told = " against ".join(f"{each.source} {'|'.join(each.supports)}" for each in pair)
            message = f"statements on contrast contradict each other: {told}"
            found.append(
                volume_finding(volume, "CON-004", Severity.REVIEW, message, between=[p.line for p in pair])
            )
        if phase.code not in (UNKNOWN, "NC", "VNC") and not given.value:
            message = "contrast is evident, but ContrastBolusAgent is empty or absent"
            found.append(volume_finding(volume, "CON-005", Severity.WARN, message))
        if injection.objection:
            message = f"ContrastBolusStartTime was not used: {injection.objection}"
            found.append(volume_finding(volume, "CON-006", Severity.INFO, message))
        return found

    def _label(self, volume: Volume, phase: Phase, evidence: list[Evidence]) -> Finding:
        fact = contrast_fact(phase, evidence)
        if phase.code not in (UNKNOWN, ENHANCED):
            message = f"contrast phase {phase.label}, confidence {phase.confidence:.2f}"
            return volume_finding(volume, "CON-001", Severity.INFO, message, contrast=fact)
        severity = Severity.REVIEW if self.need_phase else Severity.WARN
        what = "contrast was given, but its phase is" if phase.code == ENHANCED else "the contrast phase is"
        return volume_finding(volume, "CON-002", severity, f"{what} not known", contrast=fact)


def contrast_fact(phase: Phase, evidence: list[Evidence]) -> dict[str, Any]:
    """Return the fact `contrast`."""
    return {
        "label": phase.label,
        "code": phase.code,
        "confidence": phase.confidence,
        "evidence": [each.line for each in evidence],
        "table_version": phase_lexicon.version(),
    }


def virtual_or_spectral(series: Series) -> list[Finding]:
    """Find virtual non-contrast and other spectral results (CON-009)."""
    found = []
    for volume in measured(series, "CT"):
        types = sorted(
            each for each in header.image_types_of(volume.frames[:1]) if each.startswith(SPECTRAL_TYPES)
        )
        is_virtual = _is_virtual(volume)
        is_spectral = header.text(volume.frames[0], "MultienergyCTAcquisition").upper() == "YES"
        if is_virtual or types or is_spectral:
            what = "virtual non-contrast images" if is_virtual else "images computed from a spectral scan"
            message = f"{what}; they are no acquired phase"
            found.append(
                volume_finding(volume, "CON-009", Severity.WARN, message, ImageType=types, virtual=is_virtual)
            )
    return found


SPECTRAL_TYPES = ("VNC", "VIRTUAL", "MONO", "IODINE", "ZEFF", "Z_EFF", "MAT_", "ENERGY_PROP", "EFF_ATOMIC")


def _is_virtual(volume: Volume) -> bool:
    types = header.image_types_of(volume.frames[:1])
    if any(each.startswith(("VNC", "VIRTUAL_NON", "VIRTUAL NON")) for each in types):
        return True
    return "VNC" in phase_lexicon.read(header.text(volume.frames[0], "SeriesDescription")).phases


def _contradiction(evidence: list[Evidence]) -> tuple[Evidence, Evidence] | None:
    """Return two strong statements that cannot both hold; one text may contradict itself."""
    strong = [each for each in evidence if each.weight >= STRONG]
    for each in strong:
        if any(contradict((a,), (b,)) for a, b in combinations(each.supports, 2)):
            return each, each
    return next(((a, b) for a, b in combinations(strong, 2) if contradict(a.supports, b.supports)), None)
