"""The size of a pixel of a picture that has no place in the patient, and the plane in which it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.model import Frame, Volume

PROJECTIONS = ("CR", "DX", "MG", "IO", "PX", "RG", "XA", "RF")
ULTRASOUND = ("US", "IVUS")
MAGNIFIED = ("MG", "DX")  # where the object plane is known well enough to divide by the magnification
CALIBRATED = ("GEOMETRY", "FIDUCIAL")
RELATIVE = 1e-3  # spacings that differ by less are the same, typed with fewer digits
MAX_MAGNIFICATION = 10.0  # beyond, distances were mistyped
PATIENT, DETECTOR, ESTIMATED = "patient", "detector", "estimated"
TWO_DIMENSIONAL = 1  # RegionSpatialFormat; PS3.3 C.8.5.5.1.1
CENTIMETRES = 3  # PhysicalUnitsXDirection; PS3.3 C.8.5.5.1.15


@dataclass(frozen=True, slots=True)
class PixelScale:
    """Spacing of columns and rows in mm, None where nothing states it, never an invented 1.

    `plane` is where it holds: "patient" (calibrated), "detector" (sizes in the patient are smaller),
    "estimated" (detector divided by `magnification`), or "" when that is not known. `source` names the
    attribute. `calibration` is "GEOMETRY", "FIDUCIAL", "unknown" or "".
    """

    column_mm: float | None = None
    row_mm: float | None = None
    plane: str = ""
    source: str = ""
    magnification: float | None = None
    calibration: str = ""

    def described(self) -> dict[str, Any]:
        """Return it for report and sidecar; `value_mm` is (column, row), as `spacing_mm`."""
        known = self.column_mm is not None and self.row_mm is not None
        return {
            "value_mm": [self.column_mm, self.row_mm] if known else None,
            "plane": self.plane or None,
            "source": self.source or None,
            "magnification": self.magnification,
            "calibration": self.calibration or None,
        }


def pixel_scale(frame: Frame) -> PixelScale:
    """Return what the header says of the size of a pixel.

    PixelSpacing that is calibrated, or differs from ImagerPixelSpacing, holds in the patient. The same in
    both, or ImagerPixelSpacing alone, holds at the detector; mammography and DX divide it by the
    magnification to come nearer the patient. NominalScannedPixelSpacing is that of the film.

    Raises:
        MalformedAttributeError: one of the attributes is no number.

    Source: PS3.3 10.7.1.3, C.8.11.7, C.8.19.6.9, C.8.1.2; C.8.5.5 for ultrasound.
    """
    spacing, imager = _pair(frame, "PixelSpacing"), _pair(frame, "ImagerPixelSpacing")
    if spacing and imager and _is_same(spacing, imager) and not _calibration(frame):
        return _at_detector(frame, spacing, "PixelSpacing")
    if spacing:
        calibration = _calibration(frame) or "unknown"
        plane = PATIENT if imager or calibration != "unknown" else ""
        return PixelScale(spacing[1], spacing[0], plane, "PixelSpacing", None, calibration)
    if imager:
        return _at_detector(frame, imager, "ImagerPixelSpacing")
    scanned = _pair(frame, "NominalScannedPixelSpacing")
    if scanned:
        return PixelScale(scanned[1], scanned[0], DETECTOR, "NominalScannedPixelSpacing")
    return _of_regions(two_dimensional_regions(frame))


def magnification(frame: Frame) -> float | None:
    """Return the stated factor, or the ratio of the distances from the source; None when it is none."""
    factor = attributes.number(frame, "EstimatedRadiographicMagnificationFactor")
    if factor is None:
        detector = attributes.number(frame, "DistanceSourceToDetector")
        patient = attributes.number(frame, "DistanceSourceToPatient")
        factor = detector / patient if detector and patient else None
    return factor if factor is not None and 1.0 <= factor < MAX_MAGNIFICATION else None


def two_dimensional_regions(frame: Frame) -> tuple[Dataset, ...]:
    """Return the regions of an ultrasound image that are pictures, not curves. Source: PS3.3 C.8.5.5.1.1."""
    return tuple(
        region
        for region in attributes.items(frame, "SequenceOfUltrasoundRegions")
        if attributes.number(region, "RegionSpatialFormat") == TWO_DIMENSIONAL
    )


def region_spacing(region: Dataset) -> tuple[float, float] | None:
    """Return (column, row) mm in a region of an ultrasound image; None when it states no centimetres."""
    units = [attributes.number(region, f"PhysicalUnits{axis}Direction") for axis in "XY"]
    deltas = [attributes.number(region, f"PhysicalDelta{axis}") for axis in "XY"]
    if units != [CENTIMETRES, CENTIMETRES] or not all(deltas):
        return None
    return abs(deltas[0] or 0.0) * 10, abs(deltas[1] or 0.0) * 10


def described_scale(volume: Volume) -> dict[str, Any] | None:
    """Describe the scale of a projection or ultrasound volume for report and sidecar; None for others."""
    if not volume.frames or volume.modality not in (*PROJECTIONS, *ULTRASOUND) or volume.geometry is not None:
        return None
    try:
        scale = pixel_scale(volume.frames[0])
    except MalformedAttributeError:
        scale = PixelScale()
    column_mm, row_mm = volume.spacing_mm[:2]
    if scale.column_mm is None and column_mm is not None:  # cropped to one of several regions
        scale = PixelScale(column_mm, row_mm, PATIENT, "SequenceOfUltrasoundRegions")
    return scale.described()


def _at_detector(frame: Frame, spacing: tuple[float, float], source: str) -> PixelScale:
    factor = magnification(frame)
    if factor is None or attributes.text(frame, "Modality") not in MAGNIFIED:
        return PixelScale(spacing[1], spacing[0], DETECTOR, source, factor)
    return PixelScale(
        spacing[1] / factor, spacing[0] / factor, ESTIMATED, f"{source} / magnification", factor
    )


def _of_regions(regions: Sequence[Dataset]) -> PixelScale:
    """Return the scale of the 2-D regions of an ultrasound image when all of them agree."""
    scales = {found for region in regions if (found := region_spacing(region))}
    if len(scales) != 1:
        return PixelScale()
    return PixelScale(*scales.pop(), PATIENT, "SequenceOfUltrasoundRegions")


def _calibration(frame: Frame) -> str:
    stated = (attributes.text(frame, "PixelSpacingCalibrationType") or "").upper()
    return stated if stated in CALIBRATED else ""


def _pair(frame: Frame, keyword: str) -> tuple[float, float] | None:
    values = attributes.numbers(frame, keyword) or ()
    return (values[0], values[1]) if len(values) == 2 and min(values) > 0 else None


def _is_same(first: tuple[float, float], second: tuple[float, float]) -> bool:
    return all(abs(a - b) <= RELATIVE * b for a, b in zip(first, second, strict=True))
