"""Typed reading of DICOM attributes, the same way for classic instances and multi-frame frames.

Three answers are kept apart: absent (`None`), empty (`""`, `()`; numbers give `None`, ask
`is_empty`) and wrong (`MalformedAttributeError`). For a frame, the functional groups that
hold for it win over the instance's top level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from handlers.errors import MalformedAttributeError
from handlers.model import Frame, Instance

Source = Instance | Frame | Dataset


def has(source: Source, keyword: str) -> bool:
    """Say whether the attribute is present, empty or not."""
    if isinstance(source, Frame):
        return keyword in source.functional or keyword in source.instance.header
    return keyword in _header(source)


def is_empty(source: Source, keyword: str) -> bool:
    """Say whether the attribute is present without a value."""
    return has(source, keyword) and _is_nothing(_raw(source, keyword))


def text(source: Source, keyword: str) -> str | None:
    """Return the first value as stripped text; None when absent, "" when empty."""
    values = texts(source, keyword)
    return None if values is None else (values[0] if values else "")


def texts(source: Source, keyword: str) -> tuple[str, ...] | None:
    """Return all values as stripped text; None when absent, () when empty."""
    if not has(source, keyword):
        return None
    value = _raw(source, keyword)
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
    if not has(source, keyword):
        return None
    value = _raw(source, keyword)
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
    if not has(source, keyword):
        return ()
    value = _raw(source, keyword)
    if value is None:
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
    header = source.instance.header if isinstance(source, Frame) else _header(source)
    try:
        block = header.private_block(group, creator)
        return block[offset].value if offset in block else None
    except KeyError:
        return None
    except Exception as error:  # pydicom converts lazily and raises whatever the converter raised
        name = f"private element ({group:04X},xx{offset:02X}) of {creator}"
        raise MalformedAttributeError(f"{name} cannot be read: {error}") from error


def image_type(source: Source) -> tuple[str, ...]:
    """Return ImageType, or the frame's FrameType, upper-cased; () when absent."""
    values = texts(source, "FrameType") or texts(source, "ImageType") or ()
    return tuple(value.upper() for value in values)


def _header(source: Instance | Dataset) -> Dataset:
    return source.header if isinstance(source, Instance) else source


def _raw(source: Source, keyword: str) -> Any:
    try:
        if isinstance(source, Frame):
            if keyword in source.functional:
                return source.functional[keyword]
            return source.instance.header[keyword].value
        return _header(source)[keyword].value
    except MalformedAttributeError:
        raise
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
