"""What every built data set has: identity, image pixel module, file meta information, encoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from phantoms import Layout

NATIVE = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)


def identity(modality: str, sop_class: UID, sop_uid: str, series_uid: str, study_uid: str) -> dict[str, Any]:
    return {
        "SOPClassUID": sop_class,
        "SOPInstanceUID": sop_uid,
        "StudyInstanceUID": study_uid,
        "SeriesInstanceUID": series_uid,
        "Modality": modality,
        "Manufacturer": "SIEMENS",
        "PatientName": "Phantom^Water",
        "PatientID": "PHANTOM",
        "PatientBirthDate": "",
        "PatientSex": "O",
        "StudyDate": "20260101",
        "StudyTime": "120000",
        "StudyID": "1",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "SeriesNumber": 1,
        "SeriesDescription": "PHANTOM",
    }


def instance(  # noqa: PLR0917 - the parts of one file, in the order of their making
    content: Mapping[str, Any],
    index: int,
    stored: NDArray[np.int64],
    layout: Layout,
    photometric: str,
    transfer_syntax: UID,
    *,
    rows: int = 0,
) -> FileDataset:
    """Assemble one file: header from `content`, pixels from `stored`, shape (rows, columns[, samples]).

    Frames lie below one another in `stored`; then `rows` is the height of one.
    """
    dataset = Dataset()
    image = {
        "SamplesPerPixel": stored.shape[2] if stored.ndim == 3 else 1,
        "PlanarConfiguration": 0 if stored.ndim == 3 else None,
        "PhotometricInterpretation": photometric,
        "Rows": rows or stored.shape[0],
        "Columns": stored.shape[1],
        "BitsAllocated": layout.allocated,
        "BitsStored": layout.stored,
        "HighBit": layout.high_bit,
        "PixelRepresentation": int(layout.signed),
    }
    for keyword, given in (image | dict(content)).items():
        value = given(index) if callable(given) else given
        if value is not None:
            setattr(dataset, keyword, value)
    pixels = layout.encode(stored, big_endian=transfer_syntax == ExplicitVRBigEndian)
    dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
    dataset["PixelData"].VR = "OW" if layout.allocated > 8 else "OB"
    return packed(dataset, transfer_syntax)


def packed(dataset: Dataset, transfer_syntax: UID) -> FileDataset:
    """Return the data set with file meta information; pixels compressed when the syntax asks for it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax if transfer_syntax in NATIVE else ExplicitVRLittleEndian
    result = FileDataset(
        "", dataset, preamble=b"\0" * 128, file_meta=meta,
        is_implicit_VR=transfer_syntax == ImplicitVRLittleEndian, is_little_endian=transfer_syntax != ExplicitVRBigEndian,
    )  # fmt: skip
    if transfer_syntax not in NATIVE:
        result.compress(transfer_syntax, generate_instance_uid=False)
    return result


def decimals(values: Sequence[float] | None) -> list[str] | None:
    """Write lengths as decimal strings of at most 16 characters (PS3.5 section 6.2, DS)."""
    return None if values is None else [f"{value:.9g}" for value in values]
