"""Cardiac phases that a description names; respiratory phases, dose and iterative percentages are none."""

from __future__ import annotations

import re
from dataclasses import dataclass

from handlers.triage.words import first, fold

# A percentage beside one of these is the strength of a reconstruction, or a dose: "85 % ASIR", "60% dose".
_METHOD = (
    r"(?:asir\S*|ss|ar|admire|safire|idose\S*|imr|veo|aidr\S*|aice|piqe|clear\s?view|karl|intelli\S*|dlir\S*"
    r"|true\s?fidelity|adaptive)"
)
_OTHER = r"(?:dose|mas?|tube\s?current|iod\S*|stenosis|zoom|fov|filling|blend\S*|o2|co2|in|ex)"
_BEHIND = (
    rf"(?:kv|of|contrast|{_OTHER})"  # "75% of RR"; but "120 kV 75%" and "with contrast 75%" name a phase
)
_NUMBER = r"\d{1,3}(?:\.\d)?"
FOREIGN = re.compile(
    rf"{_NUMBER}\s*%\s*{_METHOD}\W{{0,2}}{_NUMBER}\s*%"  # one of the two is the phase, and nothing says which
    rf"|(?<![a-z0-9]){_METHOD}(?:\W{{0,2}}\d)?\W{{0,2}}{_NUMBER}\s*%|{_NUMBER}\s*%\s*{_METHOD}(?![a-z])"
    rf"|{_NUMBER}\s*%\s*{_BEHIND}(?![a-z])|(?<![a-z0-9]){_OTHER}\W{{0,2}}{_NUMBER}\s*%"
)
RANGE = re.compile(r"(?<!\d)(\d{1,3})\s*%?\s*-\s*(\d{1,3})\s*%|%\s*(\d{1,3})\s*-\s*(\d{1,3})")
PERCENT = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d)?)\s*%")
BEST = re.compile(r"best\s?(?:diast|syst)\w*\s*(\d{1,3})\s*%")
MILLISECONDS = re.compile(r"(?<![\d.])(\d{2,4})\s*ms(?![a-z])")
RESPIRATORY = (
    "insp*", "exp", "expir*", "exspir*", "exspiration*", "resp*", "breath*", "atem*", "4d",
    "wdech*", "wydech*", "t 0%", "ave ip", "mip 4d",
)  # fmt: skip
# "cor" alone is coronal, "calc" may be a heel bone.
CARDIAC = (
    "heart", "cardiac*", "ccta", "corcta", "cor cta", "cta cor", "coronar*", "koronar*", "coronaries",
    "calcium scor*", "ca scor*", "cascor*", "calcscor*", "calc scor*", "smartscore", "smart score", "tavi",
    "tavr", "herz*", "coeur", "cuore", "serce", "serca", "corazon", "kardio*", "cardiaque*", "cardiaco",
    "cardiaca", "wiencow*", "bestdiast*", "bestsyst*", "best diast*", "best syst*", "diastol*", "systol*",
    "r r", "ecg*", "ekg*",
)  # fmt: skip

GATED = (
    "gated", "gating", "retrospective*", "prospective*", "retrospektiv*", "prospektiv*", "ecg*", "ekg*",
    "triggered", "getriggert*",
)  # fmt: skip
NOT_GATED = (
    "non gated", "not gated", "no gating", "without gating", "non ecg*", "no ecg*", "without ecg*",
    "w o ecg*", "wo ecg*", "ohne ekg*", "ohne gating", "kein ekg*", "sans ecg*", "sin ecg*", "senza ecg*",
    "bez ekg*",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CardiacText:
    """What a text says: one phase in percent or milliseconds, or a range of phases."""

    percent: float | None = None
    time_ms: float | None = None
    is_range: bool = False
    limits: tuple[float, float] | None = None  # of a range, in percent


def read(text: str) -> CardiacText:
    """Return the cardiac phase that a text names. The caller knows whether the heart was examined."""
    plain = fold(text)
    if first(plain, RESPIRATORY) or "gated," in plain:
        return CardiacText()
    plain = FOREIGN.sub(" ", plain)
    if best := BEST.search(plain):
        return CardiacText(percent=_phase(best[1]))
    if match := RANGE.search(plain):
        first_phase, last_phase = sorted(float(each) for each in match.groups() if each)
        limits = (first_phase, last_phase) if last_phase <= 100 else None
        return CardiacText(is_range=True, limits=limits)
    percents = {_phase(each) for each in PERCENT.findall(plain)} - {None}
    times = MILLISECONDS.findall(plain)
    return CardiacText(
        percent=percents.pop() if len(percents) == 1 else None,
        time_ms=float(times[0]) if len(times) == 1 else None,
    )


def names_the_heart(text: str) -> bool:
    """Say whether a text speaks of the heart or its gating."""
    return bool(first(text, CARDIAC))


def names_gating(text: str) -> bool:
    """Say whether a text claims that the scan was synchronized with the heart."""
    return bool(first(text, GATED)) and not first(text, NOT_GATED)


def _phase(stated: str) -> float | None:
    percent = float(stated)
    return percent if 0 <= percent < 100 else None
