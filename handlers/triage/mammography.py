"""Mammography: side and view, whether they agree, and what kind of image it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from handlers.breast_views import CONVENTIONAL, STEREOTACTIC, BreastView, breast_view, presentation_intent
from handlers.model import Finding, Frame, Series, Severity, Volume
from handlers.tables import table
from handlers.triage import header
from handlers.triage.targets import measured, volume_finding

NOT_SCREENING = frozenset({"spot", "magnification", "implant displaced"})
WITH_INTENT = ("MG", "DX", "IO")  # PS3.3 C.8.11.1


def laterality(series: Series) -> list[Finding]:
    """Find mammograms without a side (MAM-001).

    ImageLaterality is Type 1 in this object; the series-level Laterality is not looked at.
    Source: PS3.3 C.8.11.7 (0020,0062), C.7.6.16.2.8 (0020,9072).
    """
    found = []
    for volume, shown in _mammograms(series):
        if not shown.side:
            stated = header.text(volume.frames[0], "ImageLaterality")
            message = "ImageLaterality does not say left or right"
            found.append(volume_finding(volume, "MAM-001", Severity.REVIEW, message, ImageLaterality=stated))
    return found


def view(series: Series) -> list[Finding]:
    """Find mammograms without a known view (MAM-002), and contradictory statements on it (MAM-003).

    A specimen is no breast and is refused. A view that the description alone names is marked.
    Source: PS3.3 C.8.11.7 (0054,0220), C.8.11.5 (0018,5101).
    """
    found = []
    for volume, shown in _mammograms(series):
        frame = volume.frames[0]
        codes = [header.text(item, "CodeValue") for item in header.items(frame, "ViewCodeSequence")]
        position = header.text(frame, "ViewPosition").upper()
        evidence: dict[str, Any] = {"ViewCodeSequence": codes, "ViewPosition": position}
        if shown.is_specimen:
            message = "a specimen, not a breast"
            found.append(volume_finding(volume, "MAM-002", Severity.ERROR, message, **evidence))
        elif not shown.view:
            message = "neither the view code nor ViewPosition names a known view"
            found.append(volume_finding(volume, "MAM-002", Severity.REVIEW, message, **evidence))
        elif shown.source == "SeriesDescription":
            message = f"only the description names the view ({shown.view})"
            evidence |= {"view": shown.view, "source": shown.source}
            found.append(volume_finding(volume, "MAM-002", Severity.WARN, message, **evidence))
        elif conflict := _conflict(frame, shown):
            angle = header.number(frame, "PositionerPrimaryAngle")
            evidence |= {"PositionerPrimaryAngle": angle}
            found.append(volume_finding(volume, "MAM-003", Severity.REVIEW, conflict, **evidence))
    return found


def special_view(series: Series) -> list[Finding]:
    """Find spot, magnification, implant-displaced and stereotactic views (MAM-006).

    Source: PS3.16 CID 4015, PS3.3 C.8.11.7.1.4.
    """
    found = []
    for volume, shown in _mammograms(series):
        special = sorted(NOT_SCREENING & set(shown.modifiers))
        special += [STEREOTACTIC] if shown.kind == STEREOTACTIC else []
        if special:
            message = f"not a screening view: {', '.join(special)}"
            found.append(volume_finding(volume, "MAM-006", Severity.WARN, message, modifiers=special))
    return found


def tomosynthesis(series: Series) -> list[Finding]:
    """Tell tomosynthesis, and images synthesized from it, from conventional mammograms (MAM-009).

    The SOP class tells volumes and projections, ImageType tells synthesized images.
    Source: PS3.3 C.8.11.7.1.4.
    """
    found = []
    for volume, shown in _mammograms(series):
        if shown.kind not in (CONVENTIONAL, STEREOTACTIC):
            evidence = {"SOPClassUID": volume.frames[0].instance.sop_class_uid, "kind": shown.kind}
            found.append(volume_finding(volume, "MAM-009", Severity.INFO, shown.kind, **evidence))
    return found


@dataclass(frozen=True, slots=True)
class PresentationIntent:
    """Refuse images that are for processing where presentation is wanted, or the reverse (MAM-005).

    `wanted` is "FOR PRESENTATION", "FOR PROCESSING", or "" to take both. Mammography, DX and intra-oral
    images are made for either; where the attribute is absent the SOP class says which.
    """

    wanted: str = ""

    def __call__(self, series: Series) -> list[Finding]:
        """Compare PresentationIntentType of every image with `wanted`. Source: PS3.3 C.8.11.1."""
        found = []
        for volume in measured(series, *WITH_INTENT) if self.wanted else ():
            stated = presentation_intent(volume.frames[0])
            if stated and stated != self.wanted:
                message = f"the image is {stated}, the profile wants {self.wanted}"
                evidence = {"PresentationIntentType": stated}
                found.append(volume_finding(volume, "MAM-005", Severity.ERROR, message, **evidence))
        return found


def _mammograms(series: Series) -> Iterator[tuple[Volume, BreastView]]:
    for volume in measured(series, "MG"):
        yield volume, breast_view(volume.frames[0])


def _conflict(frame: Frame, shown: BreastView) -> str:
    """Compare code, ViewPosition and the angle of the tube; a frame that moves the tube has no one angle."""
    is_same = shown.position == shown.coded or (shown.position == "XCC" and shown.coded.startswith("XCC"))
    if shown.coded and shown.position and not is_same:
        return f"the view code says {shown.coded}, ViewPosition {shown.position}"
    angle = header.number(frame, "PositionerPrimaryAngle")
    low, high = table("projections")["angles_deg"].get(shown.view, (0.0, 180.0))
    if shown.kind == CONVENTIONAL and angle is not None and not low <= abs(angle) <= high:
        return f"the view is {shown.view}, but the tube stood at {angle:g} degrees"
    return ""
