"""What names the patient, people and place in a header, and whether it is still in a result."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from handlers.outputs.confidentiality import Rules, table
from handlers.outputs.pseudonyms import STANDARD_ROOT

UID_FORM = re.compile(r"[0-9]+(?:\.[0-9]+){2,}")
_UID_BYTES = re.compile(UID_FORM.pattern.encode("ascii"))
MAX_DEPTH = 16
_SPELT_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "å": "aa", "æ": "ae", "ø": "oe"})
_WORD = re.compile(r"[^\W_]+")


NAMED, REFERRED = "DEI-002", "DEI-003"
TEXTS = frozenset({"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
NUMBERS = frozenset({"DS", "IS"})
BYTES = frozenset({"UN", "OB", "OW"})
PIXELS = "PixelData"


@dataclass(frozen=True, slots=True)
class Hit:
    """A trace that was found: its finding code, and of a name the word and the keyword that it comes from."""

    code: str
    origin: str = ""
    word: str = ""


@dataclass(frozen=True, slots=True)
class Traces:
    """Words, identifiers and UIDs of the sources; each word and identifier with the keyword it came from."""

    words: Mapping[str, str] = field(default_factory=dict)
    uids: frozenset[str] = frozenset()

    def in_element(self, element: DataElement) -> Hit | None:
        """Return the first trace in the values of an element, pixels left out; None where there is none.

        Numbers count only when they are an identifier as a whole, and a long one.
        """
        if element.VR in NUMBERS:
            shortest = table()["traces"]["min_bytes"]
            numbers = (str(value).strip() for value in values_of(element))
            found = [each for each in numbers if len(each) >= shortest and each in self.words]
            return Hit(NAMED, self.words[found[0]], found[0]) if found else None
        texts = _texts(element)
        for text in texts:
            if named := self.in_text(text):
                return Hit(NAMED, named[1], named[0])
        return Hit(REFERRED) if any(self.uid_in_text(text) for text in texts) else None

    def in_text(self, text: str) -> tuple[str, str] | None:
        """Return (word, keyword of its origin) of the first trace in a value; None where there is none.

        A word is found as a word, and from five characters on also inside a longer one, whatever
        separates its characters.
        """
        limits = table()["traces"]
        plain = folded(text)
        found = set(_WORD.findall(plain))
        joined = "".join(_WORD.findall(plain))
        for word, origin in self.words.items():
            if word in found or word == joined or (len(word) >= limits["min_inside"] and word in joined):
                return word, origin
        return None

    def uid_in_text(self, text: str) -> bool:
        """Say whether a UID of the sources stands in a text."""
        return any(uid in self.uids for uid in UID_FORM.findall(text))

    def in_bytes(self, content: bytes) -> str:
        """Return the origin of the first trace in the bytes of a file; "" where there is none."""
        shortest = table()["traces"]["min_bytes"]
        lower = content.lower()
        for word, origin in self.words.items():
            if len(word) < shortest:
                continue
            for encoded in {word.encode("utf-8"), word.encode("latin-1", "ignore"), word.encode("utf-16-le")}:
                if len(encoded) >= shortest and _stands_in(lower, encoded, is_number=word.isdigit()):
                    return origin
        told = {match.decode("ascii") for match in _UID_BYTES.findall(content)}
        return "UID" if told & self.uids else ""


def _stands_in(content: bytes, wanted: bytes, *, is_number: bool) -> bool:
    """Say whether bytes stand in a content; digits count where no further digits stand beside them."""
    if wanted not in content:
        return False
    return (
        not is_number or re.search(rb"(?<![0-9.])" + re.escape(wanted) + rb"(?![0-9.])", content) is not None
    )


def values_of(element: DataElement) -> list[object]:
    """Return the values of an element; none where it is empty."""
    if element.is_empty:
        return []
    return list(element.value) if element.VM > 1 else [element.value]


def _texts(element: DataElement) -> list[str]:
    """Return what can be read in an element, bytes in every encoding that names are written in."""
    if element.VR in TEXTS:
        return [str(value) for value in values_of(element)]
    if element.VR in BYTES and element.keyword != PIXELS:
        content = bytes(element.value or b"")
        return [content.decode(coding, "ignore") for coding in ("utf-8", "latin-1", "utf-16-le")]
    return []


def collect(headers: Iterable[Dataset], rules: Rules) -> Traces:
    """Collect the traces of source headers, at every depth; what an option keeps is no trace."""
    lists = table()["traces"]
    words: dict[str, str] = {}
    uids: set[str] = set()
    seen: set[tuple[str, str]] = set()
    for header in headers:
        for keyword, vr, value in _values(header):
            if vr == "UI":
                uids.add(value)
            if (keyword, value) in seen or rules.keeps(keyword) or _is_model(header, keyword, value):
                continue
            seen.add((keyword, value))
            for word in _words_of(keyword, value, lists):
                words.setdefault(word, keyword)
    standard = {uid for uid in uids if uid.startswith(STANDARD_ROOT) or not uid}
    return Traces(words, frozenset(uids - standard - _classes(headers)))


def _classes(headers: Iterable[Dataset]) -> set[str]:
    return {str(header.get("SOPClassUID", "")) for header in headers}


def _words_of(keyword: str, value: str, lists: Mapping[str, Any]) -> list[str]:
    """Return what a value is looked for by: words of a name, an identifier whole, a date as it is written.

    A name is looked for with and without its accents, spelt out (Mueller), and in one piece (ONeil).
    """
    spellings = (folded(value), value.casefold(), value.casefold().translate(_SPELT_OUT))
    found = [word for spelling in spellings for word in _WORD.findall(spelling)]
    if keyword in lists["identifiers"]:
        found = ["".join(_WORD.findall(folded(value))), value.strip().casefold()]
    elif keyword == "PatientBirthDate":
        year, month, day = value[:4], value[4:6], value[6:8]
        found = [year + month + day, day + month + year, month + day + year] if day else []
    elif keyword in lists["places"]:
        found = [word for word in found if word not in lists["common_words"] and _names_a_place(word)]
    elif keyword in lists["persons"]:
        found += [
            "".join(_WORD.findall(part)) for spelling in spellings for part in re.split(r"[\^=\s,]", spelling)
        ]
    else:
        return []
    return [word for word in found if len(word) >= (lists["min_word"] if word.isascii() else 2)]


def _is_model(header: Dataset, keyword: str, value: str) -> bool:
    """Say whether a station bears no other name than its make: that names no station."""
    makes = (str(header.get(each, "")) for each in ("Manufacturer", "ManufacturerModelName"))
    return keyword == "StationName" and value in makes


def _names_a_place(word: str) -> bool:
    """Say whether a word of an address is more than the number of a house."""
    return not word.isdigit() or len(word) >= table()["traces"]["min_inside"]


def folded(text: str) -> str:
    """Return a text without accents and differences of case."""
    parts = unicodedata.normalize("NFKD", text)
    return "".join(part for part in parts if not unicodedata.combining(part)).casefold()


def elements(dataset: Dataset) -> Iterator[DataElement]:
    """Yield the elements of a data set in the order of their tags; what cannot be read is passed over."""
    for tag in sorted(dataset.keys()):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom quotes a malformed value
                element = dataset[tag]
        except Exception:  # noqa: BLE001, S112 - pydicom converts lazily and raises whatever the converter raised
            continue
        yield element


def _values(dataset: Dataset, depth: int = 0) -> Iterator[tuple[str, str, str]]:
    """Yield (keyword, VR, value as text) of every element, those in sequences included."""
    for element in elements(dataset):
        if element.VR == "SQ":
            for item in element.value or () if depth < MAX_DEPTH else ():
                yield from _values(item, depth + 1)
        elif not isinstance(element.value, bytes):
            for value in element.value if element.VM > 1 else [element.value]:
                if value is not None:
                    yield element.keyword, str(element.VR), str(value)
