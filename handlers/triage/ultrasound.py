"""Ultrasound: whether it is in colour, and whether a region of the image has a scale."""

from __future__ import annotations

from handlers.errors import MalformedAttributeError
from handlers.model import Finding, Frame, Series, Severity
from handlers.pixel_scale import ULTRASOUND, region_spacing, two_dimensional_regions
from handlers.triage import header
from handlers.triage.targets import measured, volume_finding

GREY = ("MONOCHROME1", "MONOCHROME2", "")
COLOUR_FLOW = 2  # RegionDataType; PS3.3 C.8.5.5.1.2


def colour_ultrasound(series: Series) -> list[Finding]:
    """Find ultrasound in colour: Doppler, a colour palette, or a grey picture stored in colour (USX-001).

    A region of colour flow, or UltrasoundColorDataPresent, says that colour carries data; a colour
    photometric interpretation alone may hold grey. Source: PS3.3 C.8.5.5.1.2, C.8.5.6 (0028,0014).
    """
    found = []
    for volume in measured(series, *ULTRASOUND):
        frame = volume.frames[0]
        photometric = header.text(frame, "PhotometricInterpretation").upper()
        regions = header.items(frame, "SequenceOfUltrasoundRegions")
        is_flow = any(header.number(region, "RegionDataType") == COLOUR_FLOW for region in regions)
        is_stated = header.number(frame, "UltrasoundColorDataPresent") == 1
        if not (is_flow or is_stated or photometric not in GREY):
            continue
        why = "colour flow" if is_flow else "colour data" if is_stated else f"stored as {photometric}"
        evidence = {
            "PhotometricInterpretation": photometric,
            "UltrasoundColorDataPresent": header.text(frame, "UltrasoundColorDataPresent"),
            "colour_flow_regions": is_flow,
        }
        severity = Severity.WARN if is_flow or is_stated else Severity.INFO
        message = f"the ultrasound image is in colour ({why})"
        found.append(volume_finding(volume, "USX-001", severity, message, **evidence))
    return found


def uncalibrated_ultrasound(series: Series) -> list[Finding]:
    """Find ultrasound without a calibrated two-dimensional region (USX-002). Source: PS3.3 C.8.5.5."""
    found = []
    for volume in measured(series, *ULTRASOUND):
        if not _is_calibrated(volume.frames[0]):
            regions = len(header.items(volume.frames[0], "SequenceOfUltrasoundRegions"))
            message = "no calibrated two-dimensional region: the size of a pixel is unknown"
            found.append(volume_finding(volume, "USX-002", Severity.INFO, message, regions=regions))
    return found


def _is_calibrated(frame: Frame) -> bool:
    try:
        return any(region_spacing(region) for region in two_dimensional_regions(frame))
    except MalformedAttributeError:
        return False
