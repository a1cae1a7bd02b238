"""Images computed from other images: reformats, projections, averages, maps."""

from __future__ import annotations

import re

from handlers.model import Finding, Series, Severity, Volume
from handlers.tables import table
from handlers.triage import header, respiratory_text
from handlers.triage.targets import STACKED, measured, volume_finding
from handlers.triage.words import first

SPATIAL_RESAMPLING = "113085"  # DCM code; PS3.16 CID 7203
PROJECTION_CODES = frozenset({"113078", "113079"})  # minimum and maximum intensity projection
REFORMAT_TYPES = re.compile(r"(^|[\s_])(MPR|CPR|REFORMAT\w*|CURVED|CURVED_MPR)([\s_]|$)")
PROJECTION_TYPES = re.compile(
    r"^(MAX_IP|MIN_IP|MEAN_IP|MEDIAN_IP|MIP|MINIP|MNIP|PROJECTION IMAGE|AVERAGE|MEAN|MIP_\w+|\w+_MIP)$"
)
MAP_TYPES = re.compile(
    r"^(SUBTRACT\w*|ADC|EADC|EXP_ADC|FA|TRACEW?|TRACE_W|ADC_UNSPECIFIED|RCBF|RCBV|CBF|CBV|MTT|RMTT|TTP|TMAX|DELTAT|PEI"
    r"|VOLUME_RENDER|SURFACE_RENDER|VRT|SSD|VNC|VIRTUAL_\w+|MONO\w*|IODINE\w*|ZEFF|Z_EFF|EFF_ATOMIC_NUM|RHO\w*"
    r"|MAT_\w+|ENERGY_PROP_WT|PARAMETRIC\w*|T1 MAP|T2 MAP|T2_STAR MAP|R2 MAP|R2_STAR MAP|FAT_FRACTION)$"
)
# Siemens names its MPRAGE "t1_mpr_sag", so that only in CT the word means a reformat.
REFORMAT_WORDS = ("mpr", "mprs", "cpr", "reformat*", "curved", "multiplanar*", "reformatted")
PROJECTION_WORDS = ("mip", "mips", "minip", "mnip", "min ip", "max ip", "mip thick", "thick mip")
MAP_WORDS = (
    "subtraction", "subtracted", "iodine", "iodine map", "jod", "vnc", "virtual non contrast", "zeff",
    "z eff", "mono", "mono+", "monoe*", "monoch*", "monokev", "kev", "cbf", "cbv", "mtt", "ttp", "tmax",
    "rho z", "fat fraction",
)  # fmt: skip
NAMED_TECHNIQUES = {
    "MPR": "reformat",
    "CURVED_MPR": "reformat",
    "VOLUME_RENDER": "map",
    "SURFACE_RENDER": "map",
}
MIN_SLICES: int = table("geometry")["slices"]["min_slices"]


def derived(series: Series) -> list[Finding]:
    """Find CT, MR and PET images that were derived from others (TRI-DER-001).

    Images that were only resampled and are still axial are left alone. In projection
    radiography DERIVED is the normal state. Source: PS3.3 C.7.6.1.1.2.
    """
    found = []
    for volume in measured(series, *STACKED):
        types = header.image_types(volume.frames[0])
        stated = header.texts(volume.frames[0].instance, "ImageType")
        is_derived = "DERIVED" in (*types[:1], *(each.upper() for each in stated[:1]))
        codes = header.derivation_codes(volume.frames[0])
        if is_derived and not (codes == {SPATIAL_RESAMPLING} and "AXIAL" in types):
            message = "the images were derived from other images"
            found.append(volume_finding(volume, "TRI-DER-001", Severity.WARN, message, ImageType=list(types)))
    return found


def reformatted(series: Series) -> list[Finding]:
    """Find planes that were cut out of another volume (TRI-DER-002).

    Source: PS3.3 C.8.16.2.1.2 (VolumetricProperties), C.8.16.2.1.3 (VolumeBasedCalculationTechnique).
    """
    found = []
    for volume in measured(series, *STACKED):
        types = header.image_types_of(volume.frames)
        evidence = {
            "ImageType": sorted(each for each in types if REFORMAT_TYPES.search(each)),
            "VolumetricProperties": _properties(volume, types),
            "VolumeBasedCalculationTechnique": _techniques(volume, "reformat"),
            "words": _words(volume, REFORMAT_WORDS) if volume.modality == "CT" else [],
        }
        if reason := _first_reason(evidence):
            message = f"planes reformatted from another volume ({reason})"
            found.append(volume_finding(volume, "TRI-DER-002", Severity.REVIEW, message, **evidence))
    return found


def projected(series: Series) -> list[Finding]:
    """Find intensity projections and averages (TRI-DER-003); refused where values are measured."""
    found = []
    for volume in measured(series, *STACKED, "NM", "XA", "US", "MG"):
        evidence = {
            "ImageType": sorted(
                each for each in header.image_types_of(volume.frames) if PROJECTION_TYPES.match(each)
            ),
            "VolumeBasedCalculationTechnique": _techniques(volume, "projection"),
            "DerivationCodeSequence": sorted(header.derivation_codes(volume.frames[0]) & PROJECTION_CODES),
            "words": _projection_words(volume),
        }
        if reason := _first_reason(evidence):
            severity = Severity.ERROR if volume.modality in STACKED else Severity.WARN
            message = f"each pixel is a projection or average, not a voxel ({reason})"
            found.append(volume_finding(volume, "TRI-DER-003", severity, message, **evidence))
    return found


def computed_map(series: Series) -> list[Finding]:
    """Find subtraction, perfusion, diffusion and spectral maps and renderings (TRI-DER-004)."""
    found = []
    for volume in measured(series, *STACKED):
        types = header.image_types_of(volume.frames)
        matched = sorted(each for each in types if MAP_TYPES.match(each))
        if "PERFUSION" in types and "DERIVED" in types:
            matched.append("PERFUSION")
        evidence = {
            "ImageType": matched,
            "VolumeBasedCalculationTechnique": _techniques(volume, "map"),
            "words": _words(volume, MAP_WORDS) if volume.modality == "CT" else [],
        }
        if reason := _first_reason(evidence):
            message = f"a computed map with units of its own ({reason})"
            found.append(volume_finding(volume, "TRI-DER-004", Severity.WARN, message, **evidence))
    return found


def few_slices(series: Series) -> list[Finding]:
    """Find stacks that are too short for three-dimensional work (TRI-DER-006)."""
    return [
        volume_finding(
            volume,
            "TRI-DER-006",
            Severity.WARN,
            f"only {len(volume.frames)} slices",
            slices=len(volume.frames),
        )
        for volume in measured(series, *STACKED)
        if len(volume.frames) < MIN_SLICES
    ]


def _properties(volume: Volume, types: frozenset[str]) -> list[str]:
    """Return VolumetricProperties that say reformatted.

    Siemens MR writes DISTORTED for original images without distortion correction.
    """
    stated = [value for value in header.distinct(volume.frames, "VolumetricProperties") if value != "VOLUME"]
    return stated if "DERIVED" in types else [value for value in stated if value == "SAMPLED"]


def _techniques(volume: Volume, wanted: str) -> list[str]:
    stated = header.distinct(volume.frames, "VolumeBasedCalculationTechnique")
    return [each for each in stated if each != "NONE" and NAMED_TECHNIQUES.get(each, "projection") == wanted]


def _words(volume: Volume, wanted: tuple[str, ...]) -> list[str]:
    word = first(header.text(volume.frames[0], "SeriesDescription"), wanted)
    return [word] if word else []


def _projection_words(volume: Volume) -> list[str]:
    """Return what the description says; an average of a 4-D scan is one over its breathing phases."""
    if volume.modality not in STACKED:
        return []
    combined = respiratory_text.combined(header.text(volume.frames[0], "SeriesDescription"))
    return _words(volume, PROJECTION_WORDS) or ([combined] if combined else [])


def _first_reason(evidence: dict[str, list[str]]) -> str:
    return next((f"{keyword} {values[0]}" for keyword, values in evidence.items() if values), "")
