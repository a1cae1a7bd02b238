"""The respiratory phase of a volume: bins of a 4-D scan, inspiration and expiration, averages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from handlers.model import Finding, Series, Severity, Volume
from handlers.triage import header, respiratory_sources, respiratory_text
from handlers.triage.targets import measured, volume_finding

GATED_MODALITIES = ("CT", "PT")
COMBINED_TYPES = frozenset({"AVERAGE", "MEAN", "MAX_IP", "MIN_IP", "MEAN_IP", "MIP", "MINIP"})
MIN_BINS = 2  # of a study, to speak of a 4-D scan


def respiratory_phase(series: Series) -> list[Finding]:
    """State the respiratory phase of CT and PET (RSP-001), and labels that contradict each other (RSP-004).

    Source: PS3.3 C.7.6.16.2.17, C.7.6.18.2.
    """
    found = []
    for volume in measured(series, *GATED_MODALITIES):
        fact = respiratory_sources.fact(volume)
        if fact is None:
            continue
        what = f"{fact['phase_percent']:g} %" if fact["phase_percent"] is not None else fact["phase"].lower()
        message = f"respiratory phase {what}, by {fact['source']}"
        found.append(volume_finding(volume, "RSP-001", Severity.INFO, message, respiratory=fact))
        found += _contradiction(volume)
    return found


def combined_breathing(series: Series) -> list[Finding]:
    """Find averages and projections over the breathing cycle (RSP-002); refused, as any projection.

    Where the study holds the bins of a 4-D scan in the same frame of reference, an average or projection
    without a phase of its own is one over them, also when its own header does not say so; then this rule
    says TRI-DER-003 as well.
    """
    found = []
    for volume in measured(series, *GATED_MODALITIES):
        description = header.text(volume.frames[0], "SeriesDescription")
        words = respiratory_text.combined(description)
        is_told = bool(words)
        if not is_told and not respiratory_sources.breaths(volume) and _has_bins(series, volume):
            types = sorted(header.image_types_of(volume.frames) & COMBINED_TYPES)
            words = respiratory_text.names_a_combination(description) or ", ".join(types)
        if words:
            message = f"an average or projection over all breathing phases ({words})"
            codes = ("RSP-002",) if is_told else ("RSP-002", "TRI-DER-003")
            found += [volume_finding(volume, code, Severity.ERROR, message, words=words) for code in codes]
    return found


def _contradiction(volume: Volume) -> list[Finding]:
    stated = [each for each in respiratory_sources.breaths(volume) if each.side]
    if len({each.side for each in stated}) < 2:
        return []
    labels = {each.source: each.name or f"{each.percent:g} % {each.half}" for each in stated}
    message = f"inspiration and expiration are both stated: {_listed(labels)}"
    return [volume_finding(volume, "RSP-004", Severity.REVIEW, message, **labels)]


def _listed(labels: dict[str, Any]) -> str:
    return ", ".join(f"{source} {label}" for source, label in labels.items())


def _has_bins(series: Series, volume: Volume) -> bool:
    frame_of_reference = header.text(volume.frames[0], "FrameOfReferenceUID")
    told = _siblings_text(series, frame_of_reference)
    bins = {
        (read.percent, read.half)
        for text in told
        if (read := respiratory_text.read(text)).percent is not None
    }
    return bool(frame_of_reference) and len(bins) >= MIN_BINS


def _siblings_text(series: Series, frame_of_reference: str) -> Iterable[str]:
    for sibling in series.study:
        if sibling.facts.get("FrameOfReferenceUID") == frame_of_reference:
            yield str(sibling.facts.get("SeriesDescription") or "")
