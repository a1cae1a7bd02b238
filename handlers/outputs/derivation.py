"""What a derived image says of how it was made and from which images: derivation, sources, equipment."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.model import Instance, Volume
from handlers.outputs.slices import Placement

LOSSY = "01"
# Steps of the pipeline that make another picture, as codes of PS3.16 CID 7203.
_RESAMPLING = ("113085", "Spatial resampling")
_REFORMATTING = ("113072", "Multiplanar reformatting")
_LOSSY = ("113040", "Lossy Compression")
CODES = {
    "resample": _RESAMPLING,
    "repair_gaps": _RESAMPLING,
    "correct_tilt": _REFORMATTING,
    "reorient": _REFORMATTING,
    "soften_kernel": ("113088", "Gaussian blur"),
}
WORDS = {
    "correct_tilt": "gantry tilt corrected",
    "reorient": "axes reordered",
    "repair_gaps": "missing slices filled",
    "resample": "resampled",
    "crop_region": "cropped",
    "soften_kernel": "smoothed to a softer kernel",
    "correct_bias_field": "bias field corrected",
    "scale_intensity": "intensity scaled",
}
SOURCE_IMAGE = ("121322", "Source image for image processing operation")  # PS3.16 CID 7202
MODIFYING = ("109103", "Modifying Equipment")  # PS3.16 CID 7005
DEIDENTIFYING = ("109104", "De-identifying Equipment")
OBLIQUE = 1e-3  # cosine from which a component is named
LETTERS = ("RL", "AP", "FH")  # against and along the axes of LPS
TOLERANCE = 0.01  # of a slice: rounded positions


def described(volume: Volume, sources: Sequence[Instance]) -> Dataset:
    """Return derivation, source images and lossy history of one image.

    Source: PS3.3 C.7.6.1.1.3 (derivation), C.12.4 (references), C.7.6.1.1.5 (lossy).
    """
    steps = [step.name for step in volume.steps]
    lossy = [each for each in volume.instances if _text(each, "LossyImageCompression") == LOSSY]
    codes = list(dict.fromkeys(CODES[name] for name in steps if name in CODES))
    told = [WORDS[name] for name in dict.fromkeys(steps) if name in WORDS]
    result = Dataset()
    result.DerivationDescription = f"prepnode: {', '.join(['in modality units', *told])}"
    if lossy:
        codes.append(_LOSSY)
        result.LossyImageCompression = LOSSY
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if values := attributes.texts(lossy[0], keyword):
                setattr(result, keyword, list(values))
    elif any(_text(each, "LossyImageCompression") for each in volume.instances):
        result.LossyImageCompression = "00"
    if codes:
        result.DerivationCodeSequence = Items([code(*each) for each in codes])
    result.SourceImageSequence = Items([_reference(each, volume) for each in sources])
    return result


def locations(volume: Volume) -> str:
    """Say what became of the places of pixels, in the terms of (0028,135A). Source: PS3.3 C.12.4."""
    if is_resampled(volume) or any(frame.tile is not None for frame in volume.frames):
        return "NO"
    return "REORIENTED_ONLY" if any(step.name == "reorient" for step in volume.steps) else "YES"


def is_resampled(volume: Volume) -> bool:
    """Say whether values lie between those that were measured."""
    return any(step.name in {"resample", "repair_gaps", "correct_tilt"} for step in volume.steps)


def sources(placement: Placement, index: int, slices: int) -> list[str]:
    """Return the SOP Instance UIDs whose planes made the slice at `index`.

    Those within one slice, of the source or of the volume, whichever is thicker; all of them where
    slices were cut across the acquired planes, or where places are not known.
    """
    known = [frame.index for frame in placement.frames if frame.index is not None]
    if placement.axis != "slice" or len(known) != len(placement.frames):
        return placement.sop_instance_uids
    same = [f for f in placement.frames if abs((f.index or 0.0) - index) <= TOLERANCE]
    if same and len(placement.frames) == slices:
        return list(dict.fromkeys(frame.sop_instance_uid for frame in same))
    reach = max(1.0, (max(known) - min(known)) / max(1, len(known) - 1)) + TOLERANCE
    near = [f for f in placement.frames if abs((f.index or 0.0) - index) <= reach]
    return list(dict.fromkeys(f.sop_instance_uid for f in near)) or placement.sop_instance_uids


def same_place(placement: Placement, index: int, volume: Volume) -> str | None:
    """Return the source image of which the slice at `index` is the whole; None where there is none."""
    if placement.axis != "slice" or len(placement.frames) != len(volume.instances):
        return None
    found = [
        frame.sop_instance_uid
        for frame in placement.frames
        if frame.index is not None and abs(frame.index - index) <= TOLERANCE
    ]
    return found[0] if len(found) == 1 else None


def add_equipment(image: Dataset, version: str, purpose: tuple[str, str] = MODIFYING) -> None:
    """Say that this program worked on the image, beside those that the source names. Source: PS3.3 C.12.1."""
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = Items([code(*purpose)])
    item.Manufacturer = "prepnode"
    item.ManufacturerModelName = "prepnode"
    item.SoftwareVersions = version
    image.ContributingEquipmentSequence = Items([*image.get("ContributingEquipmentSequence", ()), item])


def code(value: str, meaning: str, scheme: str = "DCM") -> Dataset:
    """Return a code sequence item. Source: PS3.3 Table 8.8-1."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _reference(instance: Instance, volume: Volume) -> Dataset:
    """Refer to a source image; one whose axes were put in another order says where they lay."""
    item = Dataset()
    item.ReferencedSOPClassUID = instance.sop_class_uid
    item.ReferencedSOPInstanceUID = instance.sop_instance_uid
    item.SpatialLocationsPreserved = locations(volume)
    item.PurposeOfReferenceCodeSequence = Items([code(*SOURCE_IMAGE)])
    if item.SpatialLocationsPreserved == "REORIENTED_ONLY" and volume.geometry is not None:
        cosines = (volume.geometry.row_cosine, volume.geometry.column_cosine)
        item.PatientOrientation = [_direction(each) for each in cosines]
    return item


def _direction(cosine: Sequence[float]) -> str:
    """Name a direction by letters, the longest component first. Source: PS3.3 C.7.6.1.1.1."""
    letters = [pair[value > 0] for pair, value in zip(LETTERS, cosine, strict=True)]
    order = sorted(range(3), key=lambda axis: -abs(cosine[axis]))
    return "".join(letters[axis] for axis in order if abs(cosine[axis]) > OBLIQUE)


def _text(instance: Instance, keyword: str) -> str:
    try:
        return attributes.text(instance, keyword) or ""
    except MalformedAttributeError:
        return ""
