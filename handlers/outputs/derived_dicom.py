"""An accepted CT or MR volume as derived single-frame images, for a PACS that takes no NIfTI."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from handlers import attributes
from handlers.api import per_volume
from handlers.errors import MalformedAttributeError, VolumeError
from handlers.model import Finding, Outcome, Product, Scope, Severity, Verdict, Volume
from handlers.outputs import derived_header
from handlers.outputs.deidentification import deidentifier
from handlers.outputs.derived_check import deviations
from handlers.outputs.derived_image import CLASSES, Plan, images, part10
from handlers.outputs.derived_pixels import NOT_WRITTEN, encoding, values_of
from handlers.outputs.image_folder import add_image, image_folder
from handlers.outputs.provenance import derived_uid, volume_uid
from handlers.outputs.slices import place

KIND = "derived_dicom"
ORTHOGONAL = 1.8e-3  # cosine between rows and columns, 0.1 degrees: rounded positions, as in NIfTI


@per_volume
def write(outcome: Outcome, folder: Path) -> list[Product]:
    """Write `dicom/v<k>/<n>.dcm` for every accepted CT and MR volume, if the profile asks for it.

    The first product carries what was found: OUT-001 when all images are in order, OUT-002 when one
    breaks a rule of its kind, OUT-004 when values had to be rounded by more than a step of the source.

    Raises:
        VolumeError: no image of the standard can be made of this volume (OUT-006).
    """
    if not outcome.provenance.get("recipe", {}).get("derived_dicom"):
        return []
    products: list[Product] = []
    for volume, verdict in zip(outcome.volumes, outcome.volume_verdicts, strict=True):
        if verdict in (Verdict.ACCEPT, Verdict.ACCEPT_WARN) and volume.values is not None:
            products += _write_volume(outcome, volume, folder)
    return products


def _write_volume(outcome: Outcome, volume: Volume, folder: Path) -> list[Product]:
    plan = _plan(outcome, volume)
    deidentify = deidentifier(outcome, volume)
    products: list[Product] = []
    broken: Counter[str] = Counter()
    series_uid = plan.series_instance_uid
    with image_folder(folder, volume.name) as top:
        for image, stored in images(plan):
            whole = image if deidentify is None else deidentify(image)
            series_uid = str(whole.SeriesInstanceUID)
            content = part10(whole)
            if deidentify is not None:
                deidentify.check(content)
            broken.update(deviations(content, stored, volume.modality))
            products.append(add_image(top, KIND, content, len(products) + 1, volume.index))
    met = () if deidentify is None else deidentify.findings(volume.name)
    found = (*_findings(plan, series_uid, len(products), broken), *met)
    return [replace(products[0], findings=found), *products[1:]]


def _plan(outcome: Outcome, volume: Volume) -> Plan:
    """Check that the volume can be written, and collect what its images share.

    Raises:
        VolumeError: it cannot (OUT-006).
    """
    instances = volume.instances
    modality = volume.modality
    if modality not in CLASSES or any(each.sop_class_uid != CLASSES[modality] for each in instances):
        message = "derived images are made of single-frame CT and MR images only"
        raise VolumeError(message, code=NOT_WRITTEN)
    if volume.affine is None:
        raise VolumeError("the volume has no place in the patient", code=NOT_WRITTEN)
    rows, columns = (volume.affine[:3, axis] / np.linalg.norm(volume.affine[:3, axis]) for axis in (0, 1))
    if abs(float(rows @ columns)) > ORTHOGONAL:
        raise VolumeError("rows and columns are not at right angles (gantry tilt)", code=NOT_WRITTEN)
    values, units, background = values_of(volume)
    has_padding = volume.padding is not None and bool(volume.padding.any())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom quotes a malformed value, which may be a patient's
        series = derived_header.series_part(instances)
        common = derived_header.common_part(instances, modality)
    if not series.get("FrameOfReferenceUID"):  # what was stacked by its positions shares one all the same
        series.FrameOfReferenceUID = derived_uid("frame-of-reference", outcome.series.series_instance_uid)
    return Plan(
        volume,
        values,
        encoding(values, units, background if has_padding else None),
        place(volume),
        series,
        common,
        _identity(outcome, volume),
    )


def _identity(outcome: Outcome, volume: Volume) -> tuple[str, ...]:
    """Return what decides the bytes: source, revision, plan, software, the allow-list."""
    made = outcome.provenance
    digests = (
        str(made.get(key, "")) for key in ("sop_uid_digest", "content_sha256", "plan_sha256", "software")
    )
    lists = str(derived_header.rules()["version"])
    return (volume_uid(outcome.series, volume), str(outcome.series.revision), lists, *digests)


def _findings(plan: Plan, series_uid: str, written: int, broken: Counter[str]) -> Iterator[Finding]:
    volume, chosen = plan.volume, plan.encoding
    facts = {
        "images": written,
        "SeriesInstanceUID": series_uid,
        "RescaleSlope": chosen.slope,
        "largest_error": chosen.largest_error,
        "units": chosen.units,
    }
    if broken:
        message = f"the derived images break a rule of their kind: {'; '.join(sorted(broken)[:3])}"
        evidence = {**facts, "deviations": dict(sorted(broken.items()))}
        yield Finding("OUT-002", Severity.WARN, message, Scope.VOLUME, volume.name, evidence)
    else:
        message = f"{written} derived {volume.modality} images were written and read back"
        yield Finding("OUT-001", Severity.INFO, message, Scope.VOLUME, volume.name, facts)
    step = 0.5 if chosen.slope == "1" else 0.5 * _source_step(volume)
    if chosen.largest_error > step:
        message = f"the largest error of the derived images is {chosen.largest_error:.3g} {chosen.units}"
        yield Finding("OUT-004", Severity.WARN, message, Scope.VOLUME, volume.name, facts)


def _source_step(volume: Volume) -> float:
    """Return the smallest difference that the source could store: its RescaleSlope, or 1."""
    try:
        steps = [abs(attributes.number(each, "RescaleSlope") or 1.0) for each in volume.instances]
    except MalformedAttributeError:
        return 1.0
    return min(steps)
