"""DICOM built in code: single-frame CT and MR series, projections, secondary captures, localizers.

The oracle of the tests: it knows nothing of the programs under test. All identifiers are
computed from names, so that the same call gives the same objects, byte for byte. Multi-frame
objects come from `multiframe`; the phantom and the bit layouts from `phantoms`.

Every builder takes further DICOM keywords as `overrides`: a value, None to leave the attribute
out, or a function of the slice index (0, 1, ...) that gives either.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)

from datasets import decimals, identity, instance
from multiframe import enhanced_ct, enhanced_mr
from phantoms import AXES, HU, MR_SIGNAL, Layout, Phantom, Plane, planes, rotation, uid

__all__ = [
    "AXES", "HU", "MR_SIGNAL", "Layout", "Phantom", "Plane", "ct_series", "enhanced_ct", "enhanced_mr", "file_bytes",
    "localizer", "mr_series", "padding_mask", "planes", "projection", "rotation", "secondary_capture", "uid", "write",
]  # fmt: skip

STUDY = uid("study")
TWELVE_BITS = Layout(allocated=16, stored=12)


def ct_series(
    *,
    slices: int = 20,
    rows: int = 64,
    columns: int = 64,
    spacing: tuple[float, float] = (0.5, 0.5),
    step_mm: float = 2.0,
    tilt_deg: float = 0.0,
    tilt_tag: float | None = None,
    missing: Sequence[int] = (),
    duplicate: int | None = None,
    duplicate_differs: bool = False,
    shuffled: bool = False,
    kernel: str | list[str] | None = "B30f",
    slope: float = 1,
    intercept: float = -1024,
    slopes: Sequence[float] | None = None,
    **options: Any,
) -> list[FileDataset]:
    """Return a CT series of the phantom (air -1000, water 0, bone 1000 HU), one instance per slice.

    Args:
        slices: number of slices before `missing` ones are left out.
        rows: pixel rows. columns: pixel columns.
        spacing: PixelSpacing: mm between rows, mm between columns.
        step_mm: table feed from slice to slice; the gap along the normal is step_mm * cos(tilt).
        tilt_deg: gantry tilt about the row axis, in the geometry.
        tilt_tag: GantryDetectorTilt in degrees; None leaves the tag out.
        missing: indices of the slices that are not there (interior or at the edges).
        duplicate: index of a slice that comes a second time, under a new SOPInstanceUID;
            `duplicate_differs` gives it other pixels (100 HU more everywhere).
        shuffled: InstanceNumber, and the order of the list, say nothing of the position.
        kernel: ConvolutionKernel.
        slope, intercept: rescale to HU; `slopes` gives one slope per slice instead.
        options: see `_series`; what is not listed there is a DICOM keyword.
    """
    attributes = {
        "ConvolutionKernel": kernel,
        "KVP": "120",
        "RescaleType": "HU",
        "GantryDetectorTilt": tilt_tag,
        "PatientPosition": options.pop("patient_position", "HFS"),
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    }
    stack = {"rows": rows, "columns": columns, "spacing": spacing, "step_mm": step_mm, "tilt_deg": tilt_deg}
    result = _series(
        "ct", CTImageStorage, slices=slices, stack=stack, levels=HU, attributes=attributes,
        slopes=slopes or [slope] * slices, intercept=intercept, **options,
    )  # fmt: skip
    kept = [each for index, each in enumerate(result) if index not in missing]
    if duplicate is not None:
        kept.append(_again(result[duplicate], raised=100 if duplicate_differs else 0))
    if shuffled:
        _shuffle(kept)
    return kept


def mr_series(
    *,
    slices: int = 20,
    rows: int = 64,
    columns: int = 64,
    spacing: tuple[float, float] = (0.5, 0.5),
    step_mm: float = 2.0,
    slope: float | None = None,
    intercept: float | None = None,
    **options: Any,
) -> list[FileDataset]:
    """Return an MR series of the phantom (air 0, tissue 400, rod 1200 in arbitrary units).

    Without `slope` and `intercept` there is no rescale, as in the MR Image module. The
    other arguments are those of `ct_series`.
    """
    attributes = {
        "ScanningSequence": "SE",
        "SequenceVariant": "NONE",
        "EchoTime": "10",
        "RepetitionTime": "500",
        "FlipAngle": "90",
        "PatientPosition": options.pop("patient_position", "HFS"),
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
    }
    stack = {
        "rows": rows,
        "columns": columns,
        "spacing": spacing,
        "step_mm": step_mm,
        "tilt_deg": options.pop("tilt_deg", 0.0),
    }
    slopes = None if slope is None else [slope] * slices
    missing = options.pop("missing", ())
    result = _series(
        "mr", MRImageStorage, slices=slices, stack=stack, levels=MR_SIGNAL, attributes=attributes,
        slopes=slopes, intercept=intercept, **options,
    )  # fmt: skip
    return [each for index, each in enumerate(result) if index not in missing]


def projection(
    modality: str = "DX",
    *,
    rows: int = 64,
    columns: int = 48,
    photometric: str = "MONOCHROME2",
    pixel_spacing: tuple[float, float] | None = None,
    imager_pixel_spacing: tuple[float, float] | None = (0.2, 0.2),
    layout: Layout = TWELVE_BITS,
    **options: Any,
) -> FileDataset:
    """Return one DX, CR or MG image: a bright disc (3000) on dark ground (200) as displayed.

    MONOCHROME1 stores the same picture inverted over the range of BitsStored, so that both look alike.
    `pixel_spacing` and `imager_pixel_spacing` are mm (row, column); None leaves the tag out.
    """
    classes = {
        "DX": DigitalXRayImageStorageForPresentation,
        "CR": ComputedRadiographyImageStorage,
        "MG": DigitalMammographyXRayImageStorageForPresentation,
    }
    i, j = np.indices((rows, columns))
    shown = np.where(np.hypot(i - rows / 3, j - columns / 2) < min(rows, columns) / 4, 3000, 200).astype(
        np.int64
    )
    stored = (1 << layout.stored) - 1 - shown if photometric == "MONOCHROME1" else shown
    attributes: dict[str, Any] = {
        "PixelSpacing": decimals(pixel_spacing),
        "ImagerPixelSpacing": decimals(imager_pixel_spacing),
        "PresentationLUTShape": "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY",
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "ImageLaterality": "L" if modality == "MG" else None,
        "ViewPosition": "CC" if modality == "MG" else "PA",
    }
    return _picture(modality, classes[modality], stored, layout, photometric, attributes, options)


def secondary_capture(
    *,
    rows: int = 64,
    columns: int = 64,
    modality: str = "CT",
    photometric: str = "MONOCHROME2",
    **options: Any,
) -> FileDataset:
    """Return a Secondary Capture (8 bit, a screen with stripes), of any Modality, without geometry.

    RGB gives three samples per pixel, interleaved by pixel.
    """
    stripes = (np.indices((rows, columns)).sum(axis=0) % 16 * 15).astype(np.int64)
    values = np.stack([stripes, stripes, stripes], axis=-1) if photometric == "RGB" else stripes
    attributes = {
        "ImageType": ["DERIVED", "SECONDARY"],
        "ConversionType": "WSD",
        "SeriesDescription": "SCREEN SAVE",
    }
    layout = Layout(allocated=8, stored=8)
    return _picture(modality, SecondaryCaptureImageStorage, values, layout, photometric, attributes, options)


def localizer(
    *, rows: int = 96, columns: int = 80, spacing: tuple[float, float] = (1.0, 1.0), **options: Any
) -> FileDataset:
    """Return a coronal CT localizer of another matrix than the stack, with its geometry."""
    options = {
        "orientation": "coronal",
        "name": "localizer",
        "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"],
        "ScanOptions": "SURVIEW",
    } | options
    return ct_series(slices=1, rows=rows, columns=columns, spacing=spacing, **options)[0]


def padding_mask(rows: int, columns: int) -> NDArray[np.bool_]:
    """Return where `padding` lies in a slice, shape (rows, columns): outside the inscribed ellipse."""
    i, j = np.indices((rows, columns))
    outside: NDArray[np.bool_] = (
        np.hypot((i - (rows - 1) / 2) / (rows / 2), (j - (columns - 1) / 2) / (columns / 2)) > 1
    )
    return outside


def write(datasets: Iterable[FileDataset], folder: Path) -> list[Path]:
    """Write one Part 10 file per data set into `folder`, numbered on from what is there; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    first = len(list(folder.iterdir()))
    paths = []
    for number, each in enumerate(datasets, first):
        path = folder / f"{number:04d}.dcm"
        path.write_bytes(file_bytes(each))
        paths.append(path)
    return paths


def file_bytes(dataset: FileDataset) -> bytes:
    """Return the data set as a Part 10 file, encoded as its file meta information says."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _series(
    kind: str,
    sop_class: UID,
    *,
    slices: int,
    stack: Mapping[str, Any],
    levels: tuple[float, float, float],
    attributes: Mapping[str, Any],
    slopes: Sequence[float] | None,
    intercept: float | None,
    name: str = "",
    series_uid: str | None = None,
    study_uid: str = STUDY,
    orientation: str | NDArray[np.float64] = "axial",
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
    phantom: Phantom | None = None,
    layout: Layout | None = None,
    bits_allocated: int = 16,
    bits_stored: int = 12,
    high_bit: int | None = None,
    pixel_representation: int = 0,
    garbage: bool = False,
    sign_extended: bool = True,
    padding: int | None = None,
    photometric: str = "MONOCHROME2",
    transfer_syntax: UID = ExplicitVRLittleEndian,
    **overrides: Any,
) -> list[FileDataset]:
    """Build a stack.

    `name` tells series apart whose other arguments are alike (it enters the UIDs); `series_uid`,
    `study_uid` set those; `orientation` is "axial", "sagittal", "coronal" or the rows (row cosine,
    column cosine, slice direction) of a 3x3 array, e.g. `rotation(seed)`; `centre` is LPS mm. Bits: see
    `Layout`. `padding` is a stored value, declared in PixelPaddingValue and laid outside `padding_mask`.
    `transfer_syntax` may also be one that pydicom encodes (RLE, JPEG-LS, JPEG 2000 lossless).
    """
    layout = layout or Layout(
        bits_allocated, bits_stored, high_bit, bool(pixel_representation), garbage, sign_extended
    )
    rows, columns, spacing = stack["rows"], stack["columns"], stack["spacing"]
    phantom = phantom or Phantom(max(rows * spacing[0], columns * spacing[1]), centre)
    series_uid = series_uid or uid("series", kind, name)
    key = (
        series_uid,
        name,
        stack,
        attributes.get("ConvolutionKernel"),
        np.asarray(AXES.get(str(orientation), orientation)),
    )
    result = []
    for index, plane in enumerate(planes(slices, orientation=orientation, centre=centre, **stack)):
        values = np.asarray(levels)[phantom.material(plane.points(rows, columns, spacing))]
        scaled = values if slopes is None else (values - (intercept or 0)) / slopes[index]
        stored = np.rint(scaled).astype(np.int64)
        if padding is not None:
            stored[padding_mask(rows, columns)] = padding
        rescale = {} if slopes is None else {"RescaleSlope": slopes[index], "RescaleIntercept": intercept}
        content = {
            **identity(kind.upper(), sop_class, uid(*key, index), series_uid, study_uid),
            "InstanceNumber": index + 1,
            "AcquisitionNumber": 1,
            "SliceThickness": stack["step_mm"],
            "PixelSpacing": decimals(spacing),
            "ImagePositionPatient": decimals(plane.position),
            "ImageOrientationPatient": decimals((*plane.row_cosine, *plane.column_cosine)),
            "FrameOfReferenceUID": uid("frame of reference", study_uid),
            "PixelPaddingValue": padding,
            **rescale,
            **attributes,
            **overrides,
        }
        result.append(instance(content, index, stored, layout, photometric, transfer_syntax))
    return result


def _picture(  # noqa: PLR0917 - private, one call per kind of picture
    modality: str,
    sop_class: UID,
    stored: NDArray[np.int64],
    layout: Layout,
    photometric: str,
    attributes: Mapping[str, Any],
    options: dict[str, Any],
) -> FileDataset:
    name, study_uid = options.pop("name", ""), options.pop("study_uid", STUDY)
    series_uid = options.pop("series_uid", None) or uid("series", modality, sop_class, name)
    transfer_syntax = options.pop("transfer_syntax", ExplicitVRLittleEndian)
    who = identity(modality, sop_class, uid(series_uid, sop_class, name), series_uid, study_uid)
    content = {**who, "InstanceNumber": 1, **attributes, **options}
    return instance(content, 0, stored, layout, photometric, transfer_syntax)


def _again(original: FileDataset, *, raised: int) -> FileDataset:
    """Return the same slice under a new SOPInstanceUID, its 16-bit unsigned pixels raised by `raised`."""
    result = copy.deepcopy(original)
    again = UID(uid(original.SOPInstanceUID, "again"))
    result.SOPInstanceUID = again
    result.file_meta.MediaStorageSOPInstanceUID = again
    result.InstanceNumber = original.InstanceNumber + 1000
    if raised:
        result.PixelData = (np.frombuffer(original.PixelData, "<u2") + np.uint16(raised)).tobytes()
    return result


def _shuffle(datasets: list[FileDataset]) -> None:
    """Give InstanceNumbers, and an order of the list, that have nothing to do with position (seed 3)."""
    generator = np.random.default_rng(3)
    for each, number in zip(datasets, generator.permutation(len(datasets)), strict=True):
        each.InstanceNumber = int(number) + 1
    order = generator.permutation(len(datasets))
    datasets[:] = [datasets[k] for k in order]
