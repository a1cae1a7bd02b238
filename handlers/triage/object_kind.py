"""What kind of object this is: an image, a screen, something else, or nothing that has pixels."""

from __future__ import annotations

from handlers.model import Finding, Series, Severity
from handlers.triage import header
from handlers.triage.sop_classes import Kind, kind, modalities, other_kind
from handlers.triage.targets import STACKED, some, targets

COLOUR = ("RGB", "PALETTE COLOR")  # and every YBR; PS3.3 C.7.6.3.1.2


def secondary_capture(series: Series) -> list[Finding]:
    """Find secondary captures by their SOP class, whatever modality they state (TRI-SC-001).

    A screen of a CT bears Modality CT, PixelSpacing and even a rescale intercept, so that nothing
    but the class tells. Source: PS3.4 B.5, the five Secondary Capture classes.
    """
    return [
        target.finding(
            "TRI-SC-001",
            Severity.ERROR,
            "secondary capture: a picture of a screen or a document, not measured image data",
            {
                "SOPClassUID": target.sop_class_uid,
                "Modality": target.modality,
                "instances": len(target.instances),
            },
        )
        for target in targets(series)
        if kind(target.sop_class_uid) is Kind.SECONDARY_CAPTURE
    ]


def not_an_image(series: Series) -> list[Finding]:
    """Find reports, segmentations, radiotherapy objects and what else is no radiology image (TRI-OBJ-001)."""
    return [
        target.finding(
            "TRI-OBJ-001",
            Severity.ERROR,
            f"not a radiology image but a {name}",
            {
                "SOPClassUID": target.sop_class_uid,
                "Modality": target.modality,
                "instances": len(target.instances),
            },
        )
        for target in targets(series)
        if (name := other_kind(target.sop_class_uid))
    ]


def modality_against_class(series: Series) -> list[Finding]:
    """Find images whose Modality contradicts their SOP class (TRI-OBJ-002)."""
    found = []
    for target in targets(series):
        fitting = modalities(target.sop_class_uid)
        stated = header.distinct(target.frames, "Modality")
        wrong = [each for each in stated if fitting and each not in fitting]
        if wrong:
            message = (
                f"Modality {wrong[0]} does not fit the SOP class, which is for {' or '.join(sorted(fitting))}"
            )
            evidence = {"Modality": list(stated), "SOPClassUID": target.sop_class_uid}
            found.append(target.finding("TRI-OBJ-002", Severity.REVIEW, message, evidence))
    return found


def no_pixels(series: Series) -> list[Finding]:
    """Find media directories, and images without pixel data (TRI-OBJ-003)."""
    found = []
    for target in targets(series):
        what = kind(target.sop_class_uid)
        bare = [instance for instance in target.instances if not instance.pixel_keyword]
        if what is Kind.OTHER or not bare:
            continue
        thing = "media directory" if what is Kind.DIRECTORY else "object without pixel data"
        evidence = {"SOPInstanceUID": some(bare), "instances": len(bare)}
        found.append(target.finding("TRI-OBJ-003", Severity.ERROR, f"{len(bare)} {thing}", evidence))
    return found


def colour(series: Series) -> list[Finding]:
    """Find colour in CT, MR and PET, where pixels are measured values (TRI-OBJ-004)."""
    found = []
    for target in targets(series):
        if target.modality not in STACKED or kind(target.sop_class_uid) not in (Kind.IMAGE, Kind.UNKNOWN):
            continue
        coloured = [
            instance
            for instance in target.instances
            if _is_colour(
                header.text(instance, "SamplesPerPixel"),
                header.text(instance, "PhotometricInterpretation").upper(),
            )
        ]
        if coloured:
            message = f"{len(coloured)} of {len(target.instances)} {target.modality} images are in colour"
            evidence = {
                "PhotometricInterpretation": header.text(coloured[0], "PhotometricInterpretation"),
                "SOPInstanceUID": some(coloured),
            }
            found.append(target.finding("TRI-OBJ-004", Severity.REVIEW, message, evidence))
    return found


def _is_colour(samples: str, photometric: str) -> bool:
    return samples == "3" or photometric in COLOUR or photometric.startswith("YBR")
