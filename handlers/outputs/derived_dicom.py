"""An accepted CT or MR volume as derived single-frame images, for a PACS that takes no NIfTI."""

from __future__ import annotations

import hashlib
import shutil
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from handlers import attributes
from handlers.api import per_volume
from handlers.errors import MalformedAttributeError, VolumeError
from handlers.model import Finding, Outcome, Product, Scope, Severity, Verdict, Volume
from handlers.outputs import derived_header
from handlers.outputs.deidentification import Deidentifier
from handlers.outputs.derived_check import deviations
from handlers.outputs.derived_image import CLASSES, Plan, images, part10
from handlers.outputs.derived_pixels import NOT_WRITTEN, encoding, values_of
from handlers.outputs.provenance import derived_uid, volume_uid
from handlers.outputs.pseudonyms import load
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
    top = Path("dicom") / volume.name
    (folder / top).mkdir(parents=True, exist_ok=True)
    try:
        return _write_images(plan, _deidentifier(outcome, volume), folder, top)
    except BaseException:
        shutil.rmtree(folder / top)  # no image may lie there that was not wanted, or is not known
        raise


def _write_images(plan: Plan, deidentify: Deidentifier | None, folder: Path, top: Path) -> list[Product]:
    volume = plan.volume
    products: list[Product] = []
    broken: Counter[str] = Counter()
    series_uid = plan.series_instance_uid
    for number, (image, stored) in enumerate(images(plan), start=1):
        if deidentify is None:
            content = part10(image)
        else:
            hidden = deidentify(image)
            series_uid = str(hidden.SeriesInstanceUID)
            content = part10(hidden)
            deidentify.check(content)
        broken.update(deviations(content, stored, volume.modality))
        name = top / f"{number:05}.dcm"
        (folder / name).write_bytes(content)
        checksum = hashlib.sha256(content).hexdigest()
        products.append(Product(KIND, name, volume.index, checksum, len(content)))
    met = () if deidentify is None else deidentify.findings(volume.name)
    found = (*_findings(plan, series_uid, len(products), broken), *met)
    products[0] = Product(
        KIND, products[0].path, volume.index, products[0].sha256, products[0].size_bytes, found
    )
    return products


def _deidentifier(outcome: Outcome, volume: Volume) -> Deidentifier | None:
    """Return what de-identifies the images of a volume; None where the profile does not want it.

    Raises:
        VolumeError: the key is not the one of the profile, or these images cannot be de-identified.
        OSError: the key cannot be read.
    """
    wanted = outcome.provenance.get("recipe", {}).get("deidentification", {})
    if not wanted.get("key_file"):
        return None
    pseudonyms = load(Path(wanted["key_file"]))
    if pseudonyms.key_id != wanted["key_id"]:
        raise VolumeError("the file of the key holds another key than when the profile was read")
    headers = [instance.header for instance in volume.instances]
    return Deidentifier(pseudonyms, tuple(wanted["options"]), headers)


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
