"""An image without what identifies a person: PS3.15 Annex E, and a look at what is left."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from handlers.errors import VolumeError
from handlers.model import Finding, Outcome, Scope, Severity, Volume
from handlers.outputs import private_elements
from handlers.outputs.confidentiality import (
    DUMMY,
    EMPTY,
    KEEP,
    MODIFIED_DATES,
    NEW_UID,
    SAFE_PRIVATE,
    SHIFT,
    Rules,
    modality_of,
    table,
)
from handlers.outputs.derivation import DEIDENTIFYING, add_equipment, code
from handlers.outputs.identity_traces import Traces, collect, elements, values_of
from handlers.outputs.moved_dates import MovedDates
from handlers.outputs.provenance import software_version
from handlers.outputs.pseudonyms import STANDARD_ROOT, Pseudonyms, load

REMOVED = "REMOVED"  # the dummy of texts: no word that triage could take for one of its own
MAX_DEPTH = 16
DUMMIES = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT", "CS"})
YES = "YES"
DAYS = {"D": 1, "W": 7, "M": 30, "Y": 365}  # of the units of an age


@dataclass
class Deidentifier:
    """What turns the images of one volume, one after the other; it remembers what it met.

    `sources` are the headers that the images came from. `options` are names of `conf/confidentiality.toml`.
    Every image of a patient gets the same name and is moved by the same number of days, on every node
    with the same key.
    """

    pseudonyms: Pseudonyms
    options: tuple[str, ...]
    sources: Sequence[Dataset]
    met: dict[str, Counter[str]] = field(default_factory=dict)
    named_by: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Look at the sources once.

        Raises:
            VolumeError: this kind of object is not de-identified (DEI-005), or its pixels hold text
                (DEI-BIA-001).
        """
        for header in self.sources:
            _refuse_unsuitable(header)
        first = self.sources[0]
        self.rules = Rules(modality_of(str(first.SOPClassUID)), self.options)
        self.traces: Traces = collect(self.sources, self.rules)
        self.person = _person(first)
        longest = table()["patient"]["max_shift_days"]
        self.dates = MovedDates(self.pseudonyms.days(self.person, longest), self._note)
        for header in self.sources:
            for name in _graphics(header):
                self._note("DEI-006", name)

    def __call__(self, image: Dataset) -> Dataset:
        """Return the image de-identified; the one given stays as it is.

        Source: PS3.15 E.1.1 (rules for a de-identifier), E.3.6 (dates), C.12.1 (equipment).
        """
        _refuse_unsuitable(image)
        self.dates.look_at(image)
        result = self._cleaned(image, depth=0)
        self._remove_traces(result, depth=0)
        self._sign(result)
        return result

    def check(self, content: bytes) -> None:
        """Look for traces in the bytes of a written file, pixels and all.

        Raises:
            VolumeError: one was found (DEI-002).
        """
        origin = self.traces.in_bytes(content)
        if origin:
            message = f"the bytes of a de-identified image still hold a value of {origin}"
            raise VolumeError(message, code="DEI-002")

    def findings(self, volume: str) -> Iterator[Finding]:
        """Yield what was met in all images: which attributes, how often; never their values.

        A name that was left is told by the attribute of the source that it comes from, and by a keyed
        mark of the word.
        """
        for number in sorted(self.met):
            severity, message = MESSAGES[number]
            evidence: dict[str, object] = {"attributes": dict(sorted(self.met[number].items()))}
            if number == "DEI-002":
                evidence["named_by"] = [
                    {"origin": origin, "mark": mark} for origin, mark in sorted(self.named_by)
                ]
            yield Finding(number, severity, message, Scope.VOLUME, volume, evidence)

    def _note(self, number: str, what: str) -> None:
        self.met.setdefault(number, Counter())[what] += 1

    def _cleaned(self, item: Dataset, depth: int) -> Dataset:
        result = Dataset()
        for element in elements(item):
            if element.tag.is_private:
                continue
            done = self._done(element, depth)
            if done is not None:
                result.add(done)
        if SAFE_PRIVATE in self.options:
            for element, is_listed in private_elements.kept(item):
                result.add(copy.deepcopy(element))
                if not is_listed:
                    self._note("DEI-001", private_elements.name(item, element))
        return result

    def _done(self, element: DataElement, depth: int) -> DataElement | None:
        """Return what becomes of one standard element; None where it goes."""
        action = self.rules.action(element.tag, is_top=depth == 0)
        if element.VR == "SQ":
            return self._sequence(element, action, depth)
        if action == KEEP:
            return self._kept(element)
        if action == NEW_UID:
            return _with(element, [self.pseudonyms.uid(str(value)) for value in values_of(element)])
        if action == SHIFT:
            moved = [
                self.dates.moved(element.keyword, element.VR, str(value)) for value in values_of(element)
            ]
            known = [value for value in moved if value]
            is_needed = self.rules.may_be_empty(element.keyword, is_top=depth == 0)
            return _with(element, known) if known or is_needed else None
        if action == EMPTY:
            return _with(element, [])
        return _with(element, [REMOVED]) if action == DUMMY and element.VR in DUMMIES else None

    def _sequence(self, element: DataElement, action: str, depth: int) -> DataElement | None:
        """Clean the items of a sequence that stays; one that goes, goes whole."""
        if action not in {KEEP, NEW_UID} or depth >= MAX_DEPTH:
            return None
        items = [self._cleaned(item, depth + 1) for item in element.value or ()]
        return DataElement(element.tag, "SQ", Items(item for item in items if len(item)))

    def _kept(self, element: DataElement) -> DataElement | None:
        """Return an element that stays: a UID only if the standard's, an age only up to a limit."""
        if element.VR == "UI" and not all(
            str(value).startswith(STANDARD_ROOT) for value in values_of(element)
        ):
            self._note("DEI-003", element.keyword)
            return None
        if element.keyword == "PatientAge":
            ages = [age for value in values_of(element) if (age := _capped(str(value).strip()))]
            return _with(element, ages) if ages else None
        return copy.deepcopy(element)

    def _remove_traces(self, item: Dataset, depth: int) -> None:
        """Take out of the values what still names somebody, or quotes a UID of the sources."""
        for element in list(item):
            if element.VR == "SQ":
                for each in element.value:
                    self._remove_traces(each, depth + 1)
                continue
            hit = self.traces.in_element(element)
            if hit is None:
                continue
            self._note(hit.code, element.keyword or str(element.tag))
            if hit.origin:
                self.named_by.add((hit.origin, self.pseudonyms.mark(hit.word)))
            if self.rules.may_be_empty(element.keyword, is_top=depth == 0):
                item[element.tag] = _with(element, [])
            else:
                del item[element.tag]

    def _sign(self, result: Dataset) -> None:
        """Say what was done, where the standard wants it. Source: PS3.15 E.1.1, PS3.3 C.7.1.1."""
        pseudonym = self.pseudonyms.patient(self.person)
        result.PatientID = pseudonym
        result.PatientName = pseudonym
        result.PatientIdentityRemoved = YES
        edition = table()["edition"]
        names = [f"prepnode {software_version()}", f"PS3.15 {edition} Basic Profile"]
        result.DeidentificationMethod = [*names, *(f"option {name}" for name in sorted(self.options))]
        result.DeidentificationMethodCodeSequence = Items([code(*each) for each in self.rules.codes])
        is_moved = MODIFIED_DATES in self.options
        result.LongitudinalTemporalInformationModified = "MODIFIED" if is_moved else "REMOVED"
        add_equipment(result, software_version(), DEIDENTIFYING)


MESSAGES = {
    "DEI-001": (Severity.WARN, "private elements were kept because the object itself calls them safe"),
    "DEI-002": (
        Severity.REVIEW,
        "after the table was applied, values still named a person or place; they were taken out",
    ),
    "DEI-003": (Severity.WARN, "UIDs stood where none can be replaced; they were taken out"),
    "DEI-004": (Severity.WARN, "dates were no dates of an examination, or far apart"),
    "DEI-006": (Severity.INFO, "overlays, curves or graphics of the source were left out"),
}


def deidentifier(outcome: Outcome, volume: Volume) -> Deidentifier | None:
    """Return what de-identifies the images of a volume; None where the profile does not want it.

    Raises:
        VolumeError: the key is not the one of the profile, or these images cannot be de-identified.
        OSError: the key cannot be read.
    """
    wanted = outcome.provenance.get("recipe", {}).get("deidentification", {})
    if not wanted.get("key_file"):
        return None
    pseudonyms = load(Path(wanted["key_file"]))
    if pseudonyms.key_id != wanted["key_id"]:
        raise VolumeError("the file of the key holds another key than when the profile was read")
    headers = [instance.header for instance in volume.instances]
    return Deidentifier(pseudonyms, tuple(wanted["options"]), headers)


def _refuse_unsuitable(header: Dataset) -> None:
    if not modality_of(str(header.get("SOPClassUID", ""))):
        message = "only single-frame CT and MR images are de-identified: no list says what may stay in others"
        raise VolumeError(message, code="DEI-005")
    if str(header.get("BurnedInAnnotation", "")).strip().upper() == YES:
        message = "text is burned into the pixels, which are not cleaned"
        raise VolumeError(message, code="DEI-BIA-001")


def _person(header: Dataset) -> str:
    """Return what tells one patient from another; without a PatientID one study is a patient of its own."""
    number = str(header.get("PatientID", "") or "").strip()
    if not number:
        return f"study {header.get('StudyInstanceUID', '')}"
    return f"{str(header.get('IssuerOfPatientID', '') or '').strip()}\0{number}"


def _graphics(header: Dataset) -> list[str]:
    """Return the groups of overlays and curves, and graphics, that a header holds. Source: PS3.15 E.3.3."""
    groups = {tag.group for tag in header.keys() if tag.group >> 8 in {0x50, 0x60}}  # noqa: SIM118 - converts nothing
    named = [keyword for keyword in ("GraphicAnnotationSequence", "IconImageSequence") if keyword in header]
    return [*(f"{group:04X}" for group in sorted(groups)), *named]


def _capped(age: str) -> str:
    """Return an age, at most that of the oldest group; "" for what is no age (PS3.5 section 6.2, AS).

    Source: 45 CFR 164.514(b)(2)(i)(C).
    """
    if not re.fullmatch(r"\d{3}[DWMY]", age):
        return ""
    limit = table()["patient"]["max_age_years"]
    days = int(age[:3]) * DAYS[age[3]]
    return f"{limit + 1:03}Y" if days >= (limit + 1) * DAYS["Y"] else age


def _with(element: DataElement, values: Sequence[object]) -> DataElement:
    """Return an element of the same tag with other values."""
    value = None if not values else values[0] if len(values) == 1 else list(values)
    return DataElement(element.tag, element.VR, value)
