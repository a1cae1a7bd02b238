"""Attributes that triage reads, and whose value breaks its format."""

from __future__ import annotations

from collections import defaultdict

from pydicom.charset import python_encoding

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.model import Finding, Instance, Series, Severity
from handlers.triage import header
from handlers.triage.targets import LISTED

NUMERIC = (
    "SliceThickness", "SpacingBetweenSlices", "GantryDetectorTilt", "KVP", "HeartRate", "TriggerTime",
    "NominalInterval", "InstanceNumber", "NumberOfFrames", "WindowCenter", "WindowWidth",
    "LossyImageCompressionRatio",
)  # fmt: skip
DESCRIPTIONS = ("SeriesDescription", "StudyDescription", "ProtocolName", "ImageComments", "PatientName")
REPLACED = "\N{REPLACEMENT CHARACTER}"  # what decoding puts in place of bytes that are no character


def malformed_attributes(series: Series) -> list[Finding]:
    """Name numeric attributes that are no numbers, and a missing Modality (ING-013).

    The rules take such a number as unknown, and the modality from the SOP class.
    """
    wrong: dict[str, list[str]] = defaultdict(list)
    for instance in series.instances:
        for keyword in NUMERIC:
            if _is_malformed(instance, keyword):
                wrong[keyword].append(instance.sop_instance_uid)
        if not header.text(instance, "Modality"):
            wrong["Modality"].append(instance.sop_instance_uid)
    if not wrong:
        return []
    message = f"{', '.join(wrong)}: not a number, or missing where one must be"
    evidence = {keyword: uids[:LISTED] for keyword, uids in wrong.items()}
    return [Finding("ING-013", Severity.WARN, message, evidence=evidence)]


def undecodable_text(series: Series) -> list[Finding]:
    """Find descriptions that their character set does not allow, and unknown character sets (ING-006).

    The first instance stands for the series. Only keywords are named: the text may be a person's name.
    Source: PS3.3 C.12.1.1.2.
    """
    for instance in series.instances[:1]:
        terms = header.texts(instance, "SpecificCharacterSet")
        unknown = [term for term in terms if term not in python_encoding]
        broken = [keyword for keyword in DESCRIPTIONS if REPLACED in header.text(instance, keyword)]
        if unknown or broken:
            message = f"text does not fit its character set {', '.join(terms) or '(none stated)'}"
            evidence = {"keywords": broken, "unknown": unknown, "SpecificCharacterSet": list(terms)}
            return [Finding("ING-006", Severity.INFO, message, evidence=evidence)]
    return []


def _is_malformed(instance: Instance, keyword: str) -> bool:
    try:
        attributes.numbers(instance, keyword)
    except MalformedAttributeError:
        return True
    return False
