"""Attributes that triage reads, and whose value breaks its format."""

from __future__ import annotations

from collections import defaultdict

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.model import Finding, Instance, Series, Severity
from handlers.triage.targets import LISTED

NUMERIC = (
    "SliceThickness", "SpacingBetweenSlices", "GantryDetectorTilt", "KVP", "HeartRate", "TriggerTime",
    "NominalInterval", "InstanceNumber", "NumberOfFrames", "WindowCenter", "WindowWidth",
    "LossyImageCompressionRatio",
)  # fmt: skip


def malformed_attributes(series: Series) -> list[Finding]:
    """Name numeric attributes that are no numbers (ING-013); the rules take them as unknown."""
    wrong: dict[str, list[str]] = defaultdict(list)
    for instance in series.instances:
        for keyword in NUMERIC:
            if _is_malformed(instance, keyword):
                wrong[keyword].append(instance.sop_instance_uid)
    if not wrong:
        return []
    message = f"{', '.join(wrong)} cannot be read as numbers"
    evidence = {keyword: uids[:LISTED] for keyword, uids in wrong.items()}
    return [Finding("ING-013", Severity.WARN, message, evidence=evidence)]


def _is_malformed(instance: Instance, keyword: str) -> bool:
    try:
        attributes.numbers(instance, keyword)
    except MalformedAttributeError:
        return True
    return False
