"""Free text that a profile lets into the sidecar: it may tell a model the label that it is to learn."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.datadict import dictionary_VR

from handlers.model import Finding, Series, Severity

FREE_TEXT = frozenset({"LO", "SH", "LT", "ST", "UT", "UC"})  # PS3.5 section 6.2: whatever a person typed


@dataclass(frozen=True, slots=True)
class FreeTextInSidecar:
    """Warn of a profile that adds free text to the sidecar (LEAK-001); `attributes` are DICOM keywords."""

    attributes: tuple[str, ...] = ()

    def __call__(self, series: Series) -> list[Finding]:
        """Return one finding that names the attributes; it is about the profile, not the series."""
        del series
        found = [keyword for keyword in self.attributes if dictionary_VR(keyword) in FREE_TEXT]
        if not found:
            return []
        message = f"the profile adds free text to the sidecar: {', '.join(found)}"
        return [Finding("LEAK-001", Severity.WARN, message, evidence={"attributes": found})]
