"""Contrast phases that a text names, in six languages, by the words of `conf/phases.toml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from handlers.tables import table
from handlers.triage.words import alternatives, fold, phrases, words

# "70s", "70 sec", "delay 5 min": a time after injection, when no letter stands before it.
TIME = re.compile(
    r"(?<![a-z0-9.,])(?:delay\s*)?(\d{1,4}(?:[.,]\d)?)\s*(s|sec|secs|second|seconds|sek|sekunden|secondes|segundos|min|mins|minutes"
    r"|minuten|minuti|minutos)(?![a-z0-9])\.?(?:\s*delay(?![a-z]))?"
)
NONE_ALONE = re.compile(r" (?:no|n a|na|nil)(?= )")


@dataclass(frozen=True, slots=True)
class Reading:
    """What one text says: phases by their code in the table, in its order, and a time after injection.

    `is_protocol`: only the name of an examination was found, no phase. `is_mixed`: the text speaks
    of both with and without contrast, and so of none of them.
    """

    phases: tuple[str, ...] = ()
    is_protocol: bool = False
    is_mixed: bool = False
    delay_s: float | None = None


@cache
def read(text: str) -> Reading:
    """Return the phases that a text names; nothing when it names none."""
    rules = _rules()
    plain = rules.kernels.sub(" ", fold(text))
    found_time = TIME.search(plain)
    delay_s = _seconds(found_time) if found_time else None
    plain = TIME.sub(" ", plain)
    for pattern, replacement in rules.rewrites:
        plain = pattern.sub(f" {replacement} ", plain)
    told = rules.erased.sub(" ", words(plain))
    told = f" {' '.join(told.split())} "
    if rules.mixed.search(told):
        return Reading(is_mixed=True, delay_s=delay_s)
    phases, rest = _take(told, rules.words)
    if phases:
        return Reading(phases, delay_s=delay_s)
    protocols, _ = _take(rest, rules.protocols)
    return Reading(protocols[:1], is_protocol=bool(protocols), delay_s=delay_s)


def says_none(value: str) -> bool:
    """Say whether the name of an agent means that none was given, or asked for."""
    named, settings = words(value), table("phases")["contrast"]
    alone = phrases(*settings["none_alone"])
    return bool(
        phrases(*settings["none_values"]).match(named)
        or (NONE_ALONE.match(named) and not alone.sub("", named).strip())
    )


def version() -> int:
    """Return the version of the table, for the evidence."""
    return int(table("phases")["version"])


@dataclass(frozen=True, slots=True)
class _Rules:
    kernels: re.Pattern[str]
    rewrites: tuple[tuple[re.Pattern[str], str], ...]
    erased: re.Pattern[str]
    mixed: re.Pattern[str]
    words: Mapping[str, re.Pattern[str]]
    protocols: Mapping[str, re.Pattern[str]]


@cache
def _rules() -> _Rules:
    """Compile the table, once."""
    settings = table("phases")
    contrast = {
        name: alternatives(settings["contrast"][name])
        for name in settings["contrast"]
        if name != "none_values"
    }
    nouns, yes, no = contrast["nouns"], contrast["with"], contrast["without"]
    joined = f"(?: (?:{nouns}))?(?: (?:{contrast['and']}))? "
    both = (
        f"{yes}){joined}(?:{no}",
        f"{no}){joined}(?:{yes}",
        f"{contrast['before']}){joined}(?:{contrast['after']}",
    )
    constructed = {
        "NC": f" (?:{no}|{contrast['not']}|{contrast['before']}) (?:{nouns})(?= )",
        "CE": f" (?:{yes}|{contrast['after']}) (?:{nouns})(?= )",
    }
    words_of, protocols = {}, {}
    for name in settings["order"]:
        entry = settings["phase"][name]
        listed = phrases(*entry["words"]).pattern
        words_of[name] = re.compile(f"{constructed[name]}|{listed}" if name in constructed else listed)
        if "protocols" in entry:
            protocols[name] = phrases(*entry["protocols"])
    return _Rules(
        kernels=re.compile(settings["erase"]["kernels"]),
        rewrites=tuple((re.compile(each["pattern"]), each["words"]) for each in settings["rewrite"]),
        erased=phrases(*settings["erase"]["words"]),
        mixed=re.compile("|".join(f" (?:{each})(?= )" for each in both)),
        words=words_of,
        protocols=protocols,
    )


def _take(told: str, patterns: Mapping[str, re.Pattern[str]]) -> tuple[tuple[str, ...], str]:
    """Return the classes found, and the text without what they took."""
    found = []
    for name, pattern in patterns.items():
        if pattern.search(told):
            found.append(name)
            told = f"{pattern.sub(' ', told).rstrip()} "
    return tuple(found), told


def _seconds(found: re.Match[str]) -> float:
    value = float(found[1].replace(",", "."))
    return value * 60.0 if found[2].startswith("min") else value
