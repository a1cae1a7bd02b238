"""How the patient lay on the table; the geometry never depends on it."""

from __future__ import annotations

from handlers.model import Finding, Series, Severity
from handlers.triage import header
from handlers.triage.targets import STACKED, measured, volume_finding

NOT_SUPINE = {"P": "prone", "DR": "on the right side", "DL": "on the left side"}


def patient_position(series: Series) -> list[Finding]:
    """Find mixed (held) or missing patient position (GEO-016), and prone or lateral ones (GEO-018).

    The affine never rests on it: identical orientations occur for all of them.
    Source: PS3.3 C.7.3.1.1.2.
    """
    found = []
    for volume in measured(series, *STACKED):
        stated = header.distinct(volume.frames, "PatientPosition")
        evidence = {"PatientPosition": list(stated)}
        if len(stated) > 1:
            message = f"several patient positions in one volume: {', '.join(stated)}"
            found.append(volume_finding(volume, "GEO-016", Severity.REVIEW, message, **evidence))
        elif not stated and not header.items(volume.frames[0], "PatientOrientationCodeSequence"):
            message = "the patient position is not stated"
            found.append(volume_finding(volume, "GEO-016", Severity.WARN, message, **evidence))
        posture = NOT_SUPINE.get(stated[0].upper()[2:], "") if len(stated) == 1 else ""
        if posture:
            message = f"the patient lay {posture} ({stated[0]})"
            found.append(volume_finding(volume, "GEO-018", Severity.INFO, message, **evidence))
    return found
