"""A CT phantom with known HU, built in code: what `prepnode demo` and `prepnode bench` send.

A water cylinder (0 HU) in air (-1000 HU) holds a bone rod (1000 HU) and a fat rod
(-100 HU), on a table. Its UIDs are computed from its name, so the same phantom is the
same series wherever it is built.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

AIR_HU, FAT_HU, WATER_HU, BONE_HU = -1000, -100, 0, 1000
INTERCEPT = -1024
ROOT = uuid.UUID("6f3d2a52-98d3-5c5d-a7a4-4f1c0a1d7a11")  # namespace of all phantom UIDs


def uid(*parts: object) -> str:
    """Return the UID that belongs to these words (PS3.5 B.2: a UUID under 2.25)."""
    return f"2.25.{uuid.uuid5(ROOT, '/'.join(map(str, parts))).int}"


def ct_slices(  # noqa: PLR0913 - every argument is one property of the phantom
    name: str,
    *,
    slices: int = 40,
    size: int = 128,
    spacing_mm: float = 2.0,
    step_mm: float = 2.5,
    tilt_deg: float = 0.0,
    missing: tuple[int, ...] = (),
    description: str = "PHANTOM",
    study: str = "demo",
) -> Iterator[FileDataset]:
    """Yield the slices of one series from feet to head, `missing` ones left out.

    With `tilt_deg` the gantry is tilted about the patient's left-right axis: the planes
    lean, the table still moves along the body, so the stack is sheared.
    """
    tilt = math.radians(tilt_deg)
    row, column = (1.0, 0.0, 0.0), (0.0, math.cos(tilt), -math.sin(tilt))
    half = spacing_mm * (size - 1) / 2
    noise = np.random.default_rng(20)
    for index in range(slices):
        z_mm = step_mm * (index - (slices - 1) / 2)
        origin = (-half, -half * column[1], z_mm - half * column[2])
        stored = _draw(size, spacing_mm, origin, column) - INTERCEPT + noise.integers(-5, 6, (size, size))
        if index in missing:
            continue
        yield _dataset(
            name=name,
            study=study,
            number=index + 1,
            stored=stored.astype("<u2"),
            geometry={
                "ImagePositionPatient": [f"{value:.6g}" for value in origin],
                "ImageOrientationPatient": [f"{value:.10g}" for value in (*row, *column)],
                "PixelSpacing": [spacing_mm, spacing_mm],
                "SliceThickness": step_mm,
                "GantryDetectorTilt": tilt_deg,
            },
            description=description,
        )


def _draw(
    size: int, spacing_mm: float, origin: tuple[float, float, float], column: tuple[float, float, float]
) -> NDArray[np.int32]:
    """Return the HU of one plane, from the patient coordinates of its pixels."""
    across = origin[0] + spacing_mm * np.arange(size)[None, :]
    down = origin[1] + spacing_mm * column[1] * np.arange(size)[:, None]
    reach = spacing_mm * size / 2
    values = np.full((size, size), AIR_HU, np.int32)
    values[across**2 + down**2 < (0.7 * reach) ** 2] = WATER_HU
    values[(across - 0.3 * reach) ** 2 + down**2 < (0.12 * reach) ** 2] = BONE_HU
    values[(across + 0.3 * reach) ** 2 + (down + 0.2 * reach) ** 2 < (0.12 * reach) ** 2] = FAT_HU
    values[(abs(down - 0.85 * reach) < 0.02 * reach) & (abs(across) < 0.6 * reach)] = 200  # the table
    return values


def _dataset(  # noqa: PLR0913 - one argument for each part of the header
    *,
    name: str,
    study: str,
    number: int,
    stored: NDArray[np.uint16],
    geometry: dict[str, object],
    description: str,
) -> FileDataset:
    sop_instance_uid = uid(study, name, number)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    content = Dataset()
    attributes: dict[str, object] = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": sop_instance_uid,
        "StudyInstanceUID": uid(study),
        "SeriesInstanceUID": uid(study, name),
        "FrameOfReferenceUID": uid(study, "frame of reference"),
        "PatientName": "Phantom^Water",
        "PatientID": "PHANTOM",
        "PatientBirthDate": "",
        "PatientSex": "O",
        "StudyDate": "20260101",
        "StudyTime": "120000",
        "AccessionNumber": "",
        "StudyID": "1",
        "ReferringPhysicianName": "",
        "Modality": "CT",
        "Manufacturer": "SIEMENS",
        "SeriesNumber": "1",
        "SeriesDescription": description,
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "PatientPosition": "HFS",
        "ConvolutionKernel": "B30f",
        "KVP": "120",
        "InstanceNumber": number,
        "AcquisitionNumber": "1",
        **geometry,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": stored.shape[0],
        "Columns": stored.shape[1],
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "RescaleIntercept": INTERCEPT,
        "RescaleSlope": 1,
        "RescaleType": "HU",
    }
    for keyword, value in attributes.items():
        setattr(content, keyword, value)
    content.PixelData = stored.tobytes()
    return FileDataset("", content, preamble=b"\0" * 128, file_meta=meta)
