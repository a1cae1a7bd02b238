"""Magnitude, phase, real and imaginary images of MR."""

from __future__ import annotations

from handlers import attributes
from handlers.model import Finding, Frame, Series, Severity
from handlers.triage import header
from handlers.triage.targets import measured, volume_finding

BY_LETTER = {"M": "MAGNITUDE", "P": "PHASE", "R": "REAL", "I": "IMAGINARY"}
GE_COMPONENTS = ("MAGNITUDE", "PHASE", "REAL", "IMAGINARY")  # GEMS_PARM_01 (0043,xx2F) 0 to 3


def mr_components(series: Series) -> list[Finding]:
    """Note MR volumes that are not magnitude images (MRS-003). Source: PS3.3 C.8.13.3.1.1 (0008,9208)."""
    found = []
    for volume in measured(series, "MR"):
        component = _component(volume.frames[0])
        if component and component != "MAGNITUDE":
            message = f"the volume holds {component.lower()} images"
            found.append(volume_finding(volume, "MRS-003", Severity.INFO, message, component=component))
    return found


def _component(frame: Frame) -> str:
    if stated := header.text(frame, "ComplexImageComponent").upper():
        return stated
    ge = attributes.private(frame, 0x0043, "GEMS_PARM_01", 0x2F)
    if isinstance(ge, int) and 0 <= ge < len(GE_COMPONENTS):
        return GE_COMPONENTS[ge]
    letters = [value for value in header.image_types(frame)[2:] if value in BY_LETTER]
    return BY_LETTER[letters[0]] if letters else ""
