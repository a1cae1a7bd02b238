"""Screens and converted pictures that are stored in the class of a real image."""

from __future__ import annotations

from handlers.model import Finding, Series, Severity
from handlers.triage import header
from handlers.triage.sop_classes import Kind, kind
from handlers.triage.targets import targets
from handlers.triage.words import first

# Digitized, drawn, copied from a workstation or a video; PS3.3 C.8.6.1. DF (film) is how film gets digital.
CONVERTED = frozenset({"WSD", "DV", "DI", "SD", "SI", "DRW", "SYN"})
SCREEN_TYPES = frozenset({
    "DOSE_INFO", "PATIENT_INFO", "RESULTS", "REF_SURVIEW",  # Philips
    "SCREEN SAVE", "SCREENSAVE", "DOSE_REPORT", "DOSE REPORT",  # GE
    "CSA REPORT", "PROTOCOL",  # Siemens
    "DOSEINFO",  # Canon
})  # fmt: skip
SCREEN_WORDS = (
    "dose report", "dose info", "dose information", "dose record", "dosisbericht", "dosisprotokoll",
    "patient protocol", "patientenprotokoll", "exam summary", "screen save", "screen saves", "screensave",
    "screenshot",
)  # fmt: skip
SLICES_OF_A_BODY = 10  # a "low dose report" of so many slices is a scan with an odd name


def converted_picture(series: Series) -> list[Finding]:
    """Find images of a normal class that were captured or converted (TRI-SC-002).

    Source: PS3.3 C.7.6.1.1.2 (ImageType) and C.8.6.1 (ConversionType).
    """
    found = []
    for target in targets(series):
        if kind(target.sop_class_uid) not in (Kind.IMAGE, Kind.UNKNOWN):
            continue
        conversion = [
            each for each in header.distinct(target.instances, "ConversionType") if each.upper() in CONVERTED
        ]
        types = header.image_types(target.frames[0])
        stated = header.texts(target.frames[0].instance, "ImageType")
        is_captured = [each.upper() for each in stated[:2]] == ["DERIVED", "SECONDARY"]
        if conversion or is_captured:
            why = f"ConversionType {conversion[0]}" if conversion else "ImageType DERIVED\\SECONDARY"
            evidence = {"ImageType": list(types), "ConversionType": conversion}
            message = f"{why} in a class for acquired images"
            found.append(target.finding("TRI-SC-002", Severity.REVIEW, message, evidence))
    return found


def dose_or_protocol_screen(series: Series) -> list[Finding]:
    """Find dose reports, protocol pages and screen saves by image type or description (TRI-SC-003)."""
    found = []
    for target in targets(series):
        if kind(target.sop_class_uid) not in (Kind.IMAGE, Kind.SECONDARY_CAPTURE, Kind.UNKNOWN):
            continue
        types = sorted(header.image_types_of(target.frames) & SCREEN_TYPES)
        word = "" if len(target.frames) > SLICES_OF_A_BODY else _screen_word(target.frames[0].instance)
        if types or word:
            evidence = {"ImageType": types, "words": word}
            message = f"a screen of the scanner, not an image of the patient ({types[0] if types else word})"
            found.append(target.finding("TRI-SC-003", Severity.ERROR, message, evidence))
    return found


def _screen_word(instance: header.Source) -> str:
    return first(header.text(instance, "SeriesDescription"), SCREEN_WORDS)
