"""Read attributes for a judgement: what is malformed counts as unknown, values are collected over frames.

A rule that must not confuse absent with wrong reads through `handlers.attributes` instead.
ING-013 names the malformed attributes, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.model import Frame, Instance

Source = Instance | Frame | Dataset
Each = TypeVar("Each", Instance, Frame)


def text(source: Source, keyword: str) -> str:
    """Return the first value as text; "" when absent, empty or malformed."""
    try:
        return attributes.text(source, keyword) or ""
    except MalformedAttributeError:
        return ""


def texts(source: Source, keyword: str) -> tuple[str, ...]:
    """Return all values as text; () when absent, empty or malformed."""
    try:
        return attributes.texts(source, keyword) or ()
    except MalformedAttributeError:
        return ()


def number(source: Source, keyword: str) -> float | None:
    """Return the first value as a number; None when absent, empty or malformed."""
    try:
        return attributes.number(source, keyword)
    except MalformedAttributeError:
        return None


def numbers(source: Source, keyword: str) -> tuple[float, ...]:
    """Return all values as numbers; () when absent, empty or malformed."""
    try:
        return attributes.numbers(source, keyword) or ()
    except MalformedAttributeError:
        return ()


def items(source: Source, keyword: str) -> tuple[Dataset, ...]:
    """Return the items of a sequence, also of one that lies in a functional group; () when there is none."""
    try:
        return attributes.items(source, keyword)
    except MalformedAttributeError:
        return ()


def private_number(source: Source, group: int, creator: str, offset: int) -> float | None:
    """Return the first value of a private element as a finite number; None when there is none."""
    try:
        found = attributes.private_numbers(source, group, creator, offset)
    except MalformedAttributeError:
        return None
    return found[0] if found else None


def private_text(source: Source, group: int, creator: str, offset: int) -> str:
    """Return the first value of a private element as text; "" when it is not there or cannot be read."""
    try:
        value = attributes.private(source, group, creator, offset)
    except MalformedAttributeError:
        return ""
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    elif isinstance(value, (MultiValue, list, tuple)):
        value = value[0] if value else None
    return "" if value is None else str(value).split("\\")[0].strip("\0 ")


def different(sources: Iterable[Each]) -> Iterator[Each]:
    """Yield the sources that can differ: frames without functional groups once for each instance."""
    seen: set[str] = set()
    for source in sources:
        if isinstance(source, Frame) and not source.functional:
            uid = source.instance.sop_instance_uid
            if uid in seen:
                continue
            seen.add(uid)
        yield source


def distinct(sources: Iterable[Each], keyword: str) -> tuple[str, ...]:
    """Return the different first values that are not empty, in the order of their first occurrence."""
    return tuple(dict.fromkeys(value for source in different(sources) if (value := text(source, keyword))))


def derivation_codes(source: Source) -> frozenset[str]:
    """Return the code values of how an image was made: of its own, and of each source that it names.

    Source: PS3.3 C.7.6.1 (DerivationCodeSequence), C.7.6.16.2.6 (DerivationImageSequence of a frame).
    """
    told = (source, *items(source, "DerivationImageSequence"))
    codes = (text(item, "CodeValue") for each in told for item in items(each, "DerivationCodeSequence"))
    return frozenset(codes) - {""}


def image_types(source: Source) -> tuple[str, ...]:
    """Return every value of FrameType and ImageType, upper-cased, each once."""
    values = (*texts(source, "FrameType"), *texts(source, "ImageType"))
    return tuple(dict.fromkeys(value.strip().upper() for value in values if value.strip()))


def image_types_of(sources: Iterable[Each]) -> frozenset[str]:
    """Return every value of FrameType and ImageType that occurs."""
    return frozenset(value for source in different(sources) for value in image_types(source))
