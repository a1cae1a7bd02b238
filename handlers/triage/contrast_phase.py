"""The contrast phase of a CT volume, with its confidence and its evidence, or that it is unknown."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from handlers.api import ContrastOptions
from handlers.model import Finding, Series, Severity, Volume
from handlers.triage import (
    aorta_evidence,
    header,
    phase_classifier,
    phase_evidence,
    phase_lexicon,
    phase_study,
    phase_times,
)
from handlers.triage.agent_record import Agent, agent
from handlers.triage.phase_fusion import ENHANCED, UNKNOWN, Evidence, Phase, contradict, fuse
from handlers.triage.phase_times import Injection
from handlers.triage.targets import measured, volume_finding

STRONG = 1.0  # weight from which on two statements may contradict each other
# What these support are alternatives, not statements that all have to hold.
ALTERNATIVES = frozenset({aorta_evidence.SOURCE, phase_classifier.SOURCE})
VIRTUAL = Phase("VNC", "VIRTUAL_NON_CONTRAST", 0.95, is_sure=True)
# What this rule says of a CT volume; said anew when values were looked at.
CODES = frozenset({"CON-001", "CON-002", "CON-003", "CON-004", "CON-005", "CON-006", "CON-011"})


@dataclass(frozen=True, slots=True)
class ContrastPhase:
    """Label the contrast phase (CON-001 to CON-006, CON-011); `need_phase` holds what has none (CON-002).

    With `whole`, the series as it was split, the rule looks at values: it is then called with a series that
    holds one decoded volume, and with the findings so far.
    """

    need_phase: bool = False
    options: ContrastOptions = field(default_factory=ContrastOptions)
    whole: Series | None = None

    def __call__(self, series: Series) -> list[Finding]:
        """Judge every CT volume by what its headers say, and by its values where they are at hand."""
        return [finding for volume in measured(series, "CT") for finding in self._judge(series, volume)]

    def _judge(self, series: Series, volume: Volume) -> list[Finding]:
        given, injection = agent(volume.frames[0]), phase_times.injection(volume)
        evidence = _header_evidence(self.whole or series, volume, given, injection)
        failure = ""
        if self.whole is not None:
            if self.options.image_evidence:
                evidence += aorta_evidence.aorta_evidence(volume, series.findings)
            if self.options.classifier:
                answer = phase_classifier.ask(volume, self.options)
                evidence += answer.evidence
                failure = answer.failure
        phase = VIRTUAL if _is_virtual(volume) else fuse(evidence, temperature=self.options.temperature)
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
        return [*found, *_about_the_record(volume, phase, given, injection), *_failed(volume, failure)]

    def _label(self, volume: Volume, phase: Phase, evidence: list[Evidence]) -> Finding:
        fact = contrast_fact(phase, evidence, self.options)
        if phase.code not in (UNKNOWN, ENHANCED):
            how = "" if self.options.calibration else " (not calibrated)"
            message = f"contrast phase {phase.label}, confidence {phase.confidence:.2f}{how}"
            return volume_finding(volume, "CON-001", Severity.INFO, message, contrast=fact)
        severity = Severity.REVIEW if self.need_phase else Severity.WARN
        what = "contrast was given, but its phase is" if phase.code == ENHANCED else "the contrast phase is"
        return volume_finding(volume, "CON-002", severity, f"{what} not known", contrast=fact)


def _header_evidence(series: Series, volume: Volume, given: Agent, injection: Injection) -> list[Evidence]:
    frame = volume.frames[0]
    return [
        *phase_evidence.text_evidence(frame),
        *phase_evidence.agent_evidence(frame, given),
        *phase_evidence.usage_evidence(frame),
        *phase_evidence.delay_evidence(injection),
        *phase_evidence.bolus_tracking_before(volume, series.study),
        *phase_study.study_evidence(series, volume),
    ]


def _about_the_record(volume: Volume, phase: Phase, given: Agent, injection: Injection) -> list[Finding]:
    """Compare agent and start of injection, as recorded, with the phase that was found."""
    found = []
    is_enhanced = phase.code not in (UNKNOWN, "NC", "VNC")
    if is_enhanced and (not given.value or given.is_none):
        stated = "says that none was given" if given.is_none else "is empty or absent"
        message = f"contrast is evident, but ContrastBolusAgent {stated}"
        evidence = {"ContrastBolusAgent": given.value}
        found.append(volume_finding(volume, "CON-005", Severity.WARN, message, **evidence))
    if injection.objection:
        message = f"ContrastBolusStartTime was not used: {injection.objection}"
        found.append(volume_finding(volume, "CON-006", Severity.INFO, message))
    return found


def _failed(volume: Volume, failure: str) -> list[Finding]:
    if not failure:
        return []
    message = f"the classifier of contrast phases gave no answer: {failure}"
    return [volume_finding(volume, "CON-011", Severity.WARN, message)]


def contrast_fact(phase: Phase, evidence: list[Evidence], options: ContrastOptions) -> dict[str, Any]:
    """Return the fact `contrast`; a calibration is fitted on `scores`; `calibration` is None without one."""
    return {
        "label": phase.label,
        "code": phase.code,
        "confidence": phase.confidence,
        "evidence": [each.line for each in evidence],
        "scores": dict(phase.scores),
        "calibration": dict(options.calibration) or None,
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
        if each.source in ALTERNATIVES:
            continue
        if any(contradict((a,), (b,)) for a, b in combinations(each.supports, 2)):
            return each, each
    return next(((a, b) for a, b in combinations(strong, 2) if contradict(a.supports, b.supports)), None)
