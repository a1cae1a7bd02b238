"""Ultrasound: whether a region of the image has a scale."""

from __future__ import annotations

from handlers.model import Finding, Series, Severity
from handlers.triage import header
from handlers.triage.targets import measured, volume_finding

TWO_DIMENSIONAL = 1.0  # RegionSpatialFormat; PS3.3 C.8.5.5.1.1


def uncalibrated_ultrasound(series: Series) -> list[Finding]:
    """Find ultrasound without a calibrated two-dimensional region (USX-002). Source: PS3.3 C.8.5.5."""
    found = []
    for volume in measured(series, "US", "IVUS"):
        regions = header.items(volume.frames[0], "SequenceOfUltrasoundRegions")
        calibrated = [
            region
            for region in regions
            if header.number(region, "RegionSpatialFormat") == TWO_DIMENSIONAL
            and header.number(region, "PhysicalDeltaX")
        ]
        if not calibrated:
            message = "no calibrated two-dimensional region: the size of a pixel is unknown"
            found.append(volume_finding(volume, "USX-002", Severity.INFO, message, regions=len(regions)))
    return found
