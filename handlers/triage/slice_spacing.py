"""Distances between slices: even, with holes, uneven, tilted, overlapping."""

from __future__ import annotations

import numpy as np

from handlers.geometry import DUPLICATE_MM, FITTED_RELATIVE, TILT_DEG, UNIFORM_MM, UNIFORM_RELATIVE
from handlers.model import Finding, Geometry, Series, Severity, Volume
from handlers.tables import table
from handlers.triage import header
from handlers.triage.targets import stacks, volume_finding

LIMITS, REPAIR = table("geometry")["slices"], table("geometry")["repair"]
SHEAR_WARN_DEG: float = table("geometry")["tilt"]["warn_deg"]
FILLABLE_SLICES: int = REPAIR["fillable_slices"]
FILLABLE_SHARE: float = REPAIR["fillable_share"]
ANISOTROPIC: float = LIMITS["anisotropic"]
TAG_RELATIVE: float = LIMITS["tag_relative"]
GAP_RELATIVE: float = LIMITS["thickness_relative"]
SPACING_MODALITIES = ("CT", "MR", "PT", "NM")


def uneven_spacing(series: Series) -> list[Finding]:
    """Find spacing that varies: a little, and one spacing is fitted (GEO-004), or much (GEO-006)."""
    found = []
    for volume, geometry, gaps in _stacks(series):
        if geometry.missing:
            continue
        median = float(np.median(gaps))
        deviation = float(np.abs(gaps - median).max())
        evidence = {"median_mm": median, "min_mm": float(gaps.min()), "max_mm": float(gaps.max())}
        extent = f"{gaps.min():.4g} to {gaps.max():.4g} mm"
        if deviation > FITTED_RELATIVE * median:
            message = f"slice spacing varies from {extent}"
            found.append(volume_finding(volume, "GEO-006", Severity.REVIEW, message, **evidence))
        elif deviation > max(UNIFORM_RELATIVE * median, UNIFORM_MM):
            message = f"slice spacing varies slightly, from {extent}; {gaps.mean():.4g} mm was fitted"
            found.append(volume_finding(volume, "GEO-004", Severity.WARN, message, **evidence))
    return found


def missing_slices(series: Series) -> list[Finding]:
    """Find interior gaps that are multiples of the spacing (GEO-005).

    `is_fillable` says whether a profile with `fill_missing` may interpolate them: at most one slice, and
    at most two percent.
    """
    found = []
    for volume in series.volumes:
        if volume.geometry is None or not volume.geometry.missing:
            continue
        missing = volume.geometry.missing
        count = sum(n for _, n in missing)
        fraction = count / (len(volume.frames) + count)
        evidence = {
            "missing": [{"after_slice": index, "slices": n} for index, n in missing],
            "count": count,
            "fraction": round(fraction, 4),
            "is_fillable": count <= FILLABLE_SLICES and fraction <= FILLABLE_SHARE,
        }
        where = ", ".join(f"{n} after slice {index + 1}" for index, n in missing[:5])
        message = f"slices are missing inside the volume: {where}"
        found.append(volume_finding(volume, "GEO-005", Severity.REVIEW, message, **evidence))
    return found


def shear(series: Series) -> list[Finding]:
    """Find stacks that advance at an angle to their normal: gantry tilt (GEO-008).

    Measured from positions alone; the tilt tag has no agreed sign (PS3.3 C.8.2.1, "not intended for
    mathematical computations").
    """
    found = []
    for volume, geometry, _ in _stacks(series):
        if abs(geometry.shear_deg) <= SHEAR_WARN_DEG:
            continue
        tag = header.number(volume.frames[0], "GantryDetectorTilt")
        evidence = {"shear_deg": geometry.shear_deg, "GantryDetectorTilt": tag}
        what = "gantry tilt" if abs(geometry.shear_deg) > TILT_DEG else "slight shear"
        message = f"{what} of {abs(geometry.shear_deg):.2f} degrees, measured from the positions"
        found.append(volume_finding(volume, "GEO-008", Severity.WARN, message, **evidence))
    return found


def tilt_without_shear(series: Series) -> list[Finding]:
    """Find a stated gantry tilt that the positions do not show (GEO-009)."""
    found = []
    for volume, geometry, _ in _stacks(series):
        tag = header.number(volume.frames[0], "GantryDetectorTilt") or 0.0
        if abs(tag) > TILT_DEG and abs(geometry.shear_deg) <= SHEAR_WARN_DEG and volume.modality == "CT":
            evidence = {"GantryDetectorTilt": tag, "shear_deg": geometry.shear_deg}
            message = f"a gantry tilt of {tag:g} degrees is stated, but the positions show none"
            found.append(volume_finding(volume, "GEO-009", Severity.WARN, message, **evidence))
    return found


def stated_spacing(series: Series) -> list[Finding]:
    """Note SpacingBetweenSlices that differs from the positions (GEO-011); it is never used."""
    found = []
    for volume, geometry, _ in _stacks(series):
        stated = header.number(volume.frames[0], "SpacingBetweenSlices")
        true = geometry.spacing_mm[2]
        if stated is not None and abs(abs(stated) - true) > max(TAG_RELATIVE * true, UNIFORM_MM):
            message = f"SpacingBetweenSlices says {stated:g} mm, the positions {true:.4g} mm"
            evidence = {"SpacingBetweenSlices": stated, "measured_mm": true}
            found.append(volume_finding(volume, "GEO-011", Severity.INFO, message, **evidence))
    return found


def overlap_or_gap(series: Series) -> list[Finding]:
    """Note slices that overlap, or leave tissue unseen between them (GEO-012)."""
    found = []
    for volume, geometry, _ in _stacks(series):
        thickness, gap = header.number(volume.frames[0], "SliceThickness"), geometry.spacing_mm[2]
        if thickness is None or thickness <= 0:
            continue
        along_step = gap / np.cos(
            np.radians(geometry.shear_deg)
        )  # a tilted gantry states thickness along the table
        if GAP_RELATIVE * gap <= thickness <= max(gap, along_step) * (1 + TAG_RELATIVE):
            continue
        what = "overlap" if thickness > gap else "leave gaps"
        evidence = {
            "SliceThickness": thickness,
            "spacing_mm": gap,
            "gap_fraction": round(1 - thickness / gap, 4),
        }
        message = f"slices {what}: {thickness:g} mm thick, {gap:.4g} mm apart"
        found.append(volume_finding(volume, "GEO-012", Severity.INFO, message, **evidence))
    return found


def anisotropic(series: Series) -> list[Finding]:
    """Note voxels whose longest edge is more than three times the shortest (GEO-019)."""
    found = []
    for volume, geometry, _ in _stacks(series):
        ratio = max(geometry.spacing_mm) / min(geometry.spacing_mm)
        if ratio > ANISOTROPIC:
            message = f"the longest voxel edge is {ratio:.1f} times the shortest"
            found.append(
                volume_finding(volume, "GEO-019", Severity.INFO, message, anisotropy=round(ratio, 3))
            )
    return found


def _stacks(series: Series) -> list[tuple[Volume, Geometry, np.ndarray[tuple[int], np.dtype[np.float64]]]]:
    """Return volumes of at least two positions, their geometry, and their gaps without repeated positions."""
    found = []
    for volume in stacks(series, *SPACING_MODALITIES):
        if volume.geometry is None:
            continue
        gaps = np.asarray([gap for gap in volume.geometry.gaps_mm if gap > DUPLICATE_MM], dtype=np.float64)
        if gaps.size and min(volume.geometry.spacing_mm) > 0:
            found.append((volume, volume.geometry, gaps))
    return found
