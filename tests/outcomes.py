"""Volumes, series and outcomes built by hand, for tests of rooms that come after triage and normalization."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset

import data
from handlers.api import Recipe
from handlers.model import (
    Completion,
    Finding,
    Frame,
    Geometry,
    Instance,
    Outcome,
    Scope,
    Series,
    Severity,
    Verdict,
    Volume,
)
from handlers.outputs.provenance import provenance


def instance_of(dataset: FileDataset) -> Instance:
    return Instance(
        str(dataset.SOPInstanceUID),
        str(dataset.SOPClassUID),
        str(dataset.file_meta.TransferSyntaxUID),
        Path("unused.dcm"),
        dataset,
        0,
        "PixelData",
    )


def geometry_of(datasets: list[FileDataset], **changes: Any) -> Geometry:
    """Geometry of slices that are given in order, evenly spaced, without tilt."""
    first, last = (np.array(each.ImagePositionPatient, float) for each in (datasets[0], datasets[-1]))
    cosines = np.array(datasets[0].ImageOrientationPatient, float)
    step = (last - first) / (len(datasets) - 1)
    rows_mm, columns_mm = (float(value) for value in datasets[0].PixelSpacing)
    facts = {
        "origin": tuple(first),
        "row_cosine": tuple(cosines[:3]),
        "column_cosine": tuple(cosines[3:]),
        "normal": tuple(np.cross(cosines[:3], cosines[3:])),
        "slice_step": tuple(step),
        "spacing_mm": (columns_mm, rows_mm, float(np.linalg.norm(step))),
        "gaps_mm": (float(np.linalg.norm(step)),) * (len(datasets) - 1),
        "shear_deg": 0.0,
        "residual_mm": 0.0,
        "orthonormality_error": 0.0,
        "orientation_spread_deg": 0.0,
        "missing": (),
        "duplicates": (),
        "is_uniform": True,
        "orientation": "LPS",
    }
    return Geometry(**(facts | changes))


def ct_volume(datasets: list[FileDataset] | None = None, **changes: Any) -> Volume:
    """A CT volume in HU, as normalization would leave it; the values come from the data sets themselves."""
    datasets = datasets or data.ct_series(slices=6, rows=32, columns=24)
    stored = np.stack([each.pixel_array.astype(np.int32) for each in datasets])
    values = changes.get("values", (stored - 1024).astype(np.int16))
    geometry = geometry_of(datasets)
    facts = {
        "index": 0,
        "modality": "CT",
        "geometry": geometry,
        "values": values,
        "padding": None if values is None else np.zeros(values.shape[:3], bool),
        "affine": geometry.affine,
        "spacing_mm": geometry.spacing_mm,
        "units": "[hnsf'U]",
        "background": -1024.0,
        "measured": {"min": -1000.0, "p1": -1000.0, "mean": -500.0, "p99": 1000.0, "max": 1000.0},
        "written": {} if values is None else {"shape": values.shape[2::-1], "padding_voxels": 0},
    }
    return Volume(frames=tuple(Frame(instance_of(each)) for each in datasets), **(facts | changes))


def series_of(*volumes: Volume, **changes: Any) -> Series:
    instances = {i.sop_instance_uid: i for volume in volumes for i in volume.instances}
    header = next(iter(instances.values())).header
    facts = {"volumes": volumes, "completion": Completion("contiguous", {"quiet_s": 1.0})}
    return Series(
        str(header.SeriesInstanceUID),
        str(header.StudyInstanceUID),
        tuple(instances[uid] for uid in sorted(instances)),
        **(facts | changes),
    )


def outcome_of(
    *volumes: Volume,
    verdicts: tuple[Verdict, ...] = (),
    findings: tuple[Finding, ...] = (),
    recipe: Recipe = Recipe(),  # noqa: B008 - frozen
    **changes: Any,
) -> Outcome:
    verdicts = verdicts or (Verdict.ACCEPT,) * len(volumes)
    series = series_of(*volumes)
    outcome = Outcome(series, verdicts[0], volumes, verdicts, findings, provenance=provenance(series, recipe))
    return replace(outcome, **changes)


def kernel_finding(raw: str = "B30f") -> Finding:
    evidence = {"kernel": {"raw": raw, "class": "smooth"}}
    return Finding("KER-001", Severity.INFO, f"kernel {raw} is smooth", Scope.VOLUME, "v0", evidence)
