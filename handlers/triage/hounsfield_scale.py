"""Whether the header of a CT lets its values become Hounsfield units."""

from __future__ import annotations

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.model import Finding, Frame, Series, Severity
from handlers.triage import header
from handlers.triage.targets import LISTED, measured, volume_finding
from handlers.triage.words import first

# CT scanners whose numbers are not calibrated in Hounsfield units, by model, manufacturer or description.
UNCALIBRATED = (
    "cbct", "cone beam", "conebeam", "dvt", "mvct", "tomotherapy", "o arm", "obi", "on board imager", "xvi",
    "i cat", "newtom", "planmeca", "promax", "accuitomo", "scanora", "galileos", "orthophos", "dyna ct",
    "dynact", "xper ct", "xperct", "airo",
)  # fmt: skip


def rescale(series: Series) -> list[Finding]:
    """Find CT without a usable rescale (HU-001), and rescale values that differ between slices (HU-007).

    Source: PS3.3 C.8.2.1 (Type 1 in CT), C.11.1.
    """
    found = []
    for volume in measured(series, "CT"):
        pairs = [(frame, *_rescale(frame)) for frame in _scaled(volume.frames)]
        wrong = [(frame, problem) for frame, problem, _ in pairs if problem]
        if wrong:
            uids = list(dict.fromkeys(frame.instance.sop_instance_uid for frame, _ in wrong))[:LISTED]
            message = f"{wrong[0][1]} in {len(wrong)} of {len(pairs)} frames: no Hounsfield units can be had"
            found.append(volume_finding(volume, "HU-001", Severity.ERROR, message, SOPInstanceUID=uids))
        values = sorted({value for *_, value in pairs if value is not None})
        if len(values) > 1:
            message = f"{len(values)} different pairs of rescale slope and intercept; each slice got its own"
            evidence = {"pairs": [list(value) for value in values[:LISTED]], "count": len(values)}
            found.append(volume_finding(volume, "HU-007", Severity.INFO, message, **evidence))
    return found


def uncalibrated(series: Series) -> list[Finding]:
    """Find CT without Hounsfield calibration, or whose RescaleType names another unit (HU-008)."""
    found = []
    for volume in measured(series, "CT"):
        frame = volume.frames[0]
        told = " ".join(
            header.text(frame, keyword)
            for keyword in ("Manufacturer", "ManufacturerModelName", "SeriesDescription", "StudyDescription")
        )
        units = header.text(frame, "RescaleType").upper()
        device = first(told, UNCALIBRATED)
        is_spectral = header.text(frame, "MultienergyCTAcquisition").upper() == "YES"
        if not device and (units == "HU" or (not units and not is_spectral)):
            continue
        if device:
            reason = f"a device without Hounsfield calibration ({device})"
        else:
            reason = f"RescaleType is {units}" if units else "a multi-energy image without RescaleType"
        evidence = {"RescaleType": units, "device": device, "MultienergyCTAcquisition": is_spectral}
        found.append(
            volume_finding(volume, "HU-008", Severity.WARN, f"no Hounsfield units: {reason}", **evidence)
        )
    return found


def _scaled(frames: tuple[Frame, ...]) -> list[Frame]:
    return [frame for frame in header.different(frames) if not attributes.has(frame, "ModalityLUTSequence")]


def _rescale(frame: Frame) -> tuple[str, tuple[float, float] | None]:
    """Return what is wrong with the rescale, "" when nothing is, and slope and intercept.

    One of the two may be missing: normalization takes 1 or 0 for it and says so (RSC-001).
    """
    try:
        slope, intercept = (
            attributes.number(frame, keyword) for keyword in ("RescaleSlope", "RescaleIntercept")
        )
    except MalformedAttributeError as error:
        return str(error), None
    if slope is None and intercept is None:
        return "RescaleSlope and RescaleIntercept are missing", None
    if slope == 0:
        return "RescaleSlope is 0", None
    return "", (1.0 if slope is None else slope, intercept or 0.0)
