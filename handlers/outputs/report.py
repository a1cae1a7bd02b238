"""The report of a series as data: the source of truth for report.json, the page, the registry and the web."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from handlers.breast_views import described_view
from handlers.frame_times import frame_times
from handlers.geometry import axis_codes
from handlers.model import Finding, Outcome, Product, Verdict, Volume, volume_facts
from handlers.outputs import slices
from handlers.outputs.json_values import plain, readable
from handlers.outputs.nifti import affine_ras
from handlers.outputs.provenance import volume_uid
from handlers.pixel_scale import described_scale

SCHEMA_VERSION = "1.0"
FILE_NAME = "report.json"
REPORT_KINDS = frozenset({"report", "page"})  # they come last, and cannot hold their own digest
NOT_LOSSY: dict[str, Any] = {"is_lossy": False, "ratio": None, "methods": [], "evidence": []}
_PROVENANCE_KEYS = (
    "software",
    "pipeline_version",
    "versions",
    "recipe",
    "config_sha256",
    "plan",
    "plan_sha256",
    "sop_uid_digest",
    "content_sha256",
    "study_sha256",
)


def write(outcome: Outcome, folder: Path) -> list[Product]:
    """Write `report.json`."""
    content = readable(report(outcome)).encode("utf-8")
    (folder / FILE_NAME).write_bytes(content)
    checksum = hashlib.sha256(content).hexdigest()
    return [Product("report", Path(FILE_NAME), sha256=checksum, size_bytes=len(content))]


def report(outcome: Outcome) -> dict[str, Any]:
    """Describe what was made of a series, as plain JSON values.

    Attributes bear their DICOM keyword, the node's own facts are snake_case. Nothing in it
    depends on the clock, the machine or the folder: the same series, recipe and software give the
    same report. `handlers/outputs/report.schema.json` is its schema.
    """
    series = outcome.series
    described = {
        "schema_version": SCHEMA_VERSION,
        "SeriesInstanceUID": series.series_instance_uid,
        "StudyInstanceUID": series.study_instance_uid,
        "revision": series.revision,
        "verdict": outcome.verdict,
        "findings": [finding_as_data(finding) for finding in outcome.findings],
        "volumes": [
            volume_as_data(outcome, volume, verdict)
            for volume, verdict in zip(outcome.volumes, outcome.volume_verdicts, strict=True)
        ],
        "products": [
            product_as_data(product) for product in outcome.products if product.kind not in REPORT_KINDS
        ],
        "completion": {"reason": series.completion.reason, "evidence": series.completion.evidence},
        "provenance": {key: outcome.provenance[key] for key in _PROVENANCE_KEYS if key in outcome.provenance},
    }
    result: dict[str, Any] = plain(described)
    return result


def finding_as_data(finding: Finding) -> dict[str, Any]:
    """Return a finding with its severity and scope in words."""
    return {
        "code": finding.code,
        "severity": finding.severity.name,
        "scope": finding.scope,
        "target": finding.target,
        "message": finding.message,
        "evidence": finding.evidence,
    }


def product_as_data(product: Product) -> dict[str, Any]:
    """Return a file that was written with its digest; the reports come last and are not among them."""
    return {
        "kind": product.kind,
        "path": product.path.as_posix(),
        "volume": product.volume,
        "sha256": product.sha256,
        "size_bytes": product.size_bytes,
    }


def volume_as_data(outcome: Outcome, volume: Volume, verdict: Verdict) -> dict[str, Any]:
    """Describe one volume: as written when it was, as acquired when it was refused."""
    facts = volume_facts(outcome.findings, volume)
    lossy = facts.get("lossy", NOT_LOSSY)
    file = _file_of(outcome.products, volume)
    described = {
        "index": volume.index,
        "verdict": verdict,
        "file": file,
        **_space(volume),
        "units": volume.units if volume.measured else None,
        "modality": volume.modality,
        "n_instances": len(volume.instances),
        "sop_instance_uids": slices.place(volume).sop_instance_uids,
        "kernel": facts.get("kernel"),
        "contrast": facts.get("contrast"),
        "cardiac": facts.get("cardiac"),
        "respiratory": facts.get("respiratory"),
        "view": described_view(volume),
        "pixel_spacing": described_scale(volume),
        "frame_times": frame_times(volume),
        "lossy": bool(lossy["is_lossy"]),
        "lossy_ratio": lossy.get("ratio"),
        "polarity_inverted": volume.polarity_inverted,
        "padding_voxels": volume.written.get("padding_voxels", 0),
        "shear_deg": None if volume.geometry is None else volume.geometry.shear_deg,
        "missing_slices": missing_slices(volume),
        "statistics": volume.measured or None,
    }
    if "statistics" in volume.written:
        described["statistics_written"] = volume.written["statistics"]
    if file is None:
        del described["file"]
    else:
        described["companions"] = {
            each.name: f"{volume.name}_{each.name}.nii.gz" for each in volume.companions
        }
        described["landmarks"] = list(volume.landmarks)
        described["volume_uid"] = volume_uid(outcome.series, volume)
    return described


def missing_slices(volume: Volume) -> int:
    """Count the slices that interior gaps show to be missing."""
    return 0 if volume.geometry is None else sum(count for _, count in volume.geometry.missing)


def _space(volume: Volume) -> dict[str, Any]:
    """Return shape, spacing, orientation and affine: of the array if there is one, else as acquired."""
    native = volume.geometry
    if volume.affine is not None:
        affine, spacing = volume.affine, volume.spacing_mm
        orientation = axis_codes(volume.affine)
    elif native is not None:
        affine, spacing, orientation = native.affine, native.spacing_mm, native.orientation
    else:
        affine, spacing, orientation = None, volume.spacing_mm, None
    return {
        "shape": volume.written.get("shape", slices.matrix_size(volume)),
        "spacing_mm": spacing,
        "orientation": orientation,
        "affine_ras": None if affine is None else affine_ras(affine),
    }


def _file_of(products: tuple[Product, ...], volume: Volume) -> str | None:
    files = [
        item.path.as_posix() for item in products if item.kind == "nifti" and item.volume == volume.index
    ]
    return files[0] if files else None
