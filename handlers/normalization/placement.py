"""The place of the array in the patient: an affine, or for projections the spacing that is known."""

from __future__ import annotations

from dataclasses import replace

from handlers import attributes
from handlers.model import AppliedStep, Frame, Volume

Spacing = tuple[float | None, float | None, float | None]
UNKNOWN = "unknown"  # Geometry.slice_spacing_source of one slice that states no thickness
CENTIMETRES = 3  # PhysicalUnitsXDirection; PS3.3 C.8.5.5.1.15
TWO_DIMENSIONAL = 1  # RegionSpatialFormat; PS3.3 C.8.5.5.1.1


def place_in_space(volume: Volume) -> Volume:
    """Set `affine` and `spacing_mm` from the measured geometry, or the spacing alone for projections."""
    if volume.geometry is None:
        column, row, source = projection_spacing_mm(volume.frames[0])
        step = AppliedStep("placement", {"spacing_source": source})
        return replace(volume, affine=None, spacing_mm=(column, row, None), steps=(*volume.steps, step))
    source = volume.geometry.slice_spacing_source
    column, row, between = volume.geometry.spacing_mm
    step = AppliedStep("placement", {"spacing_source": source})
    spacing: Spacing = (column, row, None if source == UNKNOWN else between)
    return replace(volume, affine=volume.geometry.affine, spacing_mm=spacing, steps=(*volume.steps, step))


def projection_spacing_mm(frame: Frame) -> tuple[float | None, float | None, str]:
    """Return (column, row) spacing in mm of a projection image and what it rests on; None when unknown.

    PixelSpacing is calibrated or equal to the detector's. ImagerPixelSpacing is that of the
    detector; mammography and DX divide it by the magnification to come nearer the patient.

    Source: PS3.3 10.7, C.8.11.7, C.8.19.6.9; C.8.5.5 for ultrasound.
    """
    pair = _pair(frame, "PixelSpacing")
    if pair:
        return pair[1], pair[0], "PixelSpacing"
    for keyword in ("ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        pair = _pair(frame, keyword)
        if not pair:
            continue
        magnification = _magnification(frame) if keyword == "ImagerPixelSpacing" else None
        if magnification:
            return pair[1] / magnification, pair[0] / magnification, f"{keyword} / magnification"
        return pair[1], pair[0], keyword
    return _ultrasound_spacing(frame)


def _pair(frame: Frame, keyword: str) -> tuple[float, float] | None:
    values = attributes.numbers(frame, keyword) or ()
    return (values[0], values[1]) if len(values) == 2 and min(values) > 0 else None


def _magnification(frame: Frame) -> float | None:
    if attributes.text(frame, "Modality") not in ("MG", "DX"):
        return None
    stated = attributes.number(frame, "EstimatedRadiographicMagnificationFactor")
    if stated and stated >= 1:
        return stated
    detector = attributes.number(frame, "DistanceSourceToDetector")
    patient = attributes.number(frame, "DistanceSourceToPatient")
    return detector / patient if detector and patient and detector >= patient > 0 else None


def _ultrasound_spacing(frame: Frame) -> tuple[float | None, float | None, str]:
    """Spacing of the 2-D regions of an ultrasound image when all of them agree."""
    regions = [
        (attributes.number(region, "PhysicalDeltaX"), attributes.number(region, "PhysicalDeltaY"))
        for region in attributes.items(frame, "SequenceOfUltrasoundRegions")
        if attributes.integer(region, "RegionSpatialFormat") == TWO_DIMENSIONAL
        and attributes.integer(region, "PhysicalUnitsXDirection") == CENTIMETRES
        and attributes.integer(region, "PhysicalUnitsYDirection") == CENTIMETRES
    ]
    if len(set(regions)) != 1 or not all(regions[0]):
        return None, None, ""
    across, down = (abs(value or 0.0) * 10 for value in regions[0])
    return across, down, "SequenceOfUltrasoundRegions"
