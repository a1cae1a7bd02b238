"""What the aorta of a decoded CT volume says of contrast: given, not given, arterial favoured, or nothing.

Portal venous, nephrographic, delayed and excretory are never told apart by pixels: without a trained
model that is the main confusion of published methods. Source: `conf/aorta.toml`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from handlers.model import Finding, Severity, Volume, volume_facts
from handlers.tables import table
from handlers.triage import aorta_search, coarse_grid, header
from handlers.triage.phase_fusion import ENHANCED, Evidence, classes
from handlers.triage.words import first

SOURCE = "aorta"
HOUNSFIELD = "[hnsf'U]"  # UCUM
GENTLE_KERNELS = ("smooth", "medium")
COMPUTED = "CON-009"  # virtual non-contrast and other spectral results: their values are no measurement


def aorta_evidence(volume: Volume, findings: Iterable[Finding]) -> list[Evidence]:
    """Return one line: what was measured and what it supports, or why nothing is said (of no weight).

    `findings` are those so far; they tell about Hounsfield units and kernel.
    """
    own = [each for each in findings if each.target in ("", volume.name)]
    if objection := _objection(volume, own):
        return [_abstained(objection)]
    grid = coarse_grid.coarse(volume, table("aorta")["grid"]["step_mm"])
    if grid is None:
        return [_abstained("no values")]
    kernel = (volume_facts(own, volume).get("kernel") or {}).get("class")
    if kernel not in GENTLE_KERNELS:
        sigma = table("aorta")["precondition"]["sharp_sigma_mm"]
        grid = coarse_grid.Coarse(coarse_grid.smoothed(grid.values, grid.spacing_mm, sigma), grid.spacing_mm)
    found = aorta_search.find(grid)
    if isinstance(found, aorta_search.NotFound):
        return [_abstained(found.reason)]
    return [judged(found, kvp=header.number(volume.frames[0], "KVP"))]


def judged(aorta: aorta_search.Aorta, *, kvp: float | None = None) -> Evidence:
    """Return what a measured aorta says; `kvp` None is taken as an ordinary tube voltage."""
    rule, likelihood = table("aorta")["rule"], table("aorta")["likelihood"]
    raw = (
        f"median {aorta.median_hu:.0f} HU, sigma {aorta.sigma_hu:.0f} HU over {aorta.length_mm:.0f} mm,"
        f" radius {aorta.radius_mm:.0f} mm"
    )
    if aorta.median_hu < rule["no_contrast_below_hu"]:
        if aorta.enhanced_share > table("aorta")["enhanced_tissue"]["max_share"]:
            return _abstained(f"other tissue is enhanced; {raw}")
        return Evidence(SOURCE, raw, ("NC", "PA"), rule["weight"], dict(likelihood["no_contrast"]))
    if aorta.median_hu < rule["contrast_from_hu"]:
        return _abstained(f"between without and with contrast; {raw}")
    is_low_kvp = kvp is not None and kvp <= table("aorta")["precondition"]["low_kvp"]
    if aorta.median_hu < rule["arterial_from_hu"] or is_low_kvp:
        return Evidence(SOURCE, raw, (ENHANCED,), rule["weight"], dict(likelihood["contrast"]))
    return Evidence(SOURCE, raw, ("PA", "ART"), rule["weight"], dict(likelihood["arterial"]))


def _objection(volume: Volume, findings: list[Finding]) -> str:  # noqa: PLR0911 - one line a reason
    """Return why the values of this volume are not looked at, "" when they may be."""
    settings, geometry, values = table("aorta")["precondition"], volume.geometry, volume.values
    if volume.units != HOUNSFIELD:
        return "values are not in Hounsfield units"
    doubts = [
        each.code for each in findings if each.code.startswith("HU-") and each.severity >= Severity.WARN
    ]
    if doubts:
        return f"Hounsfield units are in doubt ({doubts[0]})"
    if any(each.code == COMPUTED for each in findings):
        return "computed from a spectral scan"
    if geometry is None or values is None or values.ndim != 3 or not coarse_grid.is_axial(geometry):
        return "no axial stack"
    if not geometry.is_uniform or geometry.shear_deg > settings["max_shear_deg"]:
        return "slices are uneven or tilted"
    columns_mm, rows_mm, slices_mm = geometry.spacing_mm
    if slices_mm > settings["max_slice_mm"] or max(columns_mm, rows_mm) > settings["max_pixel_mm"]:
        return f"voxels of {columns_mm:.1f} x {rows_mm:.1f} x {slices_mm:.1f} mm are too coarse"
    extent_mm = slices_mm * len(values)
    if extent_mm < settings["min_extent_mm"]:
        return f"only {extent_mm:.0f} mm along the body"
    step = table("aorta")["grid"]["step_mm"]
    cells = math.prod(
        size * length / max(step, length)
        for size, length in zip(values.shape, (slices_mm, rows_mm, columns_mm), strict=True)
    )
    if cells > settings["max_voxels"]:
        return "too large"
    return _other_part(volume, settings)


def _other_part(volume: Volume, settings: Any) -> str:
    """Return what says that this is no trunk; a text that names both is left to the search."""
    frame = volume.frames[0]
    texts = [header.text(frame, each) for each in ("BodyPartExamined", "SeriesDescription", "ProtocolName")]
    if any(first(text, settings["trunk"]) for text in texts):
        return ""
    for text in texts:
        if found := first(text, settings["elsewhere"]):
            return f"not of the trunk ({found})"
    return ""


def _abstained(reason: str) -> Evidence:
    return Evidence(SOURCE, f"abstained: {reason}", (), 0.0, dict.fromkeys(classes(), 1.0))
