"""Typed reading of DICOM attributes, the same way for classic instances and multi-frame frames.

Three answers are kept apart: absent (`None`), empty (`""`, `()`; numbers give `None`, ask
`is_empty`) and wrong (`MalformedAttributeError`). For a frame, the functional groups that
hold for it win over the instance's top level.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

from handlers.errors import MalformedAttributeError
from handlers.model import Frame, Instance
from handlers.tags import tag_of

Source = Instance | Frame | Dataset
BINARY = {4: "<f", 8: "<d"}  # FL, FD by their length
ABSENT: Final = object()  # what `_raw` returns where there is no such attribute; None is a value


def has(source: Source, keyword: str) -> bool:
    """Say whether the attribute is present, empty or not."""
    if isinstance(source, Frame) and keyword in source.functional:
        return True
    return tag_of(keyword) in _header(source).keys()  # noqa: SIM118 - `in` a Dataset makes a tag anew


def is_empty(source: Source, keyword: str) -> bool:
    """Say whether the attribute is present without a value."""
    return _is_nothing(_raw(source, keyword))


def text(source: Source, keyword: str) -> str | None:
    """Return the first value as stripped text; None when absent, "" when empty."""
    values = texts(source, keyword)
    return None if values is None else (values[0] if values else "")


def texts(source: Source, keyword: str) -> tuple[str, ...] | None:
    """Return all values as stripped text; None when absent, () when empty."""
    value = _raw(source, keyword)
    if value is ABSENT:
        return None
    if _is_nothing(value):
        return ()
    return tuple("" if item is None else str(item).strip(" \0") for item in _as_list(value))


def number(source: Source, keyword: str) -> float | None:
    """Return the first value as a finite float; None when absent or empty.

    Raises:
        MalformedAttributeError: the value is no finite number.
    """
    values = numbers(source, keyword)
    return values[0] if values else None


def numbers(source: Source, keyword: str) -> tuple[float, ...] | None:
    """Return all values as finite floats; None when absent, () when empty.

    Raises:
        MalformedAttributeError: a value is no finite number.
    """
    value = _raw(source, keyword)
    if value is ABSENT:
        return None
    if _is_nothing(value):
        return ()
    return tuple(_finite(keyword, item) for item in _as_list(value))


def integer(source: Source, keyword: str) -> int | None:
    """Return the first value as an int; None when absent or empty.

    Raises:
        MalformedAttributeError: the value is no whole number.
    """
    value = number(source, keyword)
    if value is None:
        return None
    if value != int(value):
        raise MalformedAttributeError(f"{keyword} is {value!r}, not a whole number")
    return int(value)


def items(source: Source, keyword: str) -> tuple[Dataset, ...]:
    """Return the items of a sequence; () when it is absent or empty.

    Raises:
        MalformedAttributeError: the attribute is no sequence.
    """
    value = _raw(source, keyword)
    if value is ABSENT or value is None:
        return ()
    sequence = list(value) if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else None
    if sequence is None or not all(isinstance(item, Dataset) for item in sequence):
        raise MalformedAttributeError(f"{keyword} is not a sequence")
    return tuple(sequence)


def private(source: Source, group: int, creator: str, offset: int) -> Any | None:
    """Return the value of a private element, found through its creator; None when there is none.

    The block of a private creator is dynamic (PS3.5 section 7.8.1), so the element is never
    addressed by a fixed number.

    Raises:
        MalformedAttributeError: the element, or a creator of the group, cannot be converted.
    """
    header = _header(source)
    try:
        for tag in header.keys():  # noqa: SIM118 - iteration over a Dataset converts every element
            if tag >> 16 == group and 0x10 <= tag & 0xFFFF <= 0xFF and header[tag].value == creator:
                element = BaseTag(group << 16 | (tag & 0xFF) << 8 | offset)
                if element in header.keys():  # noqa: SIM118 - as above; a creator may have several blocks
                    return header[element].value
    except Exception as error:  # pydicom converts lazily and raises whatever the converter raised
        name = f"private element ({group:04X},xx{offset:02X}) of {creator}"
        raise MalformedAttributeError(f"{name} cannot be read: {error}") from error
    return None


def private_numbers(source: Source, group: int, creator: str, offset: int) -> tuple[float, ...]:
    """Return the numbers of a private element, also where its VR was lost on the way (UN).

    Bytes are read as text, else as one FL or FD, little endian as nearly everything is. () where there is
    no such element, or a value in it is no finite number.

    Raises:
        MalformedAttributeError: see `private`.
    """
    return _numbers_of(private(source, group, creator, offset))


def image_type(source: Source) -> tuple[str, ...]:
    """Return ImageType, or the frame's FrameType, upper-cased; () when absent."""
    values = texts(source, "FrameType") or texts(source, "ImageType") or ()
    return tuple(value.upper() for value in values)


def _numbers_of(value: Any) -> tuple[float, ...]:
    if isinstance(value, bytes):
        return _numbers_of_bytes(value)
    try:
        found = tuple(float(item) for item in _as_list(value) if item is not None)
    except (TypeError, ValueError, OverflowError):
        return ()
    return found if all(map(math.isfinite, found)) else ()


def _numbers_of_bytes(value: bytes) -> tuple[float, ...]:
    told = _numbers_of(value.decode("ascii", errors="replace").strip(" \0").split("\\"))
    if told or len(value) not in BINARY:
        return told
    return _numbers_of(list(struct.unpack(BINARY[len(value)], value)))


def _header(source: Source) -> Dataset:
    if isinstance(source, Frame):
        return source.instance.header
    return source.header if isinstance(source, Instance) else source


def _raw(source: Source, keyword: str) -> Any:
    """Return the value as pydicom converts it; ABSENT when there is no such attribute."""
    if isinstance(source, Frame) and keyword in source.functional:
        return source.functional[keyword]
    header, tag = _header(source), tag_of(keyword)
    if tag is None or tag not in header.keys():  # noqa: SIM118 - `in` a Dataset makes a tag anew
        return ABSENT
    try:
        return header[tag].value
    except Exception as error:  # pydicom converts lazily and raises whatever the converter raised
        raise MalformedAttributeError(f"{keyword} cannot be read: {error}") from error


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, (str, bytes, MultiValue, list, tuple)) and len(value) == 0)


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (MultiValue, list, tuple)) else [value]


def _finite(keyword: str, item: Any) -> float:
    try:
        result = float(item)
    except (TypeError, ValueError, OverflowError):
        raise MalformedAttributeError(f"{keyword} is {str(item)[:40]!r}, not a number") from None
    if not math.isfinite(result):
        raise MalformedAttributeError(f"{keyword} is {result}, not a finite number")
    return result
