"""Which profile a series gets, and which destinations: the `[[route]]` rules applied to its facts.

Pure: facts in, plan out. A `match` table holds DICOM keywords, `CalledAET`, `CallingAET`
or `source` (the sender's address). All of its keys have to match; a list means any of; `*`
and `?` are wildcards; case does not matter. A series that no route matches gets the
profile `default` and goes nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node.config import Config, Route

DEFAULT_PROFILE = "default"
DICOM_REPORT_WRITER = "structured-report"
SENDABLE = {
    "ACCEPT": ("outputs", "report", "originals"),
    "ACCEPT_WARN": ("outputs", "report", "originals"),
    "QUARANTINE": ("report",),  # a person has to look first
    "REJECT": ("report", "originals"),  # there are no outputs
}


@dataclass(frozen=True, slots=True)
class PlannedDelivery:
    """One destination and what it is sent: "outputs", "report", "originals"."""

    destination: str
    send: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the routes say about one series; `routes` are the names of those that matched."""

    profile: str = DEFAULT_PROFILE
    routes: tuple[str, ...] = ()
    deliveries: tuple[PlannedDelivery, ...] = ()


def plan(facts: Mapping[str, Any], routes: Sequence[Route]) -> Plan:
    """Apply the routes in their written order: the first match wins, unless it says `continue`.

    The profile is that of the first matching route; a later one only adds destinations.
    A destination that two routes name is sent to once, with all that either asks for.
    """
    matched: list[Route] = []
    for route in routes:
        if not matches(facts, route.match):
            continue
        matched.append(route)
        if not route.continue_:
            break
    if not matched:
        return Plan()
    send: dict[str, tuple[str, ...]] = {}
    for route in matched:
        for name in route.destinations:
            send[name] = tuple(dict.fromkeys((*send.get(name, ()), *route.send)))
    return Plan(
        profile=matched[0].profile,
        routes=tuple(route.name for route in matched),
        deliveries=tuple(PlannedDelivery(name, what) for name, what in send.items()),
    )


def deliveries_for(planned: Plan, verdict: str) -> tuple[PlannedDelivery, ...]:
    """Return what is sent where, given the verdict; a delivery with nothing left to send is dropped."""
    allowed = SENDABLE[verdict]
    narrowed = (
        PlannedDelivery(delivery.destination, tuple(what for what in delivery.send if what in allowed))
        for delivery in planned.deliveries
    )
    return tuple(delivery for delivery in narrowed if delivery.send)


def extra_writers(planned: Plan, config: Config) -> tuple[str, ...]:
    """Name the writers that a planned delivery needs beyond the profile's own.

    A DICOM destination takes DICOM objects only, so a report for it is written as one.
    """
    kinds = {destination.name: destination.kind for destination in config.destination}
    wanted = any(
        kinds.get(delivery.destination) == "dicom" and "report" in delivery.send
        for delivery in planned.deliveries
    )
    return (DICOM_REPORT_WRITER,) if wanted else ()


def matches(facts: Mapping[str, Any], match: Mapping[str, Any]) -> bool:
    """Say whether every key of a `match` table holds; an empty table matches every series."""
    return all(_any_matches(_values(facts.get(key)), _patterns(wanted)) for key, wanted in match.items())


def _any_matches(values: Iterable[str], patterns: Iterable[str]) -> bool:
    return any(_matches(value, pattern) for value in values for pattern in patterns)


def _matches(value: str, pattern: str) -> bool:
    if not value:
        return not pattern  # `*` asks for a value; only "" asks for none
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, value, re.IGNORECASE | re.DOTALL) is not None


def _values(value: Any) -> tuple[str, ...]:
    """Return one text per value; several values are also one text, with backslashes as DICOM writes them."""
    if value is None:
        return ("",)
    if isinstance(value, (list, tuple)):
        each = tuple(_text(item) for item in value)
        return (*each, "\\".join(each)) if each else ("",)
    return (_text(value),)


def _patterns(wanted: Any) -> tuple[str, ...]:
    return tuple(_text(item) for item in wanted) if isinstance(wanted, (list, tuple)) else (_text(wanted),)


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()
