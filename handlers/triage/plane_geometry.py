"""Whether every slice says where it lies, and whether the slices of a volume agree on it."""

from __future__ import annotations

import numpy as np

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.model import Finding, Series, Severity, Volume
from handlers.tables import table
from handlers.triage import header
from handlers.triage.targets import STACKED, measured, stacks, volume_finding

REQUIRED = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
LIMITS = table("geometry")["planes"]
ORTHONORMAL_WARN: float = LIMITS["orthonormal_warn"]
ORTHONORMAL_REVIEW: float = LIMITS["orthonormal_review"]
SPREAD_DEG: float = LIMITS["spread_deg"]
RESIDUAL_PIXELS: float = LIMITS["residual_pixels"]
OBLIQUE_DEG: float = LIMITS["oblique_deg"]


def missing_geometry(series: Series) -> list[Finding]:
    """Find stacks of slices without position, orientation or pixel spacing (GEO-001).

    Slice location and thickness are no substitute. Source: PS3.3 C.7.6.2.
    """
    found = []
    for volume in stacks(series, *STACKED):
        if volume.geometry is not None:
            continue
        absent = [k for k in REQUIRED if any(not header.text(f, k) for f in header.different(volume.frames))]
        message = (
            f"there is no geometry: {' and '.join(absent) or 'position or orientation'} is missing or invalid"
        )
        found.append(volume_finding(volume, "GEO-001", Severity.REVIEW, message, absent=absent))
    return found


def inexact_orientation(series: Series) -> list[Finding]:
    """Find direction cosines that are not of unit length and at right angles (GEO-002).

    Source: PS3.3 C.7.6.2.1.1.
    """
    found = []
    for volume in series.volumes:
        error = 0.0 if volume.geometry is None else volume.geometry.orthonormality_error
        if error > ORTHONORMAL_WARN:
            severity = Severity.REVIEW if error > ORTHONORMAL_REVIEW else Severity.WARN
            message = f"the direction cosines are off by {error:.2g} from unit length or right angles"
            found.append(volume_finding(volume, "GEO-002", severity, message, orthonormality_error=error))
    return found


def varying_orientation(series: Series) -> list[Finding]:
    """Find volumes whose slices are not quite parallel (GEO-003)."""
    found = []
    for volume in series.volumes:
        spread = 0.0 if volume.geometry is None else volume.geometry.orientation_spread_deg
        if spread > SPREAD_DEG:
            message = f"orientation differs by up to {spread:.2f} degrees between slices"
            found.append(
                volume_finding(volume, "GEO-003", Severity.WARN, message, orientation_spread_deg=spread)
            )
    return found


def crooked_stack(series: Series) -> list[Finding]:
    """Find slices that are shifted sideways against each other (GEO-010)."""
    found = []
    for volume in series.volumes:
        geometry = volume.geometry
        if geometry is None:
            continue
        limit = RESIDUAL_PIXELS * min(geometry.spacing_mm[:2])
        if geometry.residual_mm > limit:
            message = f"slices lie up to {geometry.residual_mm:.2f} mm beside a straight line"
            evidence = {"residual_mm": geometry.residual_mm, "limit_mm": limit}
            found.append(volume_finding(volume, "GEO-010", Severity.REVIEW, message, **evidence))
    return found


def mixed_frames_of_reference(series: Series) -> list[Finding]:
    """Find volumes with several coordinate systems (GEO-013). Source: PS3.3 C.7.4.1."""
    found = []
    for volume in series.volumes:
        uids = header.distinct(volume.frames, "FrameOfReferenceUID")
        if len(uids) > 1:
            message = f"{len(uids)} frames of reference in one volume"
            found.append(
                volume_finding(volume, "GEO-013", Severity.REVIEW, message, FrameOfReferenceUID=list(uids))
            )
    return found


def pixel_spacing(series: Series) -> list[Finding]:
    """Find pixels that are not square, which is allowed, and spacing that is invalid (GEO-014)."""
    found = []
    for volume in measured(series, *STACKED):
        invalid = [text for frame in header.different(volume.frames) if (text := _invalid_spacing(frame))]
        spacing = header.numbers(volume.frames[0], "PixelSpacing")
        if invalid:
            message = f"PixelSpacing {invalid[0]} is not valid"
            found.append(volume_finding(volume, "GEO-014", Severity.ERROR, message, PixelSpacing=invalid[0]))
        elif len(spacing) == 2 and abs(spacing[0] - spacing[1]) > 1e-3 * spacing[0]:
            message = f"pixels are {spacing[0]:g} mm high and {spacing[1]:g} mm wide"
            found.append(
                volume_finding(volume, "GEO-014", Severity.INFO, message, PixelSpacing=list(spacing))
            )
    return found


def oblique(series: Series) -> list[Finding]:
    """Note planes that are turned against the body axes (GEO-020)."""
    found = []
    for volume in series.volumes:
        if volume.geometry is None:
            continue
        degrees = _obliquity(volume)
        if degrees > OBLIQUE_DEG:
            message = f"the planes are turned by {degrees:.1f} degrees against the body axes"
            found.append(
                volume_finding(volume, "GEO-020", Severity.INFO, message, obliquity_deg=round(degrees, 2))
            )
    return found


def _obliquity(volume: Volume) -> float:
    geometry = volume.geometry
    if geometry is None:
        return 0.0
    axes = np.abs([geometry.row_cosine, geometry.column_cosine, geometry.normal])
    return float(np.degrees(np.arccos(np.clip(axes.max(axis=1), 0.0, 1.0))).max())


def _invalid_spacing(frame: header.Source) -> str:
    """Return a spacing that is present but not two positive numbers; absent spacing is GEO-001."""
    try:
        values = attributes.numbers(frame, "PixelSpacing")
    except MalformedAttributeError as error:
        return str(error)
    if not values or (len(values) == 2 and min(values) > 0):
        return ""
    return "\\".join(f"{value:g}" for value in values)
