"""Text in the picture, as far as the header tells."""

from __future__ import annotations

from handlers.model import Finding, Instance, Series, Severity
from handlers.triage import header
from handlers.triage.targets import some, targets

OVERLAY_GROUPS = range(0x6000, 0x6020, 2)  # PS3.3 C.9.2
OVERLAY_DATA = 0x3000


def burned_in_annotation(series: Series) -> list[Finding]:
    """Find images that say that text is burned into their pixels (DEI-BIA-001).

    NO is no proof of the contrary: dose screens of scanners say NO. Source: PS3.3 C.7.6.1 (0028,0301).
    """
    found = []
    for target in targets(series):
        marked = [
            each for each in target.instances if header.text(each, "BurnedInAnnotation").upper() == "YES"
        ]
        if marked:
            message = f"{len(marked)} of {len(target.instances)} images say that text is burned in"
            evidence = {"BurnedInAnnotation": "YES", "SOPInstanceUID": some(marked)}
            found.append(target.finding("DEI-BIA-001", Severity.REVIEW, message, evidence))
    return found


def overlay_planes(series: Series) -> list[Finding]:
    """Find overlay planes, which may hold text and are part of no output (DEI-BIA-003)."""
    found = []
    for target in targets(series):
        drawn = [each for each in target.instances if _has_overlay(each)]
        if drawn:
            message = f"{len(drawn)} of {len(target.instances)} images have overlay planes"
            found.append(
                target.finding("DEI-BIA-003", Severity.INFO, message, {"SOPInstanceUID": some(drawn)})
            )
    return found


def _has_overlay(instance: Instance) -> bool:
    return any((group << 16) | OVERLAY_DATA in instance.header for group in OVERLAY_GROUPS)
