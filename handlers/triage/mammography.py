"""Mammography: side and view, whether they agree, and what kind of image it is."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.model import Finding, Frame, Series, Severity, Volume
from handlers.triage import header
from handlers.triage.targets import measured, volume_finding

# SNOMED CT and the older SRT codes -> defined term of ViewPosition; PS3.16 CID 4014
VIEWS = {
    "399162004": "CC", "R-10242": "CC", "399368009": "MLO", "R-10226": "MLO", "399099002": "LMO",
    "R-10230": "LMO", "399260004": "ML", "R-10224": "ML", "399352003": "LM", "R-10228": "LM",
    "399192008": "XCCL", "R-1024A": "XCCL", "399101009": "XCCM", "R-1024B": "XCCM", "399196006": "FB",
    "R-10244": "FB", "399188001": "SIO", "R-102D0": "SIO", "441555000": "ISO", "R-40AAA": "ISO",
}  # fmt: skip
SPECIMEN = ("127457009", "G-8310")
KNOWN_POSITIONS = frozenset(VIEWS.values()) | {"XCC", "CCID", "MLOID"}
# PS3.16 CID 4015
MODIFIERS = {
    "399209000": "implant displaced", "R-102D5": "implant displaced", "399055006": "spot", "R-102D7": "spot",
    "399163009": "magnification", "R-102D6": "magnification",
}  # fmt: skip
ANGLES_DEG = {"CC": (0.0, 15.0), "MLO": (30.0, 70.0)}
TOMOSYNTHESIS = ("1.2.840.10008.5.1.4.1.1.13.1.3",)


def laterality(series: Series) -> list[Finding]:
    """Find mammograms without a side (MAM-001).

    ImageLaterality is Type 1 in this object; the series-level Laterality is not looked at.
    Source: PS3.3 C.8.11.7 (0020,0062), C.7.6.16.2.8 (0020,9072).
    """
    found = []
    for volume in measured(series, "MG"):
        frame = volume.frames[0]
        side = header.text(frame, "FrameLaterality").upper() or header.text(frame, "ImageLaterality").upper()
        if side not in ("L", "R", "B"):
            message = "ImageLaterality does not say left or right"
            found.append(volume_finding(volume, "MAM-001", Severity.REVIEW, message, ImageLaterality=side))
    return found


def view(series: Series) -> list[Finding]:
    """Find mammograms without a known view (MAM-002), and contradictory statements on it (MAM-003).

    Source: PS3.3 C.8.11.7 (0054,0220), C.8.11.5 (0018,5101).
    """
    found = []
    for volume in measured(series, "MG"):
        frame = volume.frames[0]
        codes = _codes(frame, "ViewCodeSequence")
        stated = [VIEWS[code] for code in codes if code in VIEWS]
        position = header.text(frame, "ViewPosition").upper()
        evidence = {"ViewCodeSequence": codes, "ViewPosition": position}
        if set(codes) & set(SPECIMEN):
            message = "a specimen, not a breast"
            found.append(volume_finding(volume, "MAM-002", Severity.REVIEW, message, **evidence))
        elif not stated and position not in KNOWN_POSITIONS:
            message = "neither the view code nor ViewPosition names a known view"
            found.append(volume_finding(volume, "MAM-002", Severity.REVIEW, message, **evidence))
        elif conflict := _conflict(frame, stated, position):
            found.append(volume_finding(volume, "MAM-003", Severity.REVIEW, conflict, **evidence))
    return found


def special_view(series: Series) -> list[Finding]:
    """Find spot, magnification and implant-displaced views (MAM-006). Source: PS3.16 CID 4015."""
    found = []
    for volume in measured(series, "MG"):
        frame = volume.frames[0]
        views = header.items(frame, "ViewCodeSequence")
        codes = [*_codes(frame, "ViewModifierCodeSequence"),
                 *(code for item in views for code in _codes(item, "ViewModifierCodeSequence"))]  # fmt: skip
        special = sorted({MODIFIERS[code] for code in codes if code in MODIFIERS})
        if special:
            message = f"not a screening view: {', '.join(special)}"
            found.append(volume_finding(volume, "MAM-006", Severity.WARN, message, modifiers=special))
    return found


def tomosynthesis(series: Series) -> list[Finding]:
    """Tell tomosynthesis, and images synthesized from it, from conventional mammograms (MAM-009)."""
    found = []
    for volume in measured(series, "MG"):
        kind = _tomosynthesis_kind(volume)
        if kind:
            evidence = {"SOPClassUID": volume.frames[0].instance.sop_class_uid, "kind": kind}
            found.append(volume_finding(volume, "MAM-009", Severity.INFO, f"a {kind}", **evidence))
    return found


@dataclass(frozen=True, slots=True)
class PresentationIntent:
    """Refuse mammograms that are for processing where presentation is wanted, or the reverse (MAM-005).

    `wanted` is "FOR PRESENTATION", "FOR PROCESSING", or "" to take both.
    """

    wanted: str = ""

    def __call__(self, series: Series) -> list[Finding]:
        """Compare PresentationIntentType of every mammogram with `wanted`. Source: PS3.3 C.8.11.1."""
        found = []
        for volume in measured(series, "MG") if self.wanted else ():
            stated = header.text(volume.frames[0], "PresentationIntentType").upper()
            if stated and stated != self.wanted:
                message = f"the image is {stated}, the profile wants {self.wanted}"
                evidence = {"PresentationIntentType": stated}
                found.append(volume_finding(volume, "MAM-005", Severity.ERROR, message, **evidence))
        return found


def _conflict(frame: Frame, stated: list[str], position: str) -> str:
    if (
        stated
        and position in KNOWN_POSITIONS
        and position not in stated
        and not position.startswith(stated[0])
    ):
        return f"the view code says {stated[0]}, ViewPosition {position}"
    view_name = stated[0] if stated else position
    angle = header.number(frame, "PositionerPrimaryAngle")
    low, high = ANGLES_DEG.get(view_name, (0.0, 180.0))
    if angle is not None and not low <= abs(angle) <= high:
        return f"the view is {view_name}, but the tube stood at {angle:g} degrees"
    return ""


def _codes(source: header.Source, keyword: str) -> list[str]:
    return [code for item in header.items(source, keyword) if (code := header.text(item, "CodeValue"))]


def _tomosynthesis_kind(volume: Volume) -> str:
    if volume.frames[0].instance.sop_class_uid in TOMOSYNTHESIS:
        return "tomosynthesis volume"
    types = header.image_types_of(volume.frames[:1])
    return "2-D image synthesized from tomosynthesis" if any("GENERATED_2D" in each for each in types) else ""
