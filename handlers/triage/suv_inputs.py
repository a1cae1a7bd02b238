"""Whether a PET volume states what a standardized uptake value needs."""

from __future__ import annotations

from handlers.model import Finding, Frame, Series, Severity
from handlers.triage import header
from handlers.triage.targets import measured, volume_finding

SCALED = ("GML",)  # already an uptake value


def suv_inputs(series: Series) -> list[Finding]:
    """List what is missing for the uptake value (PET-001); no value is ever guessed.

    Source: QIBA FDG-PET/CT profile.
    """
    found = []
    for volume in measured(series, "PT"):
        frame = volume.frames[0]
        units = header.text(frame, "Units").upper()
        missing = [] if units in SCALED else _missing(frame, units)
        if missing:
            message = f"no uptake value can be computed: {', '.join(missing)}"
            found.append(
                volume_finding(volume, "PET-001", Severity.WARN, message, missing=missing, Units=units)
            )
    return found


def _missing(frame: Frame, units: str) -> list[str]:
    sources = header.items(frame, "RadiopharmaceuticalInformationSequence")
    source = sources[0] if sources else None
    started = source is not None and (
        header.text(source, "RadiopharmaceuticalStartDateTime")
        or header.text(source, "RadiopharmaceuticalStartTime")
    )
    corrected = {value.upper() for value in header.texts(frame, "CorrectedImage")}
    checks = {
        "Units BQML": units == "BQML",
        "PatientWeight": bool(header.number(frame, "PatientWeight")),
        "RadionuclideTotalDose": source is not None and bool(header.number(source, "RadionuclideTotalDose")),
        "RadionuclideHalfLife": source is not None and bool(header.number(source, "RadionuclideHalfLife")),
        "RadiopharmaceuticalStartTime": bool(started),
        "DecayCorrection": header.text(frame, "DecayCorrection") in ("START", "ADMIN"),
        "CorrectedImage ATTN": "ATTN" in corrected,
        "CorrectedImage DECY": bool(corrected & {"DECY", "DECAY"}),
    }
    return [name for name, is_there in checks.items() if not is_there]
