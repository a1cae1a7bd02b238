"""Localizers: scouts, topograms, surviews, three-plane planning scans."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from handlers.model import Finding, Frame, Series, Severity, Volume
from handlers.triage import header
from handlers.triage.sop_classes import Kind, kind
from handlers.triage.targets import targets, volume_finding
from handlers.triage.words import first

SCAN_OPTIONS = ("SURVIEW", "SCOUT MODE", "SCOUT")  # Philips; GE
CLEAR_WORDS = (
    "*scout*", "topo", "*topogram*", "*surview*", "scano", "*scanogram*", "localiz*", "localis*", "lokalis*",
    "lokaliz*", "*localizer*", "*lokalizer*", "3 plane*", "3plane*", "three plane", "3 pl loc", "reperage",
    "planowanie",
)  # fmt: skip
# Also said of real scans ("pilot study", "skeletal survey"); survey is Philips MR, tracker Philips CT.
UNCLEAR_WORDS = ("pilot", "survey", "tracker")
WHOLE_BODY_SURVEY = ("skeletal survey", "bone survey", "myeloma survey", "metastatic survey", "body survey")
MAX_UNCLEAR = 20  # frames; with more, an unclear word alone holds instead of refusing
FEW_CT = 3  # frames of a CT that may be a localizer without saying so
FEW_MR = 15  # frames in all, in three or more directions: an MR planning scan
OFF_AXIS_DEG = 45.0
SAME_DIRECTION_DEG = 5.0


def stated_localizer(series: Series) -> list[Finding]:
    """Find images that say they are localizers (TRI-LOC-001).

    By ImageType, ScanOptions, AcquisitionType or description.

    Source: PS3.3 C.8.2.1.1.1 (LOCALIZER), C.8.15.3.2.1 (CONSTANT_ANGLE).
    """
    found = []
    for target in targets(series):
        if kind(target.sop_class_uid) not in (Kind.IMAGE, Kind.UNKNOWN) or target.modality not in (
            "CT",
            "MR",
            "PT",
            "",
        ):
            continue
        evidence = _statement(target.frames)
        if not evidence:
            continue
        is_unclear = evidence.get("words") in UNCLEAR_WORDS and len(target.frames) > MAX_UNCLEAR
        severity = Severity.REVIEW if is_unclear else Severity.ERROR
        keyword, value = next(iter(evidence.items()))
        found.append(target.finding("TRI-LOC-001", severity, f"localizer ({keyword} {value})", evidence))
    return found


def _statement(frames: tuple[Frame, ...]) -> dict[str, str]:
    if "LOCALIZER" in header.image_types_of(frames):
        return {"ImageType": "LOCALIZER"}
    options = {value.upper() for value in header.texts(frames[0], "ScanOptions")}
    if stated := next((value for value in SCAN_OPTIONS if value in options), ""):
        return {"ScanOptions": stated}
    if "CONSTANT_ANGLE" in (each.upper() for each in header.distinct(frames, "AcquisitionType")):
        return {"AcquisitionType": "CONSTANT_ANGLE"}
    description = header.text(frames[0], "SeriesDescription")
    if word := first(description, CLEAR_WORDS):
        return {"words": word}
    word = "" if first(description, WHOLE_BODY_SURVEY) else first(description, UNCLEAR_WORDS)
    return {"words": word} if word else {}


def unstated_localizer(series: Series) -> list[Finding]:
    """Find images that look like localizers without saying so (TRI-LOC-002).

    CT: up to three images whose plane is not axial, or a sagittal or coronal plane without slice
    thickness. MR: few images in three or more directions, those counted that are too few for a volume.
    """
    silent = [volume for volume in series.volumes if _may_be_localizer(volume)]
    found = [
        volume_finding(volume, "TRI-LOC-002", Severity.REVIEW, reason, frames=len(volume.frames))
        for volume in silent
        if volume.modality == "CT" and (reason := _ct_reason(volume))
    ]
    mr = [volume for volume in silent if volume.modality == "MR"]
    frames = [frame for volume in mr for frame in volume.frames] + _left_out(series)
    directions = _directions(frames[: FEW_MR + 1])
    if len(frames) <= FEW_MR and len(directions) >= 3:
        reason = f"{len(frames)} images in {len(directions)} directions, as in a planning scan"
        found += [
            volume_finding(volume, "TRI-LOC-002", Severity.REVIEW, reason, frames=len(frames))
            for volume in mr
        ]
    return found


def _left_out(series: Series) -> list[Frame]:
    """Return the MR images that are in no volume and do not say that they are localizers."""
    inside = {each.sop_instance_uid for volume in series.volumes for each in volume.instances}
    rest = (Frame(each) for each in series.instances if each.sop_instance_uid not in inside)
    return [each for each in rest if header.text(each, "Modality") == "MR" and not _statement((each,))]


def _may_be_localizer(volume: Volume) -> bool:
    if not volume.frames or kind(volume.frames[0].instance.sop_class_uid) not in (Kind.IMAGE, Kind.UNKNOWN):
        return False
    return not _statement(volume.frames)


def _ct_reason(volume: Volume) -> str:
    normal = _normal(volume.frames[0])
    if normal is None:
        return ""
    off_axis = float(np.degrees(np.arccos(min(abs(float(normal[2])), 1.0))))
    if off_axis <= OFF_AXIS_DEG:
        return ""
    if len(volume.frames) <= FEW_CT:
        return f"{len(volume.frames)} CT images whose plane is {off_axis:.0f} degrees off the axial one"
    if not (
        header.text(volume.frames[0], "SliceThickness") and header.text(volume.frames[0], "PixelSpacing")
    ):
        return "sagittal or coronal CT images without slice thickness or pixel spacing"
    return ""


def _directions(frames: list[Frame]) -> list[NDArray[np.float64]]:
    """Return one normal for each direction that occurs; opposite normals are one direction."""
    found: list[NDArray[np.float64]] = []
    limit = np.cos(np.radians(SAME_DIRECTION_DEG))
    for frame in frames:
        normal = _normal(frame)
        if normal is not None and not any(abs(float(normal @ each)) >= limit for each in found):
            found.append(normal)
    return found


def _normal(frame: Frame) -> NDArray[np.float64] | None:
    cosines = header.numbers(frame, "ImageOrientationPatient")
    if len(cosines) != 6:
        return None
    normal = np.cross(cosines[:3], cosines[3:])
    length = float(np.linalg.norm(normal))
    return normal / length if length > 0 else None
