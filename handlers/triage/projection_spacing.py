"""Pixel spacing of projection images: in the patient, at the detector, or not known."""

from __future__ import annotations

from handlers.errors import MalformedAttributeError
from handlers.model import Finding, Frame, Series, Severity, Volume
from handlers.pixel_scale import DETECTOR, ESTIMATED, PROJECTIONS, PixelScale, pixel_scale
from handlers.triage import header
from handlers.triage.targets import measured, volume_finding


def projection_spacing(series: Series) -> list[Finding]:
    """Say what the pixel spacing of projection images means (SPC-001 to SPC-003).

    ImagerPixelSpacing is measured at the front of the detector; the patient is nearer to the
    source and appears larger. Malformed attributes are for ING-013. Source: PS3.3 10.7.1.3, C.8.11.2.1.
    """
    found = []
    for volume in measured(series, *PROJECTIONS):
        if volume.geometry is not None:
            continue  # reconstructed slices (tomosynthesis, XA 3-D) lie in the patient
        try:
            scale = pixel_scale(volume.frames[0])
        except MalformedAttributeError:
            scale = PixelScale()
        finding = _judge(volume, volume.frames[0], scale)
        if finding is not None:
            found.append(finding)
    return found


def _judge(volume: Volume, frame: Frame, scale: PixelScale) -> Finding | None:
    if scale.column_mm is None:
        message = "nothing states the size of a pixel"
        return volume_finding(volume, "SPC-001", Severity.WARN, message, spacing=None)
    evidence = {
        **{
            keyword: list(header.numbers(frame, keyword))
            for keyword in ("PixelSpacing", "ImagerPixelSpacing")
        },
        **scale.described(),
    }
    if scale.calibration == "unknown" and evidence["ImagerPixelSpacing"]:
        message = "PixelSpacing differs from ImagerPixelSpacing, and no calibration is stated"
        return volume_finding(volume, "SPC-002", Severity.WARN, message, **evidence)
    if scale.plane == ESTIMATED:
        message = (
            f"the pixel spacing is that of the detector; divided by {scale.magnification:.3f} it is "
            f"{scale.column_mm:.4g} mm"
        )
        return volume_finding(volume, "SPC-003", Severity.WARN, message, **evidence)
    if scale.plane == DETECTOR:
        message = "the pixel spacing is that of the detector, or of the film scanner, not in the patient"
        return volume_finding(volume, "SPC-003", Severity.INFO, message, **evidence)
    return None
