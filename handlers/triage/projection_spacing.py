"""Pixel spacing of projection images: in the patient, at the detector, or not known."""

from __future__ import annotations

from handlers.model import Finding, Frame, Series, Severity, Volume
from handlers.triage import header
from handlers.triage.targets import measured, volume_finding

PROJECTIONS = ("CR", "DX", "MG", "IO", "PX", "RG")
CALIBRATED = ("GEOMETRY", "FIDUCIAL")
RELATIVE = 1e-3


def projection_spacing(series: Series) -> list[Finding]:
    """Say what the pixel spacing of projection images means (SPC-001 to SPC-003).

    ImagerPixelSpacing is measured at the front of the detector; the patient is nearer to the
    source and appears larger. Source: PS3.3 10.7.1.3, C.8.11.2.1.
    """
    found = []
    for volume in measured(series, *PROJECTIONS):
        finding = _judge(volume, volume.frames[0])
        if finding is not None:
            found.append(finding)
    return found


def _judge(volume: Volume, frame: Frame) -> Finding | None:
    spacing, imager = header.numbers(frame, "PixelSpacing"), header.numbers(frame, "ImagerPixelSpacing")
    scanned = header.numbers(frame, "NominalScannedPixelSpacing")
    calibration = header.text(frame, "PixelSpacingCalibrationType").upper()
    if not (spacing or imager or scanned):
        message = "nothing states the size of a pixel"
        return volume_finding(volume, "SPC-001", Severity.WARN, message, spacing=None)
    evidence = {"PixelSpacing": list(spacing), "ImagerPixelSpacing": list(imager)}
    if spacing and calibration in CALIBRATED:
        return None
    if spacing and imager and not _same(spacing, imager):
        message = "PixelSpacing differs from ImagerPixelSpacing, and no calibration is stated"
        return volume_finding(volume, "SPC-002", Severity.WARN, message, plane="unknown", **evidence)
    if spacing and not imager:
        return None
    factor = _magnification(frame)
    if factor is None or not imager:
        message = (
            "the pixel spacing is that of the detector, or of the film scanner; magnification is not known"
        )
        return volume_finding(volume, "SPC-003", Severity.INFO, message, plane="detector", **evidence)
    estimated = [round(value / factor, 5) for value in imager]
    message = f"the pixel spacing is that of the detector; divided by {factor:.3f} it is {estimated[0]:g} mm"
    evidence |= {"magnification": [factor], "estimated_mm": estimated}
    return volume_finding(volume, "SPC-003", Severity.WARN, message, plane="estimated", **evidence)


def _magnification(frame: Frame) -> float | None:
    """Return the stated factor, or the ratio of the distances from the source; None when it is none."""
    factor = header.number(frame, "EstimatedRadiographicMagnificationFactor")
    if factor is None:
        detector = header.number(frame, "DistanceSourceToDetector")
        patient = header.number(frame, "DistanceSourceToPatient")
        factor = detector / patient if detector and patient else None
    return factor if factor is not None and 1.0 <= factor < 10.0 else None


def _same(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return all(abs(a - b) <= RELATIVE * b for a, b in zip(first, second, strict=False))
