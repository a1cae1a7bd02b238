"""Any value of the science as plain JSON, always the same text for the same value."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

WITHHELD = "(withheld)"
MAX_TEXT = 4096  # characters; a hostile header must not make a report that no browser opens
MAX_DEPTH = 16
_CUT = "(nested too deep)"


def plain(value: Any, depth: int = 0) -> Any:
    """Turn a value into dicts, lists, strings, finite numbers, booleans and None.

    NaN and infinities become None, as JSON has none. A person's name is withheld: nothing
    that leaves the science needs it. Bytes become their length, data sets their keywords
    and values, sets a sorted list.
    """
    if depth > MAX_DEPTH:
        return _CUT
    if value is None or isinstance(value, bool):
        return value
    for kinds, convert in _CONVERSIONS:
        if isinstance(value, kinds):
            return convert(value, depth)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name), depth + 1) for field in fields}
    return _text(value, depth)


def canonical(value: Any) -> str:
    """Write a value as canonical JSON: sorted keys, no spaces, ASCII only."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def readable(value: Any) -> str:
    """Write a value as JSON for people, in the order of its keys, with a final newline."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical(value).encode("ascii")).hexdigest()


def _number(value: Any, _: int) -> int | float | None:
    if isinstance(value, int):
        return int(value)
    result = float(value)
    return result if math.isfinite(result) else None


def _text(value: Any, _: int) -> str:
    """Return text that UTF-8 can hold, of a bounded length."""
    return str(value)[:MAX_TEXT].encode("utf-8", "replace").decode("utf-8")


def _list(value: Any, depth: int) -> list[Any]:
    return [plain(item, depth + 1) for item in value]


def _mapping(value: Any, depth: int) -> dict[str, Any]:
    return {_key(key): plain(item, depth + 1) for key, item in value.items()}


def _dataset(value: Any, depth: int) -> dict[str, Any]:
    return {element.keyword or str(element.tag): plain(element.value, depth + 1) for element in value}


def _key(key: Any) -> str:
    return str(key.value if isinstance(key, Enum) else key)


# The first kind that fits decides: PersonName before str, Enum before the number or text it may also be.
_CONVERSIONS: tuple[tuple[Any, Callable[[Any, int], Any]], ...] = (
    (PersonName, lambda _value, _depth: WITHHELD),
    ((np.ndarray, np.generic), lambda value, depth: plain(value.tolist(), depth)),
    (Enum, lambda value, depth: plain(value.value, depth)),
    ((int, float, Decimal), _number),
    (str, _text),
    ((bytes, bytearray, memoryview), lambda value, _depth: f"({len(value)} bytes)"),
    ((date, datetime, time), lambda value, _depth: value.isoformat()),
    (Path, lambda value, _depth: value.name),
    (Dataset, _dataset),
    (Mapping, _mapping),
    (AbstractSet, lambda value, depth: sorted(_list(value, depth), key=repr)),
    ((list, tuple, MultiValue), _list),
)
