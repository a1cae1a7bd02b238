"""Contrast agents and routes as recorded: outside the veins, several of them, and in MR."""

from __future__ import annotations

from handlers.model import Finding, Series, Severity
from handlers.triage import header, phase_evidence, phase_lexicon
from handlers.triage.targets import measured, volume_finding


def other_routes(series: Series) -> list[Finding]:
    """Note contrast outside the veins (CON-008), and several agents or routes (CON-010).

    Source: PS3.3 C.7.6.4.
    """
    found = []
    for volume in measured(series, "CT", "MR"):
        frame = volume.frames[0]
        given = phase_evidence.agent(frame)
        evidence = {"ContrastBolusAgent": given.value, "routes": list(given.routes)}
        if given.is_elsewhere and not given.is_none:
            message = "contrast medium was given by a route that does not enhance vessels"
            found.append(volume_finding(volume, "CON-008", Severity.INFO, message, **evidence))
        agents = len(header.items(frame, "ContrastBolusAgentSequence"))
        if agents > 1 or len(set(given.routes)) > 1 or (given.is_elsewhere and given.is_intravenous):
            message = "several contrast agents or routes are recorded"
            found.append(volume_finding(volume, "CON-010", Severity.INFO, message, **evidence))
    return found


def mr_contrast(series: Series) -> list[Finding]:
    """Say of MR that contrast was given, where agent or description say so; never a phase (CON-001)."""
    found = []
    for volume in measured(series, "MR"):
        frame = volume.frames[0]
        given = phase_evidence.agent(frame)
        description = header.text(frame, "SeriesDescription")
        is_told = "CE" in phase_lexicon.read(description).phases
        is_given = (
            bool(given.value) and not given.is_none and (given.is_intravenous or not given.is_elsewhere)
        )
        if not is_told and not is_given:
            continue
        source, raw = ("ContrastBolusAgent", given.value) if is_given else ("SeriesDescription", description)
        fact = {
            "label": "CE_UNSPECIFIED",
            "code": "CE",
            "confidence": 0.9
            if is_told
            else 0.8,  # the agent of a study is often copied to its series before injection
            "evidence": [{"source": source, "raw": raw, "supports": "CE", "weight": 1.0}],
            "table_version": phase_lexicon.version(),
        }
        message = f"contrast was given, by {source}; no phase is claimed for MR"
        found.append(volume_finding(volume, "CON-001", Severity.INFO, message, contrast=fact))
    return found
