"""Whether the phases of a study come in the order in which contrast medium flows."""

from __future__ import annotations

from datetime import datetime

from handlers.model import Finding, Frame, Series, Severity, Volume
from handlers.triage import header, phase_evidence, phase_lexicon
from handlers.triage.phase_fusion import classes
from handlers.triage.targets import measured, volume_finding

SAME_ACQUISITION_S = 1.0
EQUAL = frozenset({"PV", "NEPH"})  # overlap in time


def phase_order(series: Series) -> list[Finding]:
    """Compare the phase that the description names with those of sibling series and their times (CON-007).

    Only phases that a description names are compared, and only where both acquisition times are known.
    """
    found = []
    for volume in measured(series, "CT"):
        own, time = _phase(header.text(volume.frames[0], "SeriesDescription")), _time(volume)
        if not own or time is None:
            continue
        for sibling in series.study:
            other = _phase(str(sibling.facts.get("SeriesDescription") or ""))
            other_time = phase_evidence.sibling_time(sibling)
            if not other or other_time is None or sibling.facts.get("Modality") not in (None, "CT"):
                continue
            later_s = (other_time - time).total_seconds()
            if _is_odd(own, other, later_s):
                when = "later" if later_s > 0 else "earlier"
                message = f"{own} here, but {other} {abs(later_s):.0f} s {when} in the study"
                evidence = {
                    "SeriesInstanceUID": sibling.series_instance_uid,
                    "phase": own,
                    "other_phase": other,
                }
                found.append(volume_finding(volume, "CON-007", Severity.WARN, message, **evidence))
                break
    return found


def _is_odd(own: str, other: str, later_s: float) -> bool:
    if own == other or {own, other} == EQUAL:
        return False
    if abs(later_s) < SAME_ACQUISITION_S:
        return True
    order = classes()
    return (order.index(other) > order.index(own)) != (later_s > 0)


def _phase(description: str) -> str:
    reading = phase_lexicon.read(description)
    named = [each for each in reading.phases if each in classes()]
    return named[0] if len(named) == 1 and not reading.is_protocol else ""


def _time(volume: Volume) -> datetime | None:
    times = [
        time
        for each in volume.instances
        if (time := phase_evidence.acquisition_time(Frame(each))) is not None
    ]
    return min(times, default=None)
