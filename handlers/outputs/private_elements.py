"""Private elements that may stay: those on the standard's list, and those that an object calls safe."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from handlers.outputs.confidentiality import safe_private
from handlers.outputs.identity_traces import elements

SAFE, MIXED = "SAFE", "MIXED"


def kept(item: Dataset) -> Iterator[tuple[DataElement, bool]]:
    """Yield private elements that stay, with whether the standard's list has them, and then their creators.

    Sequences and elements of unknown representation never stay: nobody can tell what is in them.
    Source: PS3.15 E.3.10; PS3.3 C.12.1.1.7 (PrivateDataElementCharacteristicsSequence).
    """
    declared = _declared(item)
    creators: dict[int, DataElement] = {}
    for element in elements(item):
        if not element.tag.is_private or element.tag.is_private_creator or element.VR in {"SQ", "UN"}:
            continue
        creator = _creator(item, element)
        if creator is None:
            continue
        group, offset, maker = element.tag.group, element.tag.element & 0xFF, str(creator.value).strip()
        is_listed = safe_private(maker, group, offset)
        offsets = declared.get((group, maker), frozenset())
        if is_listed or offsets is None or offset in offsets:
            creators[creator.tag] = creator
            yield element, is_listed
    for creator in creators.values():
        yield creator, True


def name(item: Dataset, element: DataElement) -> str:
    """Name a private element by its creator: "(0019,xx0C) SIEMENS MR HEADER"."""
    creator = _creator(item, element)
    maker = "" if creator is None else str(creator.value).strip()
    return f"({element.tag.group:04X},xx{element.tag.element & 0xFF:02X}) {maker}"


def _creator(item: Dataset, element: DataElement) -> DataElement | None:
    tag = element.tag.group << 16 | element.tag.element >> 8
    return item.get(tag)


def _declared(item: Dataset) -> dict[tuple[int, str], frozenset[int] | None]:
    """Return what the object calls safe: (group, creator) -> offsets, None for the whole block."""
    found: dict[tuple[int, str], frozenset[int] | None] = {}
    for block in item.get("PrivateDataElementCharacteristicsSequence", ()):
        key = (
            int(block.get("PrivateGroupReference", 0)),
            str(block.get("PrivateCreatorReference", "")).strip(),
        )
        status = block.get("BlockIdentifyingInformationStatus", "")
        if status == SAFE:
            found[key] = None
        elif status == MIXED:
            listed = block.get("NonidentifyingPrivateElements") or ()
            numbers = [listed] if isinstance(listed, int) else listed
            found[key] = frozenset(int(number) & 0xFF for number in numbers)
    return found
