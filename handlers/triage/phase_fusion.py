"""From pieces of evidence to a contrast phase, its confidence, or the honest answer that it is unknown.

Uniform prior; a log-linear pool multiplies each likelihood to the power of its weight. All numbers
come from `conf/phases.toml`; they are engineering defaults, not calibrated probabilities, until a
temperature was fitted on reviewed cases (`phase_calibration`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from handlers.tables import table

UNKNOWN = "UNKNOWN"
LONGEST_RAW = 64  # characters quoted of a text, as in a description (LO); comments may hold a whole report
ENHANCED = "CE"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One piece: where it stands, what it says there, which phases it supports, and how much it counts.

    `likelihood` gives a value for each class of the table.
    """

    source: str
    raw: str
    supports: tuple[str, ...]
    weight: float
    likelihood: Mapping[str, float]

    @property
    def line(self) -> dict[str, Any]:
        """The evidence as a line of the report."""
        return {
            "source": self.source,
            "raw": self.raw[:LONGEST_RAW],
            "supports": "|".join(self.supports),
            "weight": self.weight,
        }


@dataclass(frozen=True, slots=True)
class Phase:
    """The outcome: code and label, confidence, and whether the label may be used without a warning.

    `scores` are the pooled logarithms of likelihood of each class, before any calibration.
    """

    code: str
    label: str
    confidence: float
    is_sure: bool
    scores: Mapping[str, float] = field(default_factory=dict)


def classes() -> tuple[str, ...]:
    """Return the codes of the phases in order of time."""
    return tuple(table("phases")["fusion"]["classes"])


def likelihood_of(supported: Sequence[str]) -> dict[str, float]:
    """Return the likelihoods of evidence that names phases; CE says only that it is not unenhanced."""
    numbers, order = table("phases")["fusion"], classes()
    if ENHANCED in supported:
        named = [each for each in supported if each != ENHANCED]
        return likelihood_of(named) if named else {
            each: numbers["not_enhanced_given_contrast"] if each == "NC" else 1.0 for each in order
        }  # fmt: skip
    at = [order.index(each) for each in supported]
    found = {}
    for index, each in enumerate(order):
        distance = min((abs(index - one) for one in at), default=len(order))
        found[each] = (
            numbers["hit"] if distance == 0 else numbers["neighbour"] if distance == 1 else numbers["other"]
        )
    return found


def likelihood_of_delay(delay_s: float) -> dict[str, float]:
    """Return the likelihoods of a time after the start of injection; all alike where it says nothing.

    Inside its interval a phase has the likelihood of a hit; over `edge` of the bounds it falls to `other`.
    A scan without contrast is as much less likely than the best phase everywhere: also between and behind
    all intervals, a time after an injection does not speak for it.
    """
    settings, numbers = table("phases")["delay"], table("phases")["fusion"]
    if delay_s < 0:
        return likelihood_of(("NC",))
    if delay_s < settings["too_early"]:
        return dict.fromkeys(classes(), 1.0)
    found = {}
    for each in classes()[1:]:
        low, high = settings[each]
        outside = max(
            (low - delay_s) / (settings["edge"] * low), (delay_s - high) / (settings["edge"] * high), 0.0
        )
        found[each] = max(numbers["hit"] * (1.0 - outside), numbers["other"])
    not_enhanced = numbers["not_enhanced_given_contrast"] * max(found.values()) / numbers["hit"]
    return {"NC": not_enhanced} | found


def supported_by(likelihood: Mapping[str, float]) -> tuple[str, ...]:
    """Return the phases that a likelihood favours, none when it favours all alike."""
    best = max(likelihood.values())
    favoured = tuple(each for each, value in likelihood.items() if value >= 0.5 * best)
    return () if len(favoured) == len(likelihood) else favoured


def fuse(evidence: Sequence[Evidence], *, temperature: float = 1.0) -> Phase:
    """Return the phase that all evidence together supports.

    `temperature` above 1 makes the confidence smaller, below 1 larger; the order of the phases stays.
    """
    scores = {each: sum(e.weight * math.log(e.likelihood[each]) for e in evidence) for each in classes()}
    phase = decide(scores, temperature=temperature)
    if phase.code == ENHANCED and not evidence:
        phase = replace(phase, code=UNKNOWN, label=UNKNOWN, is_sure=False)
    return replace(phase, scores={each: round(value, 4) for each, value in scores.items()})


def posterior(scores: Mapping[str, float], *, temperature: float = 1.0) -> dict[str, float]:
    """Return the probabilities of the classes. Source: Guo 2017, arXiv 1706.04599 (temperature scaling)."""
    top = max(scores.values())
    weights = {each: math.exp((value - top) / temperature) for each, value in scores.items()}
    total = sum(weights.values())
    return {each: value / total for each, value in weights.items()}


def decide(scores: Mapping[str, float], *, temperature: float = 1.0) -> Phase:
    """Return the label that the scores are good for: a phase, contrast of open phase, or UNKNOWN."""
    numbers, names = table("phases")["fusion"], table("phases")["phase"]
    chances = posterior(scores, temperature=temperature)
    ranked = sorted(((value, each) for each, value in chances.items()), reverse=True)
    (confidence, best), (second, _) = ranked[0], ranked[1]
    if confidence >= numbers["label"]:
        is_sure = confidence >= numbers["sure"] and confidence - second >= numbers["margin"]
        return Phase(best, names[best]["label"], round(confidence, 3), is_sure)
    not_enhanced = chances.get("NC", 0.0)
    if not_enhanced < numbers["enhanced"]:
        return Phase(ENHANCED, names[ENHANCED]["label"], round(1.0 - not_enhanced, 3), is_sure=True)
    return Phase(UNKNOWN, UNKNOWN, round(confidence, 3), is_sure=False)


def contradict(first: Sequence[str], second: Sequence[str]) -> bool:
    """Say whether two statements cannot both hold: without and with contrast, or phases far apart."""
    order = classes()
    if not first or not second or set(first) & set(second):
        return False
    if ("NC" in first) != ("NC" in second):
        return True
    at = [[order.index(each) for each in statement if each in order] for statement in (first, second)]
    return bool(at[0] and at[1]) and min(abs(a - b) for a in at[0] for b in at[1]) > 1
