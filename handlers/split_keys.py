"""What tells the volumes of one series apart: the hard keys of each frame.

Frames that differ in a hard key never share a volume. AcquisitionNumber, SliceThickness,
exposure, tube current and table height are no hard keys: they vary inside one volume (one
GE head CT of 28 slices bears 21 AcquisitionNumbers).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np

from handlers import attributes, geometry
from handlers.errors import MalformedAttributeError
from handlers.model import Frame
from handlers.tables import table

Key = Hashable
LIMITS = table("geometry")["split"]
SPACING_TOLERANCE: float = LIMITS["spacing_relative"]
ORIENTATION_TOLERANCE_DEG: float = LIMITS["orientation_deg"]
VALUE_TOLERANCE: float = LIMITS["value_relative"]
ROOT = "1.2.840.10008.5.1.4.1.1."
FAMILIES = {
    # classic, enhanced and legacy-converted objects of one modality may share a volume
    "CT": ("2", "2.1", "2.2"),
    "MR": ("4", "4.1", "4.4"),
    "PT": ("128", "128.1", "130"),
    "SC": ("7", "7.1", "7.2", "7.3", "7.4"),
}
FAMILY_OF = {ROOT + tail: family for family, tails in FAMILIES.items() for tail in tails}
MODALITY_OF = {uid: own for uid, own in FAMILY_OF.items() if own != "SC"} | {
    ROOT + tail: own
    for own, tails in {"CR": ("1",), "DX": ("1.1", "1.1.1"), "MG": ("1.2", "1.2.1")}.items()
    for tail in tails
}
# Values of ImageType that name a filter, not another kind of image.
FILTERS = {"NORM", "DIS2D", "DIS3D", "ND", "FM", "FIL", "MFSPLIT", "FS", "SH", "PFP"}
SIEMENS_PHASE = re.compile(r"TP(\d+)PC(\d*)", re.IGNORECASE)  # in ScanOptions of Siemens cardiac CT

CORE = (
    "sop_class_family", "has_geometry", "Rows", "Columns", "PixelSpacing", "ImageOrientationPatient",
    "FrameOfReferenceUID", "SamplesPerPixel", "PhotometricInterpretation", "ImageType",
)  # fmt: skip
TEXTS = (
    "FrameOfReferenceUID", "PhotometricInterpretation", "ComplexImageComponent", "RescaleType", "Units",
    "StackID", "DiffusionDirectionality", "ContrastBolusAgentPhase", "ContrastBolusAgentAdministered",
    "EchoNumbers",
)  # fmt: skip
INTEGERS = ("Rows", "Columns", "SamplesPerPixel", "TemporalPositionIdentifier", "TemporalPositionIndex")
NUMBERS = (
    "EchoTime", "EffectiveEchoTime", "InversionTime", "FlipAngle", "KVP",
    "NominalPercentageOfCardiacPhase", "NominalCardiacTriggerDelayTime",
    "NominalPercentageOfRespiratoryPhase",
)  # fmt: skip

# Private elements of CT that tell phases and energies apart: group, creator, offset; PS3.5 section 7.8.1.
CT_NUMBERS = {
    "ge_percent_of_rr": (0x0045, "GEMS_HELIOS_01", 0x33),
    "philips_kev": (0x01F7, "ELSCINT1", 0xCB),
    "canon_delay_ms": (0x7005, "TOSHIBA_MEC_CT3", 0x05),
}
CT_TEXTS = {
    "philips_gating_delay": (0x01F1, "ELSCINT1", 0x41),
    "canon_percent_of_rr": (0x7005, "TOSHIBA_MEC_CT3", 0x04),
}
GATED = re.compile(r"\bgated, *(\d+(?:\.\d+)? *% *[AB]?)", re.IGNORECASE)  # a bin of 4-D CT


def hard_keys(frames: Sequence[Frame]) -> list[dict[str, Key]]:
    """Return the hard keys of each frame: name -> value; values within tolerance are made equal.

    A name is the DICOM keyword, or snake_case for what is derived. None is absent, empty or malformed.
    """
    keys = [_keys(frame) for frame in frames]
    for name in (*NUMBERS, "DiffusionBValue"):
        _merge(keys, name, _numbers_as_one)
    _complete_hounsfield(frames, keys)
    _merge(keys, "PixelSpacing", _spacings_as_one)
    _merge(keys, "ImageOrientationPatient", _orientations_as_one)
    return keys


def family(frame: Frame) -> str:
    """Return the SOP class family: "CT", "MR", "PT", "SC", or the SOP class itself."""
    return FAMILY_OF.get(frame.instance.sop_class_uid, frame.instance.sop_class_uid)


def modality(frame: Frame) -> str:
    """Return Modality in capitals; where it is missing, what the SOP class says, or ""."""
    stated = _known(attributes.text, frame, "Modality")
    return str(stated).upper() if stated else MODALITY_OF.get(frame.instance.sop_class_uid, "")


def _keys(frame: Frame) -> dict[str, Key]:
    placed = geometry.orientation_and_position(frame)
    spacing = geometry.pixel_spacing(frame)
    is_spaced = spacing is not None and 0 < min(spacing) <= max(spacing) <= geometry.LENGTH_LIMIT_MM
    result: dict[str, Key] = {
        "sop_class_family": family(frame),
        "has_geometry": placed is not None and is_spaced,
        "PixelSpacing": spacing,
        "ImageOrientationPatient": placed and placed[0],
        "ImageType": _image_type(frame),
        "ConvolutionKernel": _known(attributes.texts, frame, "ConvolutionKernel"),
        "siemens_phase": _siemens_phase(frame),
    }
    result |= {keyword: _known(attributes.text, frame, keyword) for keyword in TEXTS}
    result |= {keyword: _known(attributes.integer, frame, keyword) for keyword in INTEGERS}
    result |= {keyword: _known(attributes.number, frame, keyword) for keyword in NUMBERS}
    own = modality(frame)
    if own == "MR":
        result |= {"DiffusionBValue": _b_value(frame), "diffusion_direction": _direction(frame)}
        result["ge_image_part"] = _private_number(frame, 0x0043, "GEMS_PARM_01", 0x2F)  # M, P, R, I
    elif own == "CT":
        result |= {name: _private_number(frame, *element) for name, element in CT_NUMBERS.items()}
        result |= {name: _private_text(frame, *element) for name, element in CT_TEXTS.items()}
        result["respiratory_bin"] = _respiratory_bin(frame)
    elif own == "PT":
        result["pet_slot"] = _pet_slot(frame)
    return result


def _known(read: Callable[[Frame, str], Key], frame: Frame, keyword: str) -> Key:
    try:
        value = read(frame, keyword)
    except MalformedAttributeError:
        return None
    return None if value in ("", ()) else value


def _image_type(frame: Frame) -> tuple[str, ...]:
    try:
        values = attributes.image_type(frame)
    except MalformedAttributeError:
        return ()
    return tuple(value for value in values if value not in FILTERS)[:4]


def _siemens_phase(frame: Frame) -> Key:
    options = _known(attributes.texts, frame, "ScanOptions")
    found = SIEMENS_PHASE.search(" ".join(options)) if isinstance(options, tuple) else None
    return found and found.groups()


def _respiratory_bin(frame: Frame) -> Key:
    """Return the bin that a comment states for each image, such as "30.0%A"; None where there is none."""
    comment = _known(attributes.text, frame, "ImageComments")
    found = GATED.search(comment) if isinstance(comment, str) else None
    return found and found[1].replace(" ", "").upper()


def _b_value(frame: Frame) -> float | None:
    """Return the b-value in s/mm2, standard or private.

    GE adds multiples of 100,000 that carry other meanings. Source: dcm2niix.
    """
    value = _known(attributes.number, frame, "DiffusionBValue")
    if isinstance(value, float):
        return value
    for group, creator, offset in (
        (0x0019, "SIEMENS MR HEADER", 0x0C),
        (0x2001, "Philips Imaging DD 001", 0x03),
        (0x0065, "Image Private Header", 0x09),  # UIH
    ):
        private = _private_number(frame, group, creator, offset)
        if private is not None:
            return private
    ge = _private_number(frame, 0x0043, "GEMS_PARM_01", 0x39)
    return None if ge is None else ge % 100_000


def _direction(frame: Frame) -> Key:
    """Return the diffusion gradient direction, rounded to a thousandth; None without diffusion."""
    try:
        nested = attributes.items(frame, "DiffusionGradientDirectionSequence")
        source = nested[0] if nested else frame
        values = attributes.numbers(source, "DiffusionGradientOrientation") or ()
    except MalformedAttributeError:
        values = ()
    if not values:
        values = _private(frame, 0x0019, "SIEMENS MR HEADER", 0x0E)
    if not values:
        ge = [_private_number(frame, 0x0019, "GEMS_ACQU_01", offset) for offset in (0xBB, 0xBC, 0xBD)]
        values = tuple(value for value in ge if value is not None)
    return tuple(round(value, 3) + 0.0 for value in values) if len(values) == 3 and any(values) else None


def _pet_slot(frame: Frame) -> Key:
    """Return the number of the gate or time slot of a dynamic or gated PET image.

    ImageIndex counts slices fastest. Source: PS3.3 C.8.9.4.1.9.
    """
    series_type = _known(attributes.texts, frame, "SeriesType")
    index = _known(attributes.integer, frame, "ImageIndex")
    slices = _known(attributes.integer, frame, "NumberOfSlices")
    is_repeated = isinstance(series_type, tuple) and series_type[0].upper() in ("DYNAMIC", "GATED")
    if not is_repeated or not isinstance(index, int) or not isinstance(slices, int) or slices < 1:
        return None
    return (index - 1) // slices


def _private_number(frame: Frame, group: int, creator: str, offset: int) -> float | None:
    values = _private(frame, group, creator, offset)
    return values[0] if values else None


def _private_text(frame: Frame, group: int, creator: str, offset: int) -> Key:
    value = _known(lambda each, _: attributes.private(each, group, creator, offset), frame, "")
    text = value.decode("ascii", errors="replace") if isinstance(value, bytes) else str(value or "")
    return text.strip(" \0") or None


def _private(frame: Frame, group: int, creator: str, offset: int) -> tuple[float, ...]:
    try:
        return attributes.private_numbers(frame, group, creator, offset)
    except MalformedAttributeError:
        return ()


def _merge(keys: list[dict[str, Key]], name: str, as_one: Callable[[list[Key]], Mapping[Key, Key]]) -> None:
    """Replace the values of one key by one representative for all that lie within tolerance."""
    distinct = sorted({key[name] for key in keys if key.get(name) is not None})  # type: ignore[type-var]
    if len(distinct) < 2:
        return
    representative = as_one(distinct)
    for key in keys:
        if key.get(name) is not None:
            key[name] = representative[key[name]]


def _complete_hounsfield(frames: Sequence[Frame], keys: list[dict[str, Key]]) -> None:
    """Take an absent RescaleType of CT as HU where all that state one state HU; PS3.3 C.8.2.1.1.2.

    Not where both are at one position: those are images of two kinds, not slices of one stack.
    """
    own = [(frame, key) for frame, key in zip(frames, keys, strict=True) if "respiratory_bin" in key]  # of CT
    if {key["RescaleType"] for _, key in own} != {None, "HU"}:
        return
    places = {
        stated: {_place(f) for f, key in own if key["RescaleType"] == stated} for stated in (None, "HU")
    }
    if places[None].isdisjoint(places["HU"]):
        for _, key in own:
            key["RescaleType"] = "HU"


def _place(frame: Frame) -> tuple[float, ...] | None:
    placed = geometry.orientation_and_position(frame)
    return None if placed is None else tuple(round(float(each), 3) for each in placed[1])


def _numbers_as_one(values: list[Key]) -> dict[Key, Key]:
    return _chained(values, lambda a, b: abs(a - b) <= VALUE_TOLERANCE * max(abs(a), abs(b)))  # type: ignore[operator, arg-type]


def _spacings_as_one(values: list[Key]) -> dict[Key, Key]:
    return _chained(values, lambda a, b: np.allclose(a, b, rtol=SPACING_TOLERANCE, atol=0))  # type: ignore[arg-type]


def _chained(values: list[Key], is_near: Callable[[Key, Key], bool]) -> dict[Key, Key]:
    result = {}
    previous = first = values[0]
    for value in values:
        first = first if is_near(previous, value) else value
        result[value], previous = first, value
    return result


def _orientations_as_one(values: list[Key]) -> dict[Key, Key]:
    """Join orientations whose row and column cosines both lie within tolerance of a first one.

    Antiparallel axes are 180 degrees apart and stay different.
    """
    leaders: list[tuple[Key, np.ndarray]] = []
    result = {}
    limit = math.radians(ORIENTATION_TOLERANCE_DEG)
    for value in values:
        vectors = np.array(value, dtype=np.float64).reshape(2, 3)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        # The chord between unit vectors equals the angle, to a millionth at this size.
        near = (key for key, leader in leaders if np.linalg.norm(vectors - leader, axis=1).max() <= limit)
        found = next(near, None)
        if found is None:
            leaders.append((value, vectors))
            found = value
        result[value] = found
    return result
