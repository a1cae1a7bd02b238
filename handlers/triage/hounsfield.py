"""Whether the values of a CT volume can be Hounsfield units: air near -1000, tissue near 0."""

from __future__ import annotations

from handlers.model import Finding, Series, Severity, Volume
from handlers.triage.targets import measured, volume_finding
from handlers.triage.value_histogram import Histogram, histogram

HOUNSFIELD = "[hnsf'U]"
AIR = (-1150, -850)
TWICE_AIR = (-2200, -1850)  # air after the offset was subtracted twice
SOFT = (-150, 150)
TISSUE = (-300, 600)  # where the most frequent tissue value is looked for
MIN_VOXELS = 1000  # fewer say nothing
MIN_SHARE = 0.005  # of the voxels, for a mode to be one
LOST_OFFSET_HU = -200
BELOW_AIR_HU = -1100
BELOW_AIR_SHARE = 0.001
SCALE_END_HU = 3071
SATURATED_HU = 32767
AIR_TOLERANCE_HU = 30.0
FILL_VALUES = (-2000, -3024, -3072, -1500, -32768, -10000, -2048, -4096)  # what scanners fill corners with
TISSUE_LEFT = 0.2  # of the voxels near -1000: with a double offset hardly any are left near 0


def hounsfield_values(series: Series) -> list[Finding]:
    """Judge the values of CT in Hounsfield units (HU-002 to HU-006, HU-009); other units are left alone."""
    found = []
    for volume in measured(series, "CT"):
        counted = histogram(volume) if volume.units == HOUNSFIELD else None
        if counted is not None and counted.total >= MIN_VOXELS:
            found += _plausibility(volume, counted)
            found += _below_air(volume, counted)
            found += _upper_end(volume, counted)
    return found


def _plausibility(volume: Volume, counted: Histogram) -> list[Finding]:
    """Look for air and soft tissue where they belong."""
    has_air = counted.share(*AIR) >= MIN_SHARE
    evidence = {"min": counted.minimum, "p0.1": counted.quantile(0.001), "p99.9": counted.quantile(0.999)}
    if _is_doubled(counted):
        message = "air lies near -2000 and tissue near -1000: the rescale was applied twice"
        return [volume_finding(volume, "HU-005", Severity.REVIEW, message, **evidence)]
    if not has_air and evidence["p0.1"] > LOST_OFFSET_HU:
        message = (
            f"no air near -1000, and 99.9 % of the voxels lie above {evidence['p0.1']}: the offset was lost"
        )
        return [volume_finding(volume, "HU-002", Severity.REVIEW, message, **evidence)]
    if not has_air:
        return []
    found = []
    air, tissue = counted.mode(*AIR), counted.mode(*TISSUE)
    if air is not None and abs(air + 1000.0) > AIR_TOLERANCE_HU:
        message = f"air lies at {air:.0f} HU"
        found.append(volume_finding(volume, "HU-009", Severity.WARN, message, air_hu=round(air, 1)))
    if tissue is not None and counted.share(*TISSUE) >= MIN_SHARE and not SOFT[0] <= tissue <= SOFT[1]:
        message = f"the most frequent tissue value is {tissue:.0f} HU"
        found.append(volume_finding(volume, "HU-003", Severity.WARN, message, tissue_hu=round(tissue, 1)))
    return found


def _is_doubled(counted: Histogram) -> bool:
    """Say whether air lies near -2000 and tissue near -1000; a single fill value is padding, not air."""
    low, displaced = counted.share(*TWICE_AIR), counted.share(-1250, -850)
    value, constancy = counted.most_frequent(*TWICE_AIR)
    is_fill = value in FILL_VALUES and constancy > 0.95
    return (
        low >= 0.01
        and displaced >= 0.01
        and not is_fill
        and counted.share(-200, 300) < TISSUE_LEFT * displaced
    )


def _below_air(volume: Volume, counted: Histogram) -> list[Finding]:
    """Find values below anything in or around a patient that are not marked as padding (HU-004)."""
    share = counted.share(-32768, BELOW_AIR_HU - 1)
    if share <= BELOW_AIR_SHARE or _is_doubled(counted):
        return []
    value, constancy = counted.most_frequent(-32768, BELOW_AIR_HU - 1)
    evidence = {"share": round(share, 5), "most_frequent": value, "constancy": round(constancy, 3)}
    message = (
        f"{share:.2%} of the voxels, none of them padding, lie below {BELOW_AIR_HU} HU, most often at {value}"
    )
    return [volume_finding(volume, "HU-004", Severity.WARN, message, **evidence)]


def _upper_end(volume: Volume, counted: Histogram) -> list[Finding]:
    if counted.maximum <= SCALE_END_HU:
        return []
    is_saturated = counted.maximum >= SATURATED_HU
    severity = Severity.WARN if is_saturated else Severity.INFO
    what = "the end of the range: values may be saturated" if is_saturated else "an extended scale"
    message = f"the largest value is {counted.maximum:.0f} HU, {what}"
    return [volume_finding(volume, "HU-006", severity, message, max=counted.maximum)]
