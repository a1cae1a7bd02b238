"""The few header facts that the service itself needs, read without decoding the rest.

The listener has the first bytes of a data set in memory and needs some forty elements of
it, a thousand times a second. So this room walks over the encoded elements, converts the
wanted ones and skips the others by their length. It never recurses, never allocates by a
length that the header claims, and never raises for a bad header. What an image *means* is
the business of `handlers`. Source: PS3.5 section 7 (encoding), PS3.6 (tags).
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydicom.charset import decode_bytes, python_encoding

from node.part10 import LONG_VR, META_LIMIT_BYTES, read_file_meta

HEAD_BYTES = 1 << 20  # what is looked at of a file; the wanted elements end with Columns (0028,0011)
NESTING_LIMIT = 64  # sequences, one in the other; as DCMTK since 3.6.9
TEXT_LIMIT_BYTES = 4096  # of one element; the wanted ones have at most a few values of 64 characters
INT32 = 2**31
PADDING = " \0\n\r\t"  # around a text, of whoever padded it
DEFLATED = frozenset(  # Deflated Explicit VR, JPIP Referenced Deflate, JPIP HTJ2K Referenced Deflate
    ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
)
BIG_ENDIAN = "1.2.840.10008.1.2.2"
NOT_FOR_IDENTITY = DEFLATED | {BIG_ENDIAN, ""}
UNDEFINED = 0xFFFFFFFF
ITEM_END, SEQUENCE_END = 0xFFFEE00D, 0xFFFEE0DD
VRS = LONG_VR | frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()  # the short form
)
CUT_SHORT = "ends inside an element"
UNREADABLE = "unreadable"  # key under which `facts` says why a header is of no use

IDENTITY = {
    0x00080016: "SOPClassUID",
    0x00080018: "SOPInstanceUID",
    0x0020000D: "StudyInstanceUID",
    0x0020000E: "SeriesInstanceUID",
}
IDENTITY_GROUP, IDENTITY_END = 0x0020, (0x0020, 0x000E)

Order = Literal["little", "big"]

_EXPLICIT = struct.Struct("<HH2sH")
_LENGTH = struct.Struct("<I")


class _StopReadingError(Exception):
    """The head ends here, or what follows cannot be walked over."""


class _PassedLastError(Exception):
    """The walk has come to where no wanted element can follow."""


@dataclass(frozen=True, slots=True)
class _Context:
    """How values are encoded: byte order, and the Python names of the character sets."""

    order: Order
    encodings: tuple[str, ...] = ("latin_1",)


def facts(source: bytes | bytearray | memoryview | Path, *, transfer_syntax_uid: str = "") -> dict[str, Any]:
    """Return the wanted header facts: DICOM keyword -> JSON-able value; absent and empty ones are left out.

    `source` is a file, with or without File Meta Information, or the first bytes of an
    encoded data set; for bytes, `transfer_syntax_uid` is the negotiated one. 64 KiB are
    enough for nearly every header; what lies beyond the end of the bytes is left out.
    Numbers are int or float, several values are a list, texts are decoded by Specific
    Character Set. A header without Study, Series or SOP Instance UID has the key
    "unreadable" with the reason; this function does not raise for bad bytes.

    Raises:
        OSError: `source` is a file that cannot be read.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            head = file.read(HEAD_BYTES)
        meta = read_file_meta(head[: META_LIMIT_BYTES * 2])
        transfer_syntax_uid = transfer_syntax_uid or meta.transfer_syntax_uid
        head = head[meta.dataset_offset :]
    else:
        head = bytes(source[:HEAD_BYTES])
    found, _ = _facts(head, transfer_syntax_uid)
    return found


def facts_of_head(head: bytes, transfer_syntax_uid: str) -> dict[str, Any] | None:
    """Return the facts as `facts` does, or None when `head` ends before the last wanted element may come."""
    found, is_whole = _facts(head, transfer_syntax_uid)
    return found if is_whole else None


def identity(head: bytes, transfer_syntax_uid: str) -> dict[str, Any]:
    """Return the UIDs that an object is known by: a few of the facts, found in a fraction of the time.

    Those of its SOP class, instance, study and series; what makes a header unreadable is
    told as by `facts`, which looks whenever this finds something unusual.
    """
    if transfer_syntax_uid not in NOT_FOR_IDENTITY:
        found = _identity(head)
        if len(found) == len(IDENTITY):
            return found
    return facts(head, transfer_syntax_uid=transfer_syntax_uid)


def _identity(head: bytes) -> dict[str, Any]:
    """Walk to the UID of the series, in little endian; what cannot be walked over gives fewer UIDs."""
    found: dict[str, Any] = {}
    is_implicit = head[4:6] not in VRS
    at, end = 0, len(head)
    try:
        while at < end:
            group, element, vr, length = _EXPLICIT.unpack_from(head, at)
            start = at + 8
            if is_implicit or vr in LONG_VR:
                start = at + (8 if is_implicit else 12)
                (length,) = _LENGTH.unpack_from(head, start - 4)
                if length == UNDEFINED:
                    at = _after_undefined(head, start, "little", is_implicit=is_implicit or vr == b"UN")
                    continue
            at = start + length
            keyword = IDENTITY.get(group << 16 | element)
            if keyword is not None and start < at <= end and keyword not in found:
                found[keyword] = _plain_uid(head[start:at])
            if group >= IDENTITY_GROUP and (group, element) >= IDENTITY_END:
                break
    except (struct.error, ValueError, _StopReadingError):
        return {}
    return found


def _plain_uid(value: bytes) -> str:
    """Return a UID in which nothing is unusual; anything else is for `facts` to tell.

    Raises:
        ValueError: it is empty, too long, or holds what no UID does.
    """
    text = value.decode("ascii").strip(PADDING)
    if not text or len(value) > TEXT_LIMIT_BYTES or any(each in text for each in "\0\x1b\\"):
        raise ValueError("not plainly a UID")
    return text


def _facts(head: bytes, transfer_syntax_uid: str) -> tuple[dict[str, Any], bool]:
    """Return the facts, and whether the walk came to the last wanted element."""
    found: dict[str, Any] = {}
    problem, is_whole = _collect(head, transfer_syntax_uid, found)
    missing = [key for key in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID") if key not in found]
    if missing:
        found[UNREADABLE] = f"no {', '.join(missing)}" + (f" ({problem})" if problem else "")
    return found, is_whole


def _collect(head: bytes, transfer_syntax_uid: str, found: dict[str, Any]) -> tuple[str, bool]:
    """Fill `found`; return why the walk ended early, or "", and whether it came to the end of the wanted."""
    if transfer_syntax_uid in DEFLATED:
        try:
            head = zlib.decompressobj(-zlib.MAX_WBITS).decompress(head, HEAD_BYTES)
        except zlib.error:
            return "cannot be inflated", False
    if len(head) < 8:
        return "no data set", False
    is_big = transfer_syntax_uid == BIG_ENDIAN or (not transfer_syntax_uid and head[:2] == b"\0\x08")
    context = _Context("big" if is_big else "little")
    # Some senders say explicit and mean implicit, or the reverse: the bytes decide.
    is_implicit = head[4:6] not in VRS
    try:
        for tag, value in _wanted(head, context.order, is_implicit=is_implicit):
            keyword, convert = WANTED[tag]
            if keyword in found:  # out of order (PS3.5 7.1): the first one counts, here and in `identity`
                continue
            converted = convert(value, context)
            if converted is None:
                continue
            found[keyword] = converted
            if keyword == "SpecificCharacterSet":
                context = _Context(context.order, _encodings(converted))
    except _StopReadingError as error:
        return str(error), False
    except _PassedLastError:
        return "", True
    return "", False


def _wanted(head: bytes, order: Order, *, is_implicit: bool) -> Iterator[tuple[int, bytes]]:
    """Yield tag and value of each wanted element at the top level, until the last wanted tag is passed."""
    formats = FORMATS[order]
    explicit, long = formats.explicit.unpack_from, formats.long.unpack_from
    at, end = 0, len(head)
    while at < end:
        try:
            group, element, vr, length = explicit(head, at)
            tag, start = group << 16 | element, at + 8
            if is_implicit or group == 0xFFFE:
                (length,) = long(head, at + 4)
            elif vr in LONG_VR:
                (length,), start = long(head, start), at + 12
        except struct.error:
            raise _StopReadingError(CUT_SHORT) from None
        if tag > LAST_TAG:
            raise _PassedLastError
        if length == UNDEFINED:
            at = _after_undefined(head, start, order, is_implicit=is_implicit or vr == b"UN")
            continue
        at = start + length
        if tag in WANTED:
            if at > end:
                raise _StopReadingError(CUT_SHORT)
            yield tag, head[start:at]


def _after_undefined(head: bytes, at: int, order: Order, *, is_implicit: bool) -> int:
    """Return where a sequence of undefined length ends.

    UN of undefined length is Implicit VR inside. Source: PS3.5 section 6.2.2, note 4.
    """
    modes = [is_implicit]
    while modes:
        if len(modes) > 2 * NESTING_LIMIT:  # each level is a sequence and an item of it
            raise _StopReadingError(f"sequences nested deeper than {NESTING_LIMIT}")
        tag, start, length, is_un = _element(head, at, order, is_implicit=modes[-1])
        at = start
        if tag in (ITEM_END, SEQUENCE_END):
            modes.pop()
        elif length == UNDEFINED:
            modes.append(modes[-1] or is_un)
        else:
            at = start + length
    return at


def _element(head: bytes, at: int, order: Order, *, is_implicit: bool) -> tuple[int, int, int, bool]:
    """Return (tag, start of value, length, VR is UN) of the element at `at`."""
    formats = FORMATS[order]
    try:
        group, element = formats.tag.unpack_from(head, at)
        tag = group << 16 | element
        if is_implicit or group == 0xFFFE:
            return tag, at + 8, formats.long.unpack_from(head, at + 4)[0], False
        vr = head[at + 4 : at + 6]
        if vr in LONG_VR:
            return tag, at + 12, formats.long.unpack_from(head, at + 8)[0], vr == b"UN"
        return tag, at + 8, formats.short.unpack_from(head, at + 6)[0], False
    except struct.error:
        raise _StopReadingError(CUT_SHORT) from None


@dataclass(frozen=True, slots=True)
class _Formats:
    explicit: struct.Struct
    tag: struct.Struct
    short: struct.Struct
    long: struct.Struct


FORMATS: dict[Order, _Formats] = {
    "little": _Formats(_EXPLICIT, struct.Struct("<HH"), struct.Struct("<H"), struct.Struct("<I")),
    "big": _Formats(struct.Struct(">HH2sH"), struct.Struct(">HH"), struct.Struct(">H"), struct.Struct(">I")),
}


def _encodings(terms: list[str]) -> tuple[str, ...]:
    return tuple(python_encoding.get(term, "latin_1") for term in terms) or ("latin_1",)


def _decode(value: bytes, context: _Context) -> str:
    value = value[:TEXT_LIMIT_BYTES]
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    if b"\x1b" in value:
        try:
            return decode_bytes(value, list(context.encodings), {0x5C})
        except (LookupError, UnicodeError, UserWarning):
            return value.decode("latin_1")
    try:
        return value.decode(context.encodings[0], "replace")
    except LookupError:
        return value.decode("latin_1")


def _texts(value: bytes, context: _Context) -> list[str] | None:
    if value.isascii() and b"\\" not in value and b"\x1b" not in value:  # nearly always
        text = value[:TEXT_LIMIT_BYTES].decode("ascii").strip(PADDING)
        return [text.replace("\0", "\N{REPLACEMENT CHARACTER}")] if text else None
    texts = [part.strip(PADDING) for part in _decode(value, context).split("\\")]
    texts = [text.replace("\0", "\N{REPLACEMENT CHARACTER}") for text in texts]  # PostgreSQL keeps no NUL
    return texts if any(texts) else None


def _text(value: bytes, context: _Context) -> str | None:
    texts = _texts(value, context)
    return "\\".join(texts) if texts else None


def _kernel(value: bytes, context: _Context) -> str | list[str] | None:
    r"""Return one text, or several where there are several values (as Siemens writes I41f\3)."""
    texts = _texts(value, context)
    return texts[0] if texts and len(texts) == 1 else texts


def _numbers(value: bytes, context: _Context) -> list[float] | None:
    try:
        numbers = [float(text) for text in _texts(value, context) or ()]
    except ValueError:
        return None
    return numbers if numbers and all(map(math.isfinite, numbers)) else None


def _number(value: bytes, context: _Context) -> float | None:
    numbers = _numbers(value, context)
    return numbers[0] if numbers else None


def _integer(value: bytes, context: _Context) -> int | None:
    number = _number(value, context)
    return int(number) if number is not None and abs(number) < INT32 and number.is_integer() else None


def _unsigned(value: bytes, context: _Context) -> int | None:
    return int.from_bytes(value, context.order) if len(value) in (2, 4) else None


def _binary_float(value: bytes, context: _Context) -> float | None:
    kind = {4: "f", 8: "d"}.get(len(value))
    if kind is None:
        return None
    (number,) = struct.unpack(("<" if context.order == "little" else ">") + kind, value)
    return float(number) if math.isfinite(number) else None


WANTED: dict[int, tuple[str, Callable[[bytes, _Context], Any]]] = {
    0x00080005: ("SpecificCharacterSet", _texts),
    0x00080008: ("ImageType", _texts),
    0x00080016: ("SOPClassUID", _text),
    0x00080018: ("SOPInstanceUID", _text),
    0x00080020: ("StudyDate", _text),
    0x00080021: ("SeriesDate", _text),
    0x00080022: ("AcquisitionDate", _text),
    0x0008002A: ("AcquisitionDateTime", _text),
    0x00080030: ("StudyTime", _text),
    0x00080031: ("SeriesTime", _text),
    0x00080032: ("AcquisitionTime", _text),
    0x00080050: ("AccessionNumber", _text),
    0x00080060: ("Modality", _text),
    0x00080070: ("Manufacturer", _text),
    0x00081030: ("StudyDescription", _text),
    0x0008103E: ("SeriesDescription", _text),
    0x00081090: ("ManufacturerModelName", _text),
    0x00083010: ("IrradiationEventUID", _text),
    0x00100020: ("PatientID", _text),
    0x00180010: ("ContrastBolusAgent", _text),
    0x00180015: ("BodyPartExamined", _text),
    0x00180022: ("ScanOptions", _texts),
    0x00181030: ("ProtocolName", _text),
    0x00181042: ("ContrastBolusStartTime", _text),
    0x00181060: ("TriggerTime", _number),
    0x00181210: ("ConvolutionKernel", _kernel),
    0x00185100: ("PatientPosition", _text),
    0x00185101: ("ViewPosition", _text),
    0x0020000D: ("StudyInstanceUID", _text),
    0x0020000E: ("SeriesInstanceUID", _text),
    0x00200011: ("SeriesNumber", _integer),
    0x00200012: ("AcquisitionNumber", _integer),
    0x00200013: ("InstanceNumber", _integer),
    0x00200032: ("ImagePositionPatient", _numbers),
    0x00200037: ("ImageOrientationPatient", _numbers),
    0x00200052: ("FrameOfReferenceUID", _text),
    0x00200060: ("Laterality", _text),
    0x00200062: ("ImageLaterality", _text),
    0x00201002: ("ImagesInAcquisition", _integer),
    0x00209161: ("ConcatenationUID", _text),
    0x00209162: ("InConcatenationNumber", _unsigned),
    0x00209163: ("InConcatenationTotalNumber", _unsigned),
    0x00209241: ("NominalPercentageOfCardiacPhase", _binary_float),
    0x00280008: ("NumberOfFrames", _integer),
    0x00280010: ("Rows", _unsigned),
    0x00280011: ("Columns", _unsigned),
}
LAST_TAG = max(WANTED)
