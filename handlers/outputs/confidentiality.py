"""What PS3.15 does with each attribute of an image that is de-identified: `conf/confidentiality.toml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.tag import BaseTag

from handlers import tables
from handlers.outputs import derived_header

REMOVE, EMPTY, DUMMY, NEW_UID, KEEP, SHIFT = "X", "Z", "D", "U", "K", "C"
BASIC_PROFILE = ("113100", "Basic Application Confidentiality Profile")  # PS3.16 CID 7050
MODIFIED_DATES, PATIENT_CHARACTERISTICS, SAFE_PRIVATE = (
    "modified-dates",
    "patient-characteristics",
    "safe-private",
)


def table() -> Mapping[str, Any]:
    """Return `conf/confidentiality.toml`."""
    return tables.table("confidentiality")


def modality_of(sop_class_uid: str) -> str:
    """Return "CT" or "MR" for a kind of image that can be de-identified, else ""."""
    return str(table()["classes"].get(sop_class_uid, ""))


@dataclass(frozen=True, slots=True)
class Rules:
    """The Basic Profile with some of its options, for images of one modality."""

    modality: str
    options: tuple[str, ...] = ()

    def action(self, tag: BaseTag, *, is_top: bool) -> str:
        """Return what is done with a standard attribute: X, Z, D, U, K or C (dates and times: shift).

        Where the table names several, the first that the image permits is taken: remove what is not
        required (`is_top`: Type 1 and 2 are told of the top level only), empty what may be empty. An
        attribute without a row stays if it is on a list of what images need, and is removed otherwise.
        """
        keyword = keyword_for_tag(tag)
        basic = _row(tag)
        if not basic:
            return KEEP if keyword in _kept() else REMOVE
        if keyword and self._is_optional(keyword):
            return KEEP
        if keyword and self._is_date(tag, keyword):
            return SHIFT
        if NEW_UID in basic:
            return NEW_UID
        return self._permitted(basic.split("/"), keyword, is_top=is_top)

    def may_be_empty(self, keyword: str, *, is_top: bool) -> bool:
        """Say whether an attribute has to be there, with or without a value (Type 2)."""
        return is_top and keyword in derived_header.required(self.modality, "type_2")

    def keeps(self, keyword: str) -> bool:
        """Say whether an option keeps an attribute that the Basic Profile removes."""
        return self._is_optional(keyword)

    @property
    def codes(self) -> list[tuple[str, str]]:
        """Code and meaning of the profile and of the options, PS3.16 CID 7050."""
        known = table()["options"]
        return [
            BASIC_PROFILE,
            *((known[name]["code"], known[name]["meaning"]) for name in sorted(self.options)),
        ]

    def _is_optional(self, keyword: str) -> bool:
        return any(keyword in table()["options"][name].get("keep", ()) for name in self.options)

    def _is_date(self, tag: BaseTag, keyword: str) -> bool:
        if MODIFIED_DATES not in self.options:
            return False
        dates = table()["options"][MODIFIED_DATES]
        return dictionary_VR(tag) in dates["value_representations"] and keyword not in dates["but"]

    def _permitted(self, actions: list[str], keyword: str, *, is_top: bool) -> str:
        type_1 = is_top and keyword in derived_header.required(self.modality, "type_1")
        if type_1 and DUMMY in actions:
            return DUMMY
        if actions[0] == DUMMY and keyword not in _kept():
            return REMOVE  # no part of these images, so nothing has to stand in its place
        if EMPTY in actions and self.may_be_empty(keyword, is_top=is_top):
            return EMPTY
        return actions[0]


def safe_private(creator: str, group: int, offset: int) -> bool:
    """Say whether a private element is on the list of safe ones. Source: PS3.15 Table E.3.10-1."""
    return any(
        row["creator"] == creator and row["group"] == group and f"{offset:02X}" in row["offsets"]
        for row in table().get("safe_private", ())
    )


@cache
def _kept() -> frozenset[str]:
    lists, keep = derived_header.rules(), table()["keep"]
    image = lists["image"]
    taken = (
        *lists["series"]["keywords"],
        *image["keywords"],
        *image["CT"]["keywords"],
        *image["MR"]["keywords"],
    )
    return frozenset(keep["keywords"]) | (frozenset(taken) - frozenset(keep["never"]))


@cache
def _row(tag: BaseTag) -> str:
    """Return the Basic Profile's cell for an attribute; "" where the table has no row."""
    name = f"{tag.group:04x}-{tag.element:04x}"
    rows: Mapping[str, str] = table()["basic"]
    if name in rows:
        return rows[name]
    return next((rows[key] for key in rows if "x" in key and re.fullmatch(key.replace("x", "."), name)), "")
