"""The sidecar of a volume: what a researcher may know about it, and nothing else.

Every key is on an allow-list. Free text (SeriesDescription, StudyDescription, comments) names
the diagnosis, the protocol or the site, and would leak the label that a model is to
learn; so it never gets here, nor does any date, name or number of a patient.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydicom.datadict import dictionary_VR

from handlers import attributes
from handlers.api import per_volume
from handlers.breast_views import described_view
from handlers.errors import MalformedAttributeError
from handlers.frame_times import frame_times
from handlers.geometry import axis_codes
from handlers.model import Frame, Outcome, Product, Verdict, Volume, volume_facts
from handlers.outputs import report, slices
from handlers.outputs.json_values import plain, readable
from handlers.outputs.nifti import affine_ras
from handlers.outputs.provenance import software_version, sop_uid_digest, volume_uid
from handlers.pixel_scale import described_scale
from handlers.tables import table

SCHEMA_VERSION = "1.0"
# DICOM keyword -> (name in the sidecar, factor). BIDS 1.10 names and units (seconds) where BIDS has
# one; dcm2niix's name, which is the DICOM keyword, otherwise.
NUMBERS: Mapping[str, tuple[str, float]] = {
    "MagneticFieldStrength": ("MagneticFieldStrength", 1.0),
    "EchoTime": ("EchoTime", 1e-3),
    "RepetitionTime": ("RepetitionTime", 1e-3),
    "InversionTime": ("InversionTime", 1e-3),
    "FlipAngle": ("FlipAngle", 1.0),
    "EchoTrainLength": ("EchoTrainLength", 1.0),
    "SliceThickness": ("SliceThickness", 1.0),
    "SpacingBetweenSlices": ("SpacingBetweenSlices", 1.0),
    "KVP": ("KVP", 1.0),
    "XRayTubeCurrent": ("XRayTubeCurrent", 1.0),
    "PositionerPrimaryAngle": ("PositionerPrimaryAngle", 1.0),
    "PositionerSecondaryAngle": ("PositionerSecondaryAngle", 1.0),
    "TableAngle": ("TableAngle", 1.0),
    "DistanceSourceToDetector": ("DistanceSourceToDetector", 1.0),
    "DistanceSourceToPatient": ("DistanceSourceToPatient", 1.0),
}
# Per frame, of a gantry or table that moves during the run; PS3.3 C.8.7.5, C.8.7.4.
NUMBER_LISTS = (
    "PositionerPrimaryAngleIncrement", "PositionerSecondaryAngleIncrement", "TableVerticalIncrement",
    "TableLateralIncrement", "TableLongitudinalIncrement",
)  # fmt: skip
CODES: Mapping[str, str] = {
    "Modality": "Modality",
    "Manufacturer": "Manufacturer",
    "ManufacturerModelName": "ManufacturersModelName",
    "BodyPartExamined": "BodyPartExamined",
    "MRAcquisitionType": "MRAcquisitionType",
    "ReconstructionMethod": "ReconMethodName",
}
LISTS: Mapping[str, str] = {
    "ImageType": "ImageType",
    "ConvolutionKernel": "ConvolutionKernel",
    "ScanningSequence": "ScanningSequence",
    "SequenceVariant": "SequenceVariant",
    "ScanOptions": "ScanOptions",
}
# What a rule may have settled about a volume, key by key: evidence can quote free text, its label cannot.
FACT_KEYS: Mapping[str, tuple[str, ...]] = {
    "kernel": ("raw", "class", "ir"),
    "contrast": ("label", "code", "confidence"),
    "cardiac": (
        "phase_percent",
        "time_ms",
        "source",
        "heart_rate_bpm",
        "rr_ms",
        "technique",
        "signal_source",
        "beat_rejection",
        "cycle_position",
        "algorithm",
        "target_phase",
        "distance_percent",
        "selected",
        "sources",
    ),
    "respiratory": (
        "phase_percent",
        "phase",
        "half",
        "source",
        "interval_ms",
        "starting_amplitude",
        "ending_amplitude",
        "technique",
        "ending_phase",
        "sources",
    ),
    "lossy": ("is_lossy", "ratio", "methods"),
}
ANISOTROPIC: float = table("geometry")["slices"]["anisotropic"]  # largest over smallest voxel edge (GEO-019)
DERIVING = frozenset({"soften_kernel"})  # steps after which the picture is another one than was acquired
NUMERIC = frozenset({"DS", "IS", "FD", "FL", "US", "SS", "UL", "SL", "UV", "SV"})  # PS3.5 section 6.2
CONTRAST_EVIDENCE_KEYS = ("source", "supports", "weight")
SPLIT_KEYS_WITHHELD = frozenset({"SeriesDescription", "StudyDescription", "ProtocolName", "ImageComments"})


@per_volume
def write(outcome: Outcome, folder: Path) -> list[Product]:
    """Write `v<k>.json` beside the NIfTI file of every accepted volume."""
    products = []
    for volume, verdict in zip(outcome.volumes, outcome.volume_verdicts, strict=True):
        if verdict not in (Verdict.ACCEPT, Verdict.ACCEPT_WARN) or volume.values is None:
            continue
        content = readable(sidecar(outcome, volume, verdict)).encode("utf-8")
        name = Path(f"{volume.name}.json")
        (folder / name).write_bytes(content)
        checksum = hashlib.sha256(content).hexdigest()
        products.append(Product("sidecar", name, volume.index, sha256=checksum, size_bytes=len(content)))
    return products


def sidecar(outcome: Outcome, volume: Volume, verdict: Verdict) -> dict[str, Any]:
    """Describe one volume as plain JSON: acquisition facts by BIDS names, our own in the block `node`."""
    described: dict[str, Any] = acquisition(volume.frames[0]) if volume.frames else {}
    wanted = outcome.provenance.get("recipe", {}).get("sidecar_attributes", ())
    described |= chosen(volume.frames[0], wanted) if volume.frames else {}
    described["ConversionSoftware"] = "prepnode"
    described["ConversionSoftwareVersion"] = software_version()
    placement = slices.place(volume)
    described["node"] = {
        "schema_version": SCHEMA_VERSION,
        "volume_uid": volume_uid(outcome.series, volume),
        "split_key": {k: v for k, v in volume.split_key.items() if k not in SPLIT_KEYS_WITHHELD},
        "array_axis_order": ["column", "row", "slice"],
        **_geometry(volume),
        "units": volume.units,
        "background_value": volume.background,
        "padding": {"voxels": volume.written.get("padding_voxels", 0)},
        "interpolated_voxels": volume.written.get("interpolated_voxels", 0),
        "statistics": volume.measured or None,
        "polarity_inverted": volume.polarity_inverted,
        "derived": any(step.name in DERIVING for step in volume.steps),
        "patient_position": _text(volume.frames, "PatientPosition"),
        "frame_of_reference_uid": _text(volume.frames, "FrameOfReferenceUID"),
        **facts(outcome, volume),
        "view": described_view(volume),
        "pixel_spacing": described_scale(volume),
        "frame_times": frame_times(volume),
        "companions": {each.name: {"units": each.units, **each.facts} for each in volume.companions},
        "recommendations": recommendations(volume),
        "decision": verdict,
        "findings": _codes(outcome, volume),
        "steps": [{"name": step.name, "parameters": step.parameters} for step in volume.steps],
        "plan": outcome.provenance.get("plan"),
        "plan_sha256": outcome.provenance.get("plan_sha256"),
        "config_sha256": outcome.provenance.get("config_sha256"),
        "versions": outcome.provenance.get("versions"),
        "sources": {
            "SeriesInstanceUID": outcome.series.series_instance_uid,
            "n_instances": len(volume.instances),
            "sop_uid_digest": sop_uid_digest(instance.sop_instance_uid for instance in volume.instances),
            "axis": placement.axis,
            "frames": [frame.facts for frame in placement.frames],
        },
    }
    result: dict[str, Any] = plain(described)
    return result


def recommendations(volume: Volume) -> list[str]:
    """Return what to mind when a model is trained on this volume; nothing here was done to it."""
    known = [spacing for spacing in volume.spacing_mm if spacing]
    found = []
    if len(known) == 3 and max(known) / min(known) > ANISOTROPIC:
        found.append(
            "voxels are much longer along one axis: use anisotropic kernels, do not force them isotropic"
        )
    if volume.affine is not None:
        found.append("compute distances and volumes in patient space, by the affine of this file")
    return found


def acquisition(frame: Frame) -> dict[str, Any]:
    """Read the allow-listed attributes; what is absent, empty or malformed is left out."""
    found: dict[str, Any] = {}
    for keyword, name in CODES.items():
        if value := _read(attributes.text, frame, keyword):
            found[name] = value
    for keyword, name in LISTS.items():
        if values := _read(attributes.texts, frame, keyword):
            found[name] = list(values) if keyword == "ImageType" or len(values) > 1 else values[0]
    for keyword, (name, factor) in NUMBERS.items():
        value = _read(attributes.number, frame, keyword)
        if value is not None:
            found[name] = float(f"{value * factor:.9g}")
    for keyword in NUMBER_LISTS:
        if numbers := _read(attributes.numbers, frame, keyword):
            found[keyword] = list(numbers)
    return found


def chosen(frame: Frame, keywords: Iterable[str]) -> dict[str, Any]:
    """Read what the profile adds, under the DICOM keyword and in DICOM's units; absent values are left out.

    One of our own names is never overwritten. That free text among it is told (LEAK-001) is a rule's work.
    """
    found: dict[str, Any] = {}
    for keyword in keywords:
        is_number = dictionary_VR(keyword) in NUMERIC
        values = _read(attributes.numbers if is_number else attributes.texts, frame, keyword)
        if values and keyword not in {
            *CODES.values(),
            *LISTS.values(),
            *(name for name, _ in NUMBERS.values()),
        }:
            found[keyword] = values[0] if len(values) == 1 else list(values)
    return found


def facts(outcome: Outcome, volume: Volume) -> dict[str, Any]:
    """Return what the rules settled, reduced to the keys that cannot quote free text."""
    settled = {"lossy": report.NOT_LOSSY, **volume_facts(outcome.findings, volume)}
    reduced: dict[str, Any] = {}
    for name, keys in FACT_KEYS.items():
        fact = settled.get(name)
        if not isinstance(fact, Mapping):
            reduced[name] = None
            continue
        reduced[name] = {key: fact[key] for key in keys if key in fact}
        if name == "contrast":
            reduced[name]["evidence"] = [
                {key: line[key] for key in CONTRAST_EVIDENCE_KEYS if key in line}
                for line in fact.get("evidence", ())
                if isinstance(line, Mapping)
            ]
    return reduced


def _geometry(volume: Volume) -> dict[str, Any]:
    known = [spacing for spacing in volume.spacing_mm if spacing]
    native = volume.geometry
    return {
        "affine_lps": volume.affine,
        "affine_ras": None if volume.affine is None else affine_ras(volume.affine),
        "orientation": None if volume.affine is None else axis_codes(volume.affine),
        "spacing_mm": volume.spacing_mm,
        "anisotropy": round(max(known) / min(known), 4) if len(known) == 3 else None,
        "spacing_status": _spacing_status(volume),
        "acquired": None
        if native is None
        else {
            "orientation": native.orientation,
            "spacing_mm": native.spacing_mm,
            "shear_deg": native.shear_deg,
            "affine_lps": native.affine,
        },
        "missing_slices": report.missing_slices(volume),
        "shear_deg": None if native is None else native.shear_deg,
    }


def _spacing_status(volume: Volume) -> str:
    """Say what the slice spacing rests on: "uniform", "fitted", "with_gaps" or "unknown"."""
    if volume.geometry is None:
        return "unknown"
    if volume.geometry.missing:
        return "with_gaps"
    return "uniform" if volume.geometry.is_uniform else "fitted"


def _codes(outcome: Outcome, volume: Volume) -> list[dict[str, str]]:
    """List the findings about this volume, by code alone: a message may quote a description.

    What was found of files and of the way they came stands in the report: the sidecar of a
    volume is the same, whichever way its instances came.
    """
    relevant = {(f.code, f.severity.name) for f in outcome.findings if f.target == volume.name}
    return [{"code": code, "severity": severity} for code, severity in sorted(relevant)]


def _text(frames: tuple[Frame, ...], keyword: str) -> str | None:
    return (_read(attributes.text, frames[0], keyword) or None) if frames else None


def _read(reader: Any, frame: Frame, keyword: str) -> Any:
    try:
        return reader(frame, keyword)
    except MalformedAttributeError:
        return None
