"""One slice of a volume as a single-frame CT or MR image, and as the bytes of a file."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.model import Instance, Volume
from handlers.outputs import derivation, derived_header
from handlers.outputs.derived_pixels import Encoding
from handlers.outputs.provenance import derived_uid, software_version
from handlers.outputs.slices import Placement

CLASSES = {"CT": str(CTImageStorage), "MR": str(MRImageStorage)}
SERIES_NUMBER_OFFSET = 9000  # keeps derived series behind the scanner's in a viewer's list
MAX_SERIES_NUMBER = 2**31 - 1  # VR IS
NEW_SPACING = 0.01  # relative, from which slices are not the acquired ones; as SPACING_TOLERANCE
MAX_DESCRIPTION = 64  # characters, VR LO
SUFFIX = " [prepnode]"
SHEETS = {"MOSAIC", "VFRAME"}  # values of sheets of slices, which were taken apart
IMPLEMENTATION_CLASS_UID = UID("2.25.143250174286163271985826310474158912561")  # as the node names itself


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is one for all images of a volume: source, values, encoding, headers, UIDs."""

    volume: Volume
    values: NDArray[Any]
    encoding: Encoding
    placement: Placement
    series: Dataset
    common: Dataset
    identity: tuple[str, ...]

    @property
    def series_instance_uid(self) -> str:
        """UID of the derived series."""
        return derived_uid("derived-series", *self.identity)


def images(plan: Plan) -> Iterator[tuple[Dataset, NDArray[np.int16]]]:
    """Yield one image per slice, without file meta, and its stored values of shape (rows, columns)."""
    for index, plane in enumerate(plan.values):
        stored = plan.encoding.stored(plane)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom quotes a malformed value, which may be a patient's
            image = _image(plan, index, stored)
        yield image, stored


def _image(plan: Plan, index: int, stored: NDArray[np.int16]) -> Dataset:
    volume = plan.volume
    instances = {instance.sop_instance_uid: instance for instance in volume.instances}
    image = copy.deepcopy(plan.series)  # setting an attribute changes its element, which others would share
    sources = derivation.sources(plan.placement, index, len(plan.values))
    same = derivation.same_place(plan.placement, index, volume)
    image.update(
        copy.deepcopy(plan.common)
        if same is None
        else derived_header.image_part(instances[same], volume.modality)
    )
    image.SOPClassUID = CLASSES[volume.modality]
    image.SOPInstanceUID = derived_uid("derived-instance", *plan.identity, str(index))
    image.SeriesInstanceUID = plan.series_instance_uid
    image.Modality = volume.modality
    image.InstanceNumber = index + 1
    image.update(_series_names(volume.instances[0]))
    image.update(_place(volume, index))
    image.update(_pixels(plan, stored))
    image.update(derivation.described(volume, [instances[uid] for uid in sources]))
    derivation.add_equipment(image, software_version())
    _set_image_type(image, volume.instances[0])
    derived_header.settle_conditions(image)
    derived_header.complete(image, derived_header.required(volume.modality, "type_2"))
    return image


def _series_names(source: Instance) -> Dataset:
    names = Dataset()
    names.SeriesNumber = min(
        MAX_SERIES_NUMBER, SERIES_NUMBER_OFFSET + max(0, _integer(source, "SeriesNumber"))
    )
    description = attributes.text(source, "SeriesDescription") or ""
    names.SeriesDescription = (description[: MAX_DESCRIPTION - len(SUFFIX)] + SUFFIX).strip()
    return names


def _integer(source: Instance, keyword: str) -> int:
    try:
        return attributes.integer(source, keyword) or 0
    except MalformedAttributeError:
        return 0


def _place(volume: Volume, index: int) -> Dataset:
    """Return the image plane: position, orientation and spacing from the affine, in LPS mm.

    Source: PS3.3 C.7.6.2. SliceLocation is the distance of the plane from the origin along its normal.
    """
    affine: NDArray[np.float64] = np.asarray(volume.affine)
    between_columns, between_rows = np.linalg.norm(affine[:3, :2], axis=0)
    row = affine[:3, 0] / between_columns
    column = affine[:3, 1] - (affine[:3, 1] @ row) * row
    column /= np.linalg.norm(column)
    normal = np.cross(row, column)
    position = affine[:3, 3] + index * affine[:3, 2]
    plane = Dataset()
    plane.ImagePositionPatient = [decimal(value) for value in position]
    plane.ImageOrientationPatient = [decimal(float(value)) for value in (*row, *column)]
    plane.PixelSpacing = [decimal(float(value)) for value in (between_rows, between_columns)]
    plane.SliceLocation = decimal(float(position @ normal))
    distance = abs(float(affine[:3, 2] @ normal))
    plane.SpacingBetweenSlices = decimal(distance)
    acquired = distance if volume.geometry is None else volume.geometry.spacing_mm[2]
    if (
        abs(distance - acquired) > NEW_SPACING * acquired
    ):  # the slices are others than those that were reconstructed
        plane.SliceThickness = decimal(distance)
    return plane


def decimal(value: float) -> str:
    """Write a number as a Decimal String of ten significant digits, which has 16 characters at most.

    Of a position in mm that is less than a nanometre. Source: PS3.5 section 6.2.
    """
    return f"{round(float(value), 10) + 0.0:.10g}"


def _pixels(plan: Plan, stored: NDArray[np.int16]) -> Dataset:
    """Return the pixel modules: 16 bits signed. Source: PS3.3 C.7.6.3, C.7.5.1.1.2 (padding), C.11.1."""
    pixels = Dataset()
    pixels.SamplesPerPixel = 1
    pixels.PhotometricInterpretation = "MONOCHROME2"
    pixels.Rows, pixels.Columns = stored.shape
    pixels.BitsAllocated, pixels.BitsStored, pixels.HighBit = 16, 16, 15
    pixels.PixelRepresentation = 1
    for keyword, value in (
        ("SmallestImagePixelValue", int(stored.min())),
        ("LargestImagePixelValue", int(stored.max())),
        ("PixelPaddingValue", plan.encoding.padding),
    ):
        if value is not None:
            pixels.add_new(keyword, "SS", value)
    if (
        plan.volume.modality == "CT" or plan.encoding.slope != "1"
    ):  # no part of the MR Image IOD: where needed only
        pixels.RescaleIntercept, pixels.RescaleSlope = "0", plan.encoding.slope
        pixels.RescaleType = plan.encoding.rescale_type
    if plan.volume.modality == "MR" and plan.volume.units == plan.encoding.units:
        pixels.update(_window(plan.volume.measured))
    pixels.add_new("PixelData", "OW", stored.astype("<i2").tobytes())
    return pixels


def _window(measured: Mapping[str, float]) -> Dataset:
    """Return a window from the 1st to the 99th percentile: that of an MR source need not fit."""
    window = Dataset()
    low, high = measured.get("p1"), measured.get("p99")
    if low is not None and high is not None and high > low:
        window.WindowCenter = decimal((low + high) / 2)
        window.WindowWidth = decimal(high - low)
    return window


def _set_image_type(image: Dataset, source: Instance) -> None:
    """Say DERIVED, PRIMARY and what the source says from its third value on. Source: PS3.3 C.7.6.1.1.2."""
    given = (attributes.texts(source, "ImageType") or ())[2:]
    rest = [value for value in given if value and value not in SHEETS]
    usual = "AXIAL" if image.Modality == "CT" else "OTHER"
    image.ImageType = ["DERIVED", "PRIMARY", *(rest or [usual])]


def part10(image: Dataset) -> bytes:
    """Encode an image as a DICOM file, Explicit VR Little Endian; the same image gives the same bytes."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(image.SOPClassUID)
    meta.MediaStorageSOPInstanceUID = UID(image.SOPInstanceUID)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = "PREPNODE"
    image.file_meta = meta
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in `images`
        image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
