"""The place of the array in the patient: an affine, or for projections the spacing that is known."""

from __future__ import annotations

from dataclasses import replace

from handlers.model import AppliedStep, Volume
from handlers.pixel_scale import pixel_scale

Spacing = tuple[float | None, float | None, float | None]
UNKNOWN = "unknown"  # Geometry.slice_spacing_source of one slice that states no thickness


def place_in_space(volume: Volume) -> Volume:
    """Set `affine` and `spacing_mm` from the measured geometry, or the spacing alone for projections."""
    if volume.geometry is None:
        scale = pixel_scale(volume.frames[0])
        step = AppliedStep("placement", {"spacing_source": scale.source})
        spacing: Spacing = (scale.column_mm, scale.row_mm, None)
        return replace(volume, affine=None, spacing_mm=spacing, steps=(*volume.steps, step))
    source = volume.geometry.slice_spacing_source
    column, row, between = volume.geometry.spacing_mm
    step = AppliedStep("placement", {"spacing_source": source})
    spacing = (column, row, None if source == UNKNOWN else between)
    return replace(volume, affine=volume.geometry.affine, spacing_mm=spacing, steps=(*volume.steps, step))
