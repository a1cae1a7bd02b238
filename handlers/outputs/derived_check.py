"""Whether a written image is what it should be: read back, values and attributes looked at (OUT-002)."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.config import RAISE
from pydicom.dataset import Dataset
from pydicom.valuerep import validate_value

from handlers.outputs.derived_header import required

# Attributes of which the standard lists all values; PS3.3 C.7.1.1, C.7.3.1, C.7.6.1.
ENUMERATED = {
    "PatientSex": {"", "M", "F", "O"},
    "Laterality": {"", "L", "R"},
    "BurnedInAnnotation": {"", "YES", "NO"},
    "RecognizableVisualFeatures": {"", "YES", "NO"},
    "QualityControlImage": {"", "YES", "NO"},
    "LossyImageCompression": {"00", "01"},
}


def deviations(content: bytes, stored: NDArray[np.int16], modality: str) -> list[str]:
    """Read a file back and return what is wrong with it, in words that quote no value.

    Looked at are: stored values, equal bit by bit; attributes that must hold a value, or must be there;
    every value against its representation; values of which the standard lists all.

    Source: PS3.5 section 6.2, PS3.3 A.3 and A.4.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = dcmread(io.BytesIO(content))
        return [
            *_missing(image, modality),
            *_malformed(image),
            *_unlisted(image),
            *_other_values(image, stored),
        ]


def _missing(image: Dataset, modality: str) -> Iterator[str]:
    for keyword in required(modality, "type_1"):
        if keyword not in image or image[keyword].is_empty:
            yield f"{keyword} has no value"
    for keyword in required(modality, "type_2"):
        if keyword not in image:
            yield f"{keyword} is missing"


def _malformed(image: Dataset) -> Iterator[str]:
    for element in image:
        if element.VR == "SQ":
            for item in element.value:
                yield from _malformed(item)
            continue
        if element.is_empty or element.VR in {"OB", "OW", "US", "SS", "UL", "SL", "FL", "FD", "AT"}:
            continue
        values = element.value if element.VM > 1 else [element.value]
        try:
            for value in values:
                validate_value(element.VR, str(value), RAISE)
        except (ValueError, TypeError):
            yield f"{element.keyword or element.tag} is no valid {element.VR}"


def _unlisted(image: Dataset) -> Iterator[str]:
    for keyword, allowed in ENUMERATED.items():
        if keyword in image and str(image[keyword].value or "") not in allowed:
            yield f"{keyword} has a value that the standard does not list"


def _other_values(image: Dataset, stored: NDArray[np.int16]) -> Iterator[str]:
    if not np.array_equal(image.pixel_array, stored):
        yield "the pixels read back are not those that were written"
