"""The kinds of objects by SOP class: images of which modality, screens, and what is no radiology image."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

ROOT = "1.2.840.10008.5.1.4.1.1."
DIRECTORY = "1.2.840.10008.1.3.10"

CT, MR, PT = frozenset({"CT"}), frozenset({"MR"}), frozenset({"PT"})
PROJECTION = frozenset({"CR", "DX", "RG", "PX", "IO", "MG"})  # CR plates are read for all of them
ANGIOGRAPHY = frozenset({"XA", "RF"})
ULTRASOUND = frozenset({"US", "IVUS"})

# tail of the UID -> values of Modality that fit it; PS3.4 B.5, PS3.3 C.7.3.1.1.1
IMAGES: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("2", "2.1", "2.2"), CT),
    **dict.fromkeys(("4", "4.1", "4.3", "4.4"), MR),
    **dict.fromkeys(("128", "128.1", "130"), PT),
    **dict.fromkeys(("20", "5"), frozenset({"NM"})),
    "1": PROJECTION,
    **dict.fromkeys(("1.1", "1.1.1"), PROJECTION - {"MG"}),
    **dict.fromkeys(("1.2", "1.2.1", "13.1.3", "13.1.4", "13.1.5"), frozenset({"MG"})),
    **dict.fromkeys(("1.3", "1.3.1"), frozenset({"IO", "PX", "DX"})),
    **dict.fromkeys(("12.1", "12.1.1", "12.2", "12.2.1", "12.3", "13.1.1", "13.1.2"), ANGIOGRAPHY),
    **dict.fromkeys(("6", "6.1", "6.2", "3", "3.1"), ULTRASOUND),
}
SECONDARY_CAPTURES = ("7", "7.1", "7.2", "7.3", "7.4")
OTHERS: Mapping[str, str] = {
    "88": "structured report or key object",
    "11": "presentation state",
    "104": "encapsulated document",
    "9": "waveform",
    "66": "raw data, registration or segmentation",
    "67": "real-world value mapping",
    "68": "surface",
    "30": "parametric map",
    "481": "radiotherapy object",
    "77": "visible-light or ophthalmic image",
    "14": "intravascular optical image",
    "4.2": "spectroscopy",
    "200": "protocol",
    "201": "inventory",
    "78": "ophthalmic measurement",
    "79": "ophthalmic measurement",
    "80": "ophthalmic measurement",
    "81": "ophthalmic measurement",
    "82": "ophthalmic measurement",
    "90": "assessment",
    "131": "structured display",
}
OTHER_ROOTS: Mapping[str, str] = {
    "1.2.840.10008.5.1.4.34.": "radiotherapy or procedure object",
    "1.2.840.10008.5.1.4.38.": "hanging protocol",
    "1.2.840.10008.5.1.4.39.": "colour palette",
    "1.2.840.10008.5.1.4.43.": "implant template",
    "1.2.840.10008.5.1.4.44.": "implant assembly",
    "1.2.840.10008.5.1.4.45.": "implant template group",
}


class Kind(StrEnum):
    """What an object is, by its SOP class."""

    IMAGE = "image"
    SECONDARY_CAPTURE = "secondary capture"
    OTHER = "other"
    DIRECTORY = "directory"
    UNKNOWN = "unknown"


def kind(sop_class_uid: str) -> Kind:
    """Say what kind of object a SOP class is; private and unheard-of classes are UNKNOWN."""
    if sop_class_uid == DIRECTORY:
        return Kind.DIRECTORY
    if other_kind(sop_class_uid):
        return Kind.OTHER
    tail = _tail(sop_class_uid)
    if tail in SECONDARY_CAPTURES:
        return Kind.SECONDARY_CAPTURE
    return Kind.IMAGE if tail in IMAGES else Kind.UNKNOWN


def other_kind(sop_class_uid: str) -> str:
    """Name the kind of an object that is no radiology image; "" for all else."""
    for root, name in OTHER_ROOTS.items():
        if sop_class_uid.startswith(root):
            return name
    tail = _tail(sop_class_uid)
    return next((name for own, name in OTHERS.items() if tail == own or tail.startswith(f"{own}.")), "")


def modalities(sop_class_uid: str) -> frozenset[str]:
    """Return the values of Modality that fit an image class; empty for all else."""
    return IMAGES.get(_tail(sop_class_uid), frozenset())


def _tail(sop_class_uid: str) -> str:
    return sop_class_uid[len(ROOT) :] if sop_class_uid.startswith(ROOT) else ""
