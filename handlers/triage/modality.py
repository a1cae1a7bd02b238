"""Whether the modality, its attributes and the body part make sense together."""

from __future__ import annotations

from handlers.model import Finding, Series, Severity
from handlers.triage import header
from handlers.triage.targets import measured, volume_finding
from handlers.triage.words import first

MR_ATTRIBUTES = (
    "MagneticFieldStrength",
    "EchoTime",
    "RepetitionTime",
    "ScanningSequence",
    "ImagingFrequency",
)
XRAY_ATTRIBUTES = ("KVP", "ConvolutionKernel")
REGIONS = {
    "head": (
        "head", "brain", "skull", "kopf", "schadel", "hirn", "cerebr*", "crane", "cranium", "cranio",
        "testa", "cabeza", "craneo", "glowa", "glowy", "mozg*", "encephal*",
    ),
    "chest": (
        "chest", "thorax", "lung", "lungs", "heart", "lunge", "thoracic", "torace", "torax", "klatk*",
        "pluc*", "poumon*", "ctpa", "coronar*",
    ),
    "abdomen": (
        "abdomen", "abdom*", "liver", "kidney", "pelvis", "leber", "niere*", "becken", "addom*", "brzuch*",
        "foie", "bassin", "higado", "fegato", "pancreas",
    ),
    "limb": (
        "knee", "ankle", "foot", "hand", "wrist", "elbow", "shoulder", "hip", "femur", "knie", "schulter",
        "genou", "rodilla",
    ),
}  # fmt: skip


def several_modalities(series: Series) -> list[Finding]:
    """Find a series with more than one Modality (MOD-001). Source: PS3.3 C.7.3.1."""
    stated = header.distinct(series.instances, "Modality")
    if len(stated) < 2:
        return []
    message = f"one series, several modalities: {', '.join(stated)}"
    return [Finding("MOD-001", Severity.REVIEW, message, evidence={"Modality": list(stated)})]


def body_part_against_description(series: Series) -> list[Finding]:
    """Find a coded body part that the description contradicts (MOD-002)."""
    for instance in series.instances[:1]:
        coded = _regions(header.text(instance, "BodyPartExamined"))
        described = _regions(header.text(instance, "SeriesDescription"))
        if len(coded) == 1 and described and not coded & described:
            evidence = {
                "BodyPartExamined": header.text(instance, "BodyPartExamined"),
                "described": sorted(described),
            }
            message = f"BodyPartExamined says {min(coded)}, the description {' and '.join(sorted(described))}"
            return [Finding("MOD-002", Severity.INFO, message, evidence=evidence)]
    return []


def attributes_against_modality(series: Series) -> list[Finding]:
    """Find CT with attributes of MR, which is held, and original CT without any of X-rays (MOD-003)."""
    found = []
    for volume in measured(series, "CT"):
        frame = volume.frames[0]
        foreign = [keyword for keyword in MR_ATTRIBUTES if header.text(frame, keyword)]
        if foreign:
            message = f"a CT image bears attributes of MR: {', '.join(foreign)}"
            found.append(volume_finding(volume, "MOD-003", Severity.REVIEW, message, foreign=foreign))
        absent = [keyword for keyword in XRAY_ATTRIBUTES if not header.text(frame, keyword)]
        if len(absent) == len(XRAY_ATTRIBUTES) and "ORIGINAL" in header.image_types(frame)[:1]:
            message = f"an original CT image without {' and '.join(absent)}"
            found.append(volume_finding(volume, "MOD-003", Severity.WARN, message, absent=absent))
    return found


def _regions(text: str) -> set[str]:
    return {region for region, wanted in REGIONS.items() if first(text, wanted)}
