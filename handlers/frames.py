"""The frame table: one row per image plane, its functional groups flattened.

Source: PS3.3 C.7.6.16 (Multi-frame Functional Groups).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from handlers import attributes
from handlers.errors import MalformedAttributeError, VolumeError
from handlers.model import Frame, Instance

FRAME_COUNT_CODE = "ING-008"
UNREADABLE = b"?"  # a value that cannot be converted; no number, so `attributes` refuses it as malformed
MIN_FRAME_BYTES = 2  # no encapsulated frame is smaller than the padding of its fragment


def frame_table(instances: Sequence[Instance]) -> tuple[Frame, ...]:
    """Return one row per (instance, frame), in the order of `instances` and of the frames in them.

    A macro of the per-frame group takes the place of the same macro of the shared group; the two
    are never mixed. `Frame.functional` holds the attributes of each macro's first item by keyword, and
    each macro itself, by its own keyword, for those that have several items.

    Raises:
        VolumeError: an instance states a number of frames that it cannot hold (ING-008), or its
            functional groups are no sequences of macros (ING-013).
    """
    return tuple(frame for instance in instances for frame in frames_of(instance))


def frames_of(instance: Instance) -> tuple[Frame, ...]:
    """Return the rows of one instance; see `frame_table`."""
    try:
        per_frame = attributes.items(instance, "PerFrameFunctionalGroupsSequence")
        shared = attributes.items(instance, "SharedFunctionalGroupsSequence")
        stated = attributes.integer(instance, "NumberOfFrames")
    except MalformedAttributeError as error:
        raise VolumeError(f"the frames cannot be counted: {error}", code=FRAME_COUNT_CODE) from error
    count = len(per_frame) or (1 if stated is None else stated)
    _check_count(instance, count)
    common = _macros(instance, shared[0]) if shared else {}
    if not per_frame and not common:
        return tuple(Frame(instance, number) for number in range(1, count + 1))
    if not per_frame:
        functional = _flatten(common)
        return tuple(Frame(instance, number, functional) for number in range(1, count + 1))
    return tuple(
        Frame(instance, number, _flatten(common | _macros(instance, group)))
        for number, group in enumerate(per_frame, 1)
    )


def _check_count(instance: Instance, count: int) -> None:
    """Refuse a count that the file cannot hold, before a row is made for each."""
    rows, columns, bits = (_positive(instance, each) for each in ("Rows", "Columns", "BitsAllocated"))
    syntax = UID(instance.transfer_syntax_uid)
    is_native = not (syntax.is_transfer_syntax and (syntax.is_encapsulated or syntax.is_deflated))
    frame_bytes = max(rows * columns * bits // 8, 1) if is_native else MIN_FRAME_BYTES
    if count < 1 or (count > 1 and count * frame_bytes > instance.size_bytes):
        message = f"{count} frames are stated, which a file of {instance.size_bytes} bytes cannot hold"
        raise VolumeError(message, code=FRAME_COUNT_CODE)


def _macros(instance: Instance, group: Dataset) -> dict[str, tuple[Dataset, ...]]:
    """Return the macros of one functional group item by keyword; private ones have none and stay out."""
    result = {}
    for tag in group.keys():  # noqa: SIM118 - iteration over a Dataset converts every element
        keyword = keyword_for_tag(tag)
        if keyword and dictionary_VR(tag) == "SQ":
            try:
                result[keyword] = attributes.items(group, keyword)
            except MalformedAttributeError as error:
                uid = instance.sop_instance_uid
                message = f"functional groups of instance {uid} cannot be read: {error}"
                raise VolumeError(message, code=error.code) from error
    return result


def _flatten(macros: Mapping[str, tuple[Dataset, ...]]) -> dict[str, Any]:
    result: dict[str, Any] = dict(macros)
    for items in macros.values():
        for tag in items[0].keys() if items else ():
            keyword = keyword_for_tag(tag)
            if keyword and keyword not in result:
                result[keyword] = _value(items[0], tag)
    return result


def _value(item: Dataset, tag: BaseTag) -> Any:
    try:
        return item[tag].value
    except Exception:  # noqa: BLE001 - pydicom converts lazily and raises whatever the converter raised
        return UNREADABLE


def _positive(instance: Instance, keyword: str) -> int:
    """Return a size from the header, at least 1 where it is unknown."""
    try:
        return max(attributes.integer(instance, keyword) or 1, 1)
    except MalformedAttributeError:
        return 1
