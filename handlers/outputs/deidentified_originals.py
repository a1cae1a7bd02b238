"""The images of an accepted volume as they were acquired, but de-identified."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import ExplicitVRBigEndian

from handlers.api import per_volume
from handlers.errors import PixelDataError, VolumeError
from handlers.model import Finding, Instance, Outcome, Product, Scope, Severity, Verdict, Volume
from handlers.outputs import derived_header
from handlers.outputs.deidentification import Deidentifier, deidentifier
from handlers.outputs.derived_check import deviations
from handlers.outputs.derived_image import part10
from handlers.outputs.image_folder import add_image, image_folder

KIND = "deidentified_original"
BITS = (8, 16, 32)  # BitsAllocated of whole bytes


@per_volume
def write(outcome: Outcome, folder: Path) -> list[Product]:
    """Write `dicom/v<k>_originals/<n>.dcm` for every accepted volume, if the profile asks for it.

    Values, places and technique are those of the source; compressed images are decompressed, since
    nobody can look into a compressed stream. The first product carries what was found, as derived images do.

    Raises:
        VolumeError: these images cannot be de-identified (DEI-002, DEI-005, DEI-BIA-001).
        PixelDataError: the pixels cannot be decoded.
    """
    if not outcome.provenance.get("recipe", {}).get("deidentified_originals"):
        return []
    products: list[Product] = []
    for volume, verdict in zip(outcome.volumes, outcome.volume_verdicts, strict=True):
        deidentify = deidentifier(outcome, volume)
        if verdict in (Verdict.ACCEPT, Verdict.ACCEPT_WARN) and deidentify is not None:
            products += _write_volume(volume, deidentify, folder)
    return products


def _write_volume(volume: Volume, deidentify: Deidentifier, folder: Path) -> list[Product]:
    products: list[Product] = []
    broken: Counter[str] = Counter()
    with image_folder(folder, f"{volume.name}_originals") as top, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom quotes a malformed value, which may be a patient's
        for instance in volume.instances:
            image, stored = _read(instance)
            hidden = deidentify(image)
            derived_header.complete(hidden, derived_header.required(volume.modality, "type_2"))
            content = part10(hidden)
            deidentify.check(content)
            broken.update(deviations(content, stored, volume.modality))
            products.append(add_image(top, KIND, content, len(products) + 1, volume.index))
            series_uid = str(hidden.SeriesInstanceUID)
    found = (*_findings(volume, series_uid, broken), *deidentify.findings(volume.name))
    return [replace(products[0], findings=found), *products[1:]]


def _findings(volume: Volume, series_uid: str, broken: Counter[str]) -> Iterator[Finding]:
    facts = {"images": len(volume.instances), "SeriesInstanceUID": series_uid}
    if broken:
        message = f"de-identified images break a rule of their kind: {'; '.join(sorted(broken)[:3])}"
        evidence = {**facts, "deviations": dict(sorted(broken.items()))}
        yield Finding("OUT-002", Severity.WARN, message, Scope.VOLUME, volume.name, evidence)
    else:
        message = f"{len(volume.instances)} originals were de-identified and read back"
        yield Finding("OUT-001", Severity.INFO, message, Scope.VOLUME, volume.name, facts)


def _read(instance: Instance) -> tuple[Dataset, NDArray[Any]]:
    """Read an image with its pixels, uncompressed and without anything beside the stored values.

    Raises:
        PixelDataError: they cannot be decoded, or do not have the size that the header says.
        VolumeError: their layout is not of whole bytes (OUT-006).
    """
    image = dcmread(instance.path, force=True)
    try:
        if image.file_meta.TransferSyntaxUID.is_compressed and "PixelData" in image:
            image.decompress(generate_instance_uid=False)  # ours is computed
    except Exception as error:
        raise PixelDataError(f"the pixels cannot be decompressed: {type(error).__name__}") from error
    if image.get("BitsAllocated") not in BITS or image.get("SamplesPerPixel", 1) != 1:
        raise VolumeError("only grey values in whole bytes are de-identified", code="OUT-006")
    stored = _without_other_bits(image)
    little = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    image["PixelData"].value = little + b"\0" * (len(little) % 2)
    image["PixelData"].VR = "OW"
    return image, stored


def _without_other_bits(image: FileDataset) -> NDArray[Any]:
    """Return the stored values, shape (rows, columns): bits that hold no value are made zero, or the sign.

    Such bits may hold an overlay, and overlays may hold names. Source: PS3.5 section 8.1.1.
    """
    allocated, used, high = int(image.BitsAllocated), int(image.BitsStored), int(image.HighBit)
    order = ">" if image.file_meta.TransferSyntaxUID == ExplicitVRBigEndian else "<"
    rows, columns = int(image.Rows), int(image.Columns)
    raw = np.frombuffer(image.PixelData, f"{order}u{allocated // 8}")
    if raw.size < rows * columns:
        raise PixelDataError("there are fewer pixels than the header says")
    words = raw[: rows * columns].astype(f"u{allocated // 8}").reshape(rows, columns)
    if not used <= high + 1 <= allocated:
        raise PixelDataError("BitsStored, HighBit and BitsAllocated contradict one another")
    signed = words.astype(f"i{allocated // 8}") if image.PixelRepresentation else words
    top = allocated - 1 - high
    lowest = high + 1 - used
    kept: NDArray[Any] = ((signed << top) >> (top + lowest)) << lowest
    return kept
