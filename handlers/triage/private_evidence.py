"""Which private elements that are read anywhere a series holds, and blocks of them without a creator."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.model import Finding, Instance, Series, Severity
from handlers.tables import table
from handlers.triage import header

LISTED = 40  # characters of a raw value
MOMENT = re.compile(r"\d{8,14}(\.\d*)?$")
CREATORS = range(0x10, 0x100)  # elements that reserve a block; PS3.5 section 7.8.1


def private_evidence(series: Series) -> list[Finding]:
    """Name the private elements of a series that are read (PRV-TAG-001), and those without a creator.

    An element in a block that no creator reserves cannot be understood (PRV-TAG-002).
    Only elements at the top level of the first instance of each modality are looked at.

    Source: PS3.5 section 7.8.1.
    """
    firsts: dict[str, Instance] = {}
    for instance in series.instances:
        firsts.setdefault(header.text(instance, "Modality").upper(), instance)
    found = []
    for modality, instance in firsts.items():
        entries = [each for each in table("private_tags")["element"] if modality in each["modalities"]]
        elements = [line for entry in entries for line in _held(instance, entry)]
        if elements:
            names = sorted({line["creator"] for line in elements})
            message = f"{len(elements)} private elements of {', '.join(names)} are read"
            evidence = {"elements": elements, "table_version": table("private_tags")["version"]}
            found.append(Finding("PRV-TAG-001", Severity.INFO, message, evidence=evidence))
        if ownerless := sorted(set(_ownerless(instance, {entry["group"] for entry in entries}))):
            message = f"private elements whose creator is missing cannot be read: {', '.join(ownerless)}"
            found.append(Finding("PRV-TAG-002", Severity.WARN, message, evidence={"blocks": ownerless}))
    return found


def _held(instance: Instance, entry: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for digits, meaning in entry["offsets"].items():
        try:
            value = attributes.private(instance, entry["group"], entry["creator"], int(digits, 16))
        except MalformedAttributeError:
            continue
        if value is not None:
            element = f"({entry['group']:04X},xx{digits})"
            told = {"creator": entry["creator"], "element": element, "meaning": meaning}
            yield {**told, "value": _readable(value)}


def _readable(value: Any) -> str:
    """Return a value for a person; a date and time is one of a patient and stays out."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    text = str(value)
    return "a date and time" if MOMENT.match(text) else text[:LISTED]


def _ownerless(instance: Instance, groups: set[int]) -> Iterator[str]:
    tags = {int(tag) for tag in instance.header.keys()}  # noqa: SIM118 - iteration converts every element
    for tag in tags:
        group, block = tag >> 16, (tag >> 8) & 0xFF
        if group in groups and block in CREATORS and (group << 16 | block) not in tags:
            yield f"({group:04X},{block:02X}xx)"
