"""Whether the phases of a study come in the order in which contrast medium flows."""

from __future__ import annotations

from handlers.model import Finding, Series, Severity
from handlers.triage import header, phase_lexicon, phase_study
from handlers.triage.phase_fusion import classes
from handlers.triage.targets import measured, volume_finding


def phase_order(series: Series) -> list[Finding]:
    """Compare the phase that the description names with those of sibling series and their times (CON-007).

    Only phases that a description names are compared, and only where both acquisition times are known, or
    where both belong to one irradiation event, which cannot have two phases.
    """
    found = []
    for volume in measured(series, "CT"):
        own, here = _phase(header.text(volume.frames[0], "SeriesDescription")), phase_study.of_volume(volume)
        if not own:
            continue
        for sibling in series.study:
            other = _phase(str(sibling.facts.get("SeriesDescription") or ""))
            if not other or sibling.facts.get("Modality") not in (None, "CT"):
                continue
            if objection := _objection(own, here, other, phase_study.of_sibling(sibling)):
                evidence = {
                    "SeriesInstanceUID": sibling.series_instance_uid,
                    "phase": own,
                    "other_phase": other,
                }
                found.append(volume_finding(volume, "CON-007", Severity.WARN, objection, **evidence))
                break
    return found


def _objection(own: str, here: phase_study.Acquisition, other: str, there: phase_study.Acquisition) -> str:
    """Return what is odd about two named phases, "" for nothing."""
    if own == other or {own, other} == phase_study.OVERLAPPING:
        return ""
    if here.event and here.event == there.event:
        return f"{own} here, but {other} in another series of the same irradiation event"
    if here.time is None or there.time is None:
        return ""
    later_s = (there.time - here.time).total_seconds()
    if abs(later_s) < phase_study.SAME_ACQUISITION_S:
        return f"{own} here, but {other} at the same time in the study"
    first, second = (own, other) if later_s > 0 else (other, own)
    if phase_study.can_follow(first, second):
        return ""
    when = "later" if later_s > 0 else "earlier"
    return f"{own} here, but {other} {abs(later_s):.0f} s {when} in the study"


def _phase(description: str) -> str:
    reading = phase_lexicon.read(description)
    named = [each for each in reading.phases if each in classes()]
    return named[0] if len(named) == 1 and not reading.is_protocol else ""
