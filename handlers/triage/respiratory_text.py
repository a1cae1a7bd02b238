"""Breathing in descriptions: bins of a 4-D scan, inspiration and expiration, averages over the cycle."""

from __future__ import annotations

import re
from dataclasses import dataclass

from handlers.triage.words import first, fold

# A bin, and the half of the breath where it is told: "P4^P101^S300^I00003, Gated, 0.0%A", "30% Ex", "T=60%".
BINS = (
    re.compile(r"gated,\s*(\d{1,3}(?:\.\d+)?)\s*%()"),
    re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d+)?)\s*%\s*(in|ex)(?![a-z])"),
    re.compile(r"(?<![a-z0-9])t\s*=\s*(\d{1,3})\s*%()"),
    re.compile(r"(?<![a-z0-9])resp\w*\.?\s*(\d{1,3})\s*%()"),
)
COMBINATION = r"(?:ave|avg|average|mip|minip|mean)"
COMBINED = re.compile(rf"(?<![a-z0-9]){COMBINATION}[\s_-]*4d|4d[\s_-]*(?:ct[\s_-]*)?{COMBINATION}(?![a-z])")
COMBINATIONS = ("ave", "avg", "average", "averaged", "mip", "minip", "mean", "mittel*")
WORDS = {
    "INSPIRATION": ("insp", "inspir*", "inhal*", "wdech*", "einatm*"),
    "EXPIRATION": ("exp", "expir*", "exspir*", "exhal*", "wydech*", "ausatm*", "espir*"),
}


@dataclass(frozen=True, slots=True)
class BreathText:
    """What a text says: percent of the cycle, its half ("IN", "EX" or ""), and the named phase."""

    percent: float | None = None
    half: str = ""
    name: str = ""


def read(text: str) -> BreathText:
    """Return the bin and the phase that a text names; a text that names both phases names none.

    Where a half of the breath is told the percentage is of the depth: 100 % is the end of inspiration.
    Otherwise it is of the time, and 100 % is 0 % again.
    """
    told = fold(text)
    named = [name for name, wanted in WORDS.items() if first(told, wanted)]
    name = named[0] if len(named) == 1 else ""
    for pattern in BINS:
        if (match := pattern.search(told)) and float(match[1]) <= 100:
            percent = float(match[1]) if match[2] else float(match[1]) % 100.0
            return BreathText(percent, match[2].upper(), name)
    return BreathText(name=name)


def combined(text: str) -> str:
    """Return the words that name an average or projection over all phases of a 4-D scan; "" without any."""
    match = COMBINED.search(fold(text))
    return match[0] if match else ""


def names_a_combination(text: str) -> str:
    """Return a word for an average or projection, of whatever; "" without any."""
    return first(text, COMBINATIONS)
