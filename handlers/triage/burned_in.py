"""Text in the picture, as far as the header tells."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.errors import BytesLengthException

from handlers.model import Finding, Instance, Series, Severity
from handlers.triage import header
from handlers.triage.sop_classes import Kind, kind
from handlers.triage.targets import some, targets

SUSPECT = frozenset({"XA", "RF", "ES", "OT"})  # besides ultrasound, captures and film
ULTRASOUND = frozenset({"US", "IVUS"})
FILM = "DF"  # ConversionType: digitized film; PS3.3 C.8.6.1
OVERLAY_GROUPS = range(0x6000, 0x6020, 2)  # PS3.3 C.9.2
OVERLAY_DATA, OVERLAY_BITS_ALLOCATED, OVERLAY_BIT_POSITION = 0x3000, 0x0100, 0x0102
OVERLAYS = frozenset(group << 16 | OVERLAY_DATA for group in OVERLAY_GROUPS)
OVERLAYS_IN_BITS = frozenset(
    group << 16 | element
    for group in OVERLAY_GROUPS
    for element in (OVERLAY_BITS_ALLOCATED, OVERLAY_BIT_POSITION)
)


def burned_in_annotation(series: Series) -> list[Finding]:
    """Find images that say that text is burned into their pixels (DEI-BIA-001).

    NO is no proof of the contrary: dose screens of scanners say NO. Source: PS3.3 C.7.6.1 (0028,0301).
    """
    found = []
    for target in targets(series):
        marked = [each for each in target.instances if _statement(each) == "YES"]
        if marked:
            message = f"{len(marked)} of {len(target.instances)} images say that text is burned in"
            evidence = {"BurnedInAnnotation": "YES", "SOPInstanceUID": some(marked)}
            found.append(target.finding("DEI-BIA-001", Severity.REVIEW, message, evidence))
    return found


@dataclass(frozen=True, slots=True)
class ClearedToLeave:
    """Hold what may carry text in its pixels, for a profile whose images leave the hospital (DEI-BIA-004).

    Only images that say NO pass, and only of kinds into which nothing writes text by habit. Ultrasound, which
    seldom says anything, passes where the profile crops it to its B-mode region; what cannot be cropped is
    held then (USX-003). `is_wanted` turns the rule on.
    """

    is_wanted: bool = False
    crops_ultrasound: bool = False

    def __call__(self, series: Series) -> list[Finding]:
        """Look at kind and BurnedInAnnotation of every image. Source: PS3.3 C.7.6.1 (0028,0301)."""
        found = []
        for target in targets(series) if self.is_wanted else ():
            kinds = sorted({each for instance in target.instances if (each := self._suspect(instance))})
            silent = [
                each for each in target.instances if _statement(each) != "NO" and not self._is_cropped(each)
            ]
            if kinds or silent:
                why = f"{kinds[0]} often carries text" if kinds else "not every image says NO"
                message = f"text in the picture cannot be ruled out ({why})"
                evidence = {"kinds": kinds, "without_statement": len(silent), "SOPInstanceUID": some(silent)}
                found.append(target.finding("DEI-BIA-004", Severity.REVIEW, message, evidence))
        return found

    def _is_cropped(self, instance: Instance) -> bool:
        return self.crops_ultrasound and header.text(instance, "Modality").upper() in ULTRASOUND

    def _suspect(self, instance: Instance) -> str:
        """Return what makes the instance suspect, "" when nothing does."""
        modality = header.text(instance, "Modality").upper()
        if kind(instance.sop_class_uid) is Kind.SECONDARY_CAPTURE:
            return "secondary capture"
        if modality in ULTRASOUND:
            return "" if self._is_cropped(instance) else "ultrasound"
        if modality in SUSPECT:
            return modality
        is_film = header.text(instance, "ConversionType").upper() == FILM
        return "digitized film" if is_film else ""


def overlay_planes(series: Series) -> list[Finding]:
    """Find overlay planes, which may hold text and are part of no output (DEI-BIA-003).

    Planes of their own, and the retired kind that lies in bits of the pixels which hold no value: its
    OverlayBitsAllocated is that of the pixels, and OverlayBitPosition names the bit.
    Source: PS3.3 C.9.2; PS3.3-2004 C.9.2 for the retired kind.
    """
    found = []
    for target in targets(series):
        drawn = [each for each in target.instances if _has_overlay(each)]
        embedded = [each for each in target.instances if _has_embedded_overlay(each)]
        if drawn or embedded:
            both = {each.sop_instance_uid: each for each in (*drawn, *embedded)}
            message = f"{len(both)} of {len(target.instances)} images have overlay planes"
            evidence = {"SOPInstanceUID": some(both.values()), "in_unused_bits": len(embedded)}
            found.append(target.finding("DEI-BIA-003", Severity.INFO, message, evidence))
    return found


def _statement(instance: Instance) -> str:
    return header.text(instance, "BurnedInAnnotation").upper()


def _has_overlay(instance: Instance) -> bool:
    return not instance.header.keys().isdisjoint(OVERLAYS)


def _has_embedded_overlay(instance: Instance) -> bool:
    return not instance.header.keys().isdisjoint(OVERLAYS_IN_BITS) and any(
        _number(instance, group << 16 | OVERLAY_BITS_ALLOCATED) > 1
        or _number(instance, group << 16 | OVERLAY_BIT_POSITION) > 0
        for group in OVERLAY_GROUPS
    )


def _number(instance: Instance, tag: int) -> float:
    """Return a number of a repeating group, which has no keyword; 0 when there is none."""
    if tag not in instance.header:
        return 0.0
    try:
        return float(instance.header[tag].value)
    except (TypeError, ValueError, BytesLengthException):
        return 0.0
