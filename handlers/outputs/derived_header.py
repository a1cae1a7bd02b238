"""What a derived image takes over from the headers of its source, by the allow-list `conf/derived.toml`."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import VR, PersonName

from handlers import tables
from handlers.model import Instance
from handlers.tags import tag_of

UTF_8 = "ISO_IR 192"  # texts are decoded from the source's character set and written in this one

GATED = {"CG", "PPG"}  # ScanOptions of a cardiac or peripheral gate


def rules() -> Mapping[str, Any]:
    """Return `conf/derived.toml`."""
    return tables.table("derived")


def image_keywords(modality: str) -> tuple[str, ...]:
    """Return what is taken over image by image."""
    image = rules()["image"]
    return (*image["keywords"], *image[modality]["keywords"])


def required(modality: str, kind: str) -> tuple[str, ...]:
    """Return the keywords of `kind` "type_1" or "type_2" that such an image needs."""
    return (*rules()["required"][kind], *rules()["image"][modality].get(kind, ()))


def series_part(instances: Sequence[Instance]) -> Dataset:
    """Copy what is one for the whole series from its first instance, with every Type 2 attribute there."""
    part = Dataset()
    part.SpecificCharacterSet = UTF_8
    _copy(part, instances[0].header, rules()["series"]["keywords"])
    return part


def common_part(instances: Sequence[Instance], modality: str) -> Dataset:
    """Copy those attributes of an image in which all instances agree."""
    first, *others = (instance.header for instance in instances)
    part = Dataset()
    for keyword in image_keywords(modality):
        element = _element(first, keyword)
        if element is None:
            continue
        told = repr(element.value)
        if all(
            (other := _element(each, keyword)) is not None and repr(other.value) == told for each in others
        ):
            part.add(element)
    return part


def image_part(instance: Instance, modality: str) -> Dataset:
    """Copy the attributes of one image."""
    part = Dataset()
    _copy(part, instance.header, image_keywords(modality))
    return part


def complete(dataset: Dataset, keywords: Iterable[str]) -> None:
    """Add what has to be there, empty where nothing is known (Type 2)."""
    for keyword in keywords:
        if keyword not in dataset:
            setattr(dataset, keyword, None)


def settle_conditions(image: Dataset) -> None:
    """Leave out what may be there under a condition only, and add what must be (Type 2C).

    Source: PS3.3 C.7.3.1 (Laterality, of a paired part of the body: empty where the part is not known),
    C.8.3.1 (InversionTime, TriggerTime of MR).
    """
    if not image.get("BodyPartExamined"):
        image.Laterality = image.get("Laterality")
    elif "Laterality" in image and not image.Laterality:
        del image.Laterality
    if image.Modality != "MR":
        return
    if "InversionTime" in image and "IR" not in _values(image, "ScanningSequence"):
        del image.InversionTime
    if "TriggerTime" in image and not GATED & _values(image, "ScanOptions"):
        del image.TriggerTime


def _values(image: Dataset, keyword: str) -> set[str]:
    value = image.get(keyword)
    return {value} if isinstance(value, str) else set(value or ())


def _copy(part: Dataset, header: Dataset, keywords: Iterable[str]) -> None:
    for keyword in keywords:
        element = _element(header, keyword)
        if element is not None:
            part.add(element)


def _element(header: Dataset, keyword: str) -> DataElement | None:
    """Return a copy of an element; None where there is none, or what is there cannot be read."""
    tag = tag_of(keyword)
    if tag is None or tag not in header.keys():  # noqa: SIM118 - `in` a Dataset makes a tag anew
        return None
    try:
        element = copy.deepcopy(header[tag])
    except Exception:  # noqa: BLE001 - pydicom converts lazily and raises whatever the converter raised
        return None
    if element.VR == VR.UN:
        return None
    if element.VR == VR.PN:  # a name remembers the bytes of its own character set
        names = element.value if element.VM > 1 else [element.value]
        element.value = [PersonName(str(name)) for name in names if name is not None]
    return element
