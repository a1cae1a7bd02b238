"""Whether the values of a CT volume can be Hounsfield units: air near -1000, tissue near 0."""

from __future__ import annotations

from handlers.model import Finding, Series, Severity, Volume
from handlers.tables import table
from handlers.triage.targets import measured, volume_finding
from handlers.triage.value_histogram import Histogram, histogram

HOUNSFIELD = "[hnsf'U]"
LIMITS = table("hounsfield")
AIR, TISSUE, SOFT = LIMITS["air"]["range_hu"], LIMITS["tissue"]["range_hu"], LIMITS["tissue"]["soft_hu"]
BELOW_AIR_HU: int = LIMITS["ends"]["below_air_hu"]
VOXELS, TWICE, ENDS = LIMITS["voxels"], LIMITS["twice"], LIMITS["ends"]


def hounsfield_values(series: Series) -> list[Finding]:
    """Judge the values of CT in Hounsfield units (HU-002 to HU-006, HU-009); other units are left alone."""
    found = []
    for volume in measured(series, "CT"):
        counted = histogram(volume) if volume.units == HOUNSFIELD else None
        if counted is not None and counted.total >= VOXELS["least"]:
            found += _plausibility(volume, counted)
            found += _below_air(volume, counted)
            found += _upper_end(volume, counted)
    return found


def _plausibility(volume: Volume, counted: Histogram) -> list[Finding]:
    """Look for air and soft tissue where they belong."""
    has_air = counted.share(*AIR) >= VOXELS["mode_share"]
    evidence = {"min": counted.minimum, "p0.1": counted.quantile(0.001), "p99.9": counted.quantile(0.999)}
    if _is_doubled(counted):
        message = "air lies near -2000 and tissue near -1000: the rescale was applied twice"
        return [volume_finding(volume, "HU-005", Severity.REVIEW, message, **evidence)]
    if not has_air and evidence["p0.1"] > LIMITS["air"]["lost_offset_hu"]:
        message = (
            f"no air near -1000, and 99.9 % of the voxels lie above {evidence['p0.1']}: the offset was lost"
        )
        return [volume_finding(volume, "HU-002", Severity.REVIEW, message, **evidence)]
    if not has_air:
        return []
    found = []
    air, tissue = counted.mode(*AIR), counted.mode(*TISSUE)
    if air is not None and abs(air + 1000.0) > LIMITS["air"]["tolerance_hu"]:
        message = f"air lies at {air:.0f} HU"
        found.append(volume_finding(volume, "HU-009", Severity.WARN, message, air_hu=round(air, 1)))
    has_tissue = counted.share(*TISSUE) >= VOXELS["mode_share"]
    if tissue is not None and has_tissue and not SOFT[0] <= tissue <= SOFT[1]:
        message = f"the most frequent tissue value is {tissue:.0f} HU"
        found.append(volume_finding(volume, "HU-003", Severity.WARN, message, tissue_hu=round(tissue, 1)))
    return found


def _is_doubled(counted: Histogram) -> bool:
    """Say whether air lies near -2000 and tissue near -1000; a single fill value is padding, not air."""
    low, displaced = counted.share(*TWICE["air_hu"]), counted.share(*TWICE["tissue_hu"])
    value, constancy = counted.most_frequent(*TWICE["air_hu"])
    is_fill = value in ENDS["fill_values"] and constancy > TWICE["fill_constancy"]
    near_water = counted.share(*TWICE["near_water_hu"])
    is_displaced = min(low, displaced) >= TWICE["share"] and near_water < TWICE["tissue_left"] * displaced
    return is_displaced and not is_fill


def _below_air(volume: Volume, counted: Histogram) -> list[Finding]:
    """Find values below anything in or around a patient that are not marked as padding (HU-004)."""
    share = counted.share(-32768, BELOW_AIR_HU - 1)
    if share <= ENDS["below_air_share"] or _is_doubled(counted):
        return []
    value, constancy = counted.most_frequent(-32768, BELOW_AIR_HU - 1)
    evidence = {"share": round(share, 5), "most_frequent": value, "constancy": round(constancy, 3)}
    message = (
        f"{share:.2%} of the voxels, none of them padding, lie below {BELOW_AIR_HU} HU, most often at {value}"
    )
    return [volume_finding(volume, "HU-004", Severity.WARN, message, **evidence)]


def _upper_end(volume: Volume, counted: Histogram) -> list[Finding]:
    if counted.maximum <= ENDS["scale_end_hu"]:
        return []
    is_saturated = counted.maximum >= ENDS["saturated_hu"]
    severity = Severity.WARN if is_saturated else Severity.INFO
    what = "the end of the range: values may be saturated" if is_saturated else "an extended scale"
    message = f"the largest value is {counted.maximum:.0f} HU, {what}"
    return [volume_finding(volume, "HU-006", severity, message, max=counted.maximum)]
