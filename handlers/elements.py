"""Walk the elements of an encoded data set: lengths and nesting are checked, values are not decoded.

The walk trusts no length: a value is taken only from bytes that are there, and nesting is
bounded before any recursive decoder sees the bytes. Sequences stay encoded; pydicom
decodes them when they are asked for. Source: PS3.5 section 7.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from typing import Literal

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

from handlers.tags import tag as tag_object

PIXEL_KEYWORDS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
NESTING_LIMIT = 64  # as DCMTK since 3.6.9; real data rarely exceeds 10
ELEMENT_LIMIT = 2_000_000  # elements per header, all levels; 2,000 enhanced frames hold about 200,000
KNOWN_VRS = {str(each).encode(): str(each) for each in VR}
LONG_VRS = frozenset(str(each) for each in EXPLICIT_VR_LENGTH_32)  # their length has 4 bytes
IMPLICIT = {True: Struct("<HHL"), False: Struct(">HHL")}  # by little-endian
EXPLICIT = {True: Struct("<HH2sH"), False: Struct(">HH2sH")}
LONG = {True: Struct("<L"), False: Struct(">L")}

Head = tuple[int, str | None, int, int]  # tag, VR (None when implicit), length of the value, where it begins


class ElementError(ValueError):
    """The bytes cannot be a data set; the message says what and where."""


class TooDeepError(ElementError):
    """Sequences are nested deeper than `NESTING_LIMIT`, or there are more elements than `ELEMENT_LIMIT`."""


class ShortError(ElementError):
    """The bytes end inside an element."""


@dataclass(slots=True)
class Walk:
    """A walk over the top level of one encoded data set.

    `is_implicit` and `is_little` say how it is encoded. After `run`, `elements` holds what
    lies before the pixel data and `end` says where the walk stopped. `pixel_keyword` and
    `pixel_length` name the pixel data that stopped it: "" and 0 when there is none,
    UNDEFINED when it is encapsulated.
    """

    data: bytes
    is_implicit: bool
    is_little: bool = True
    elements: dict[BaseTag, DataElement | RawDataElement] = field(default_factory=dict)
    end: int = 0
    pixel_keyword: str = ""
    pixel_length: int = 0
    count: int = 0

    def run(self, start: int = 0, *, only_group: int | None = None) -> Walk:
        """Walk from `start` to the pixel data, to the end, or to the first element outside `only_group`.

        Raises:
            ShortError: the bytes end inside an element; `elements` holds those before it.
            ElementError: this is no data set, or it is absurd.
        """
        self.end = start
        while len(self.data) - self.end >= 8:
            tag, vr, length, value_at = self._head(self.end, is_implicit=self.is_implicit)
            if tag == ITEM_END or (only_group is not None and tag >> 16 != only_group):
                return self
            if tag in PIXEL_KEYWORDS:
                self.pixel_keyword, self.pixel_length = PIXEL_KEYWORDS[tag], length
                return self
            self._take(tag, vr, length, value_at)
        return self

    def check_nesting(self) -> None:
        """Check the sequences of defined length, which `run` passed over by their length.

        Each level of nesting begins with an item, so few items prove that nothing is deep.

        Raises:
            TooDeepError: sequences are nested deeper than `NESTING_LIMIT`.
        """
        marks = {_mark(ITEM, is_little=little) for little in (True, self.is_little)}
        if all(self.data.count(mark, 0, self.end) <= NESTING_LIMIT for mark in marks):
            return
        for element in self.elements.values():
            if isinstance(element, RawDataElement) and 8 <= element.length < UNDEFINED:
                self._look_inside(
                    element.VR, element.value_tell, element.value_tell + element.length, depth=1
                )

    def _head(self, at: int, *, is_implicit: bool) -> Head:
        """Read tag, VR and length at `at`; eight bytes are known to be there."""
        if not is_implicit:
            group, number, code, length = EXPLICIT[self.is_little].unpack_from(self.data, at)
            vr = KNOWN_VRS.get(code)
            if vr in LONG_VRS:
                if len(self.data) - at < 12:
                    raise ShortError(f"{_name(group << 16 | number)} is cut short in its length")
                return (
                    group << 16 | number,
                    vr,
                    LONG[self.is_little].unpack_from(self.data, at + 8)[0],
                    at + 12,
                )
            if vr is not None or (code.isalpha() and code.isupper()):  # an unknown VR has a 2-byte length
                return group << 16 | number, vr or code.decode(), length, at + 8
            # Some writers switch to implicit VR inside an explicit data set; delimiters have no VR either.
        group, number, length = IMPLICIT[self.is_little].unpack_from(self.data, at)
        return group << 16 | number, None, length, at + 8

    def _take(self, tag: int, vr: str | None, length: int, at: int) -> None:
        end = stop = at + length
        if length == UNDEFINED:
            vr, end, stop = self._undefined(tag, vr, at, is_implicit=self.is_implicit, depth=1)
        elif stop > len(self.data):
            raise ShortError(f"{_name(tag)} claims {length} bytes, {len(self.data) - at} are left")
        self._tick()
        key = tag_object(tag)
        value = (
            self.data[at:end] if length else None
        )  # to pydicom, None of another length is a value not read yet
        self.elements[key] = RawDataElement(key, vr, length, value, at, vr is None, self.is_little)
        self.end = stop

    def _undefined(
        self, tag: int, vr: str | None, at: int, *, is_implicit: bool, depth: int
    ) -> tuple[str | None, int, int]:
        """Return VR, end of the value, and where the next element begins, for an undefined length.

        UN of undefined length is a sequence (PS3.5 section 6.2.2).
        """
        is_sequence = vr in {"SQ", "UN"} or (vr is None and (self._is_item(at) or _is_known_sequence(tag)))
        if is_sequence:
            stop = self._sequence_end(at, None, is_implicit=is_implicit, depth=depth)
            return "SQ", stop, stop
        mark = _mark(SEQUENCE_END, is_little=self.is_little)
        end = self.data.find(mark, at)
        if end < 0:
            raise ShortError(f"{_name(tag)} has no end")
        return vr, end, end + 8

    def _sequence_end(self, at: int, end: int | None, *, is_implicit: bool, depth: int) -> int:
        """Return where the sequence ends that begins at `at`; `end` is None when its length is undefined."""
        if depth > NESTING_LIMIT:
            raise TooDeepError(f"sequences are nested deeper than {NESTING_LIMIT} levels")
        while end is None or at < end:
            self._need(at, 8)
            tag, _, length, at = self._head(at, is_implicit=True)
            self._tick()
            if tag == SEQUENCE_END:
                return at
            if tag != ITEM:
                raise ElementError(f"{_name(tag)} stands where an item of a sequence belongs")
            item_end = None if length == UNDEFINED else at + length
            at = self._item_end(at, item_end, is_implicit=is_implicit, depth=depth)
        return end

    def _item_end(self, at: int, end: int | None, *, is_implicit: bool, depth: int) -> int:
        """Return where the item ends whose content begins at `at`."""
        # An item may be implicit in an explicit data set, never the reverse.
        is_implicit = is_implicit or not self.data[at + 4 : at + 6].isupper()
        while end is None or at < end:
            self._need(at, 8)
            tag, vr, length, at = self._head(at, is_implicit=is_implicit)
            self._tick()
            if tag == ITEM_END:
                return at
            if length == UNDEFINED:
                _, _, at = self._undefined(tag, vr, at, is_implicit=is_implicit, depth=depth + 1)
                continue
            self._need(at, length)
            self._look_inside(vr, at, at + length, depth=depth + 1)
            at += length
        return end

    def _look_inside(self, vr: str | None, at: int, end: int, *, depth: int) -> None:
        """Check the nesting of a value that is a sequence, or may be taken for one by its first bytes."""
        is_implicit = vr in {None, "UN"}
        if end - at < 8 or not self._is_item(at) or not (is_implicit or vr == "SQ"):
            return
        try:
            self._sequence_end(at, end, is_implicit=is_implicit, depth=depth)
        except TooDeepError:
            raise
        except ElementError:
            return  # opaque bytes after all; a decoder fails at this same place, not deeper

    def _is_item(self, at: int) -> bool:
        return self.data.startswith(_mark(ITEM, is_little=self.is_little), at)

    def _need(self, at: int, length: int) -> None:
        if len(self.data) - at < length:
            raise ShortError(f"a sequence claims {length} bytes, {max(len(self.data) - at, 0)} are left")

    def _tick(self) -> None:
        self.count += 1
        if self.count > ELEMENT_LIMIT:
            raise TooDeepError(f"more than {ELEMENT_LIMIT} elements in one header")


def _mark(tag: int, *, is_little: bool) -> bytes:
    group, number = divmod(tag, 1 << 16)
    order: Literal["little", "big"] = "little" if is_little else "big"
    return group.to_bytes(2, order) + number.to_bytes(2, order)


def _is_known_sequence(tag: int) -> bool:
    try:
        return dictionary_VR(tag) == "SQ"
    except KeyError:
        return False


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
