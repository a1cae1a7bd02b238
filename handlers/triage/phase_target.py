"""How far a cardiac phase is from the one that a profile wants: percent of the cycle, or milliseconds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handlers.tables import table

TARGET = re.compile(r"\s*(\d{1,4}(?:\.\d+)?)\s*(%|ms)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PhaseTarget:
    """A point in the heart cycle: percent of it, or milliseconds after the R wave."""

    value: float
    is_time: bool

    @classmethod
    def of(cls, text: str) -> PhaseTarget:
        """Read "75%", "40 %" or "300ms".

        Raises:
            ValueError: the text is no such thing.
        """
        match = TARGET.fullmatch(text)
        is_time = bool(match) and match is not None and match[2].lower() == "ms"
        if match is None or (not is_time and float(match[1]) > 100):
            raise ValueError(
                f"target_phase is {text!r}; it is a percentage such as '75%', or a time such as '300ms'"
            )
        return cls(float(match[1]) if is_time else float(match[1]) % 100.0, is_time)

    def __str__(self) -> str:
        """Return the target as a profile holds it."""
        return f"{self.value:g}ms" if self.is_time else f"{self.value:g}%"

    def distance(self, fact: Mapping[str, Any]) -> float | None:
        """Return how far the fact `cardiac` is, in percent of the cycle and on its circle; None when unknown.

        A time is compared with a time, or with a percentage whose beat is known. Where the length of the
        beat is not stated, milliseconds become percent of a nominal beat.
        """
        percent, time_ms, rr_ms = fact.get("phase_percent"), fact.get("time_ms"), fact.get("rr_ms")
        if not self.is_time:
            if percent is None:
                return None
            apart = abs(float(percent) - self.value)
            return min(apart, 100.0 - apart)
        if time_ms is None and percent is not None and rr_ms:
            time_ms = percent / 100.0 * rr_ms
        if time_ms is None:
            return None
        apart = abs(time_ms - self.value)
        if rr_ms and apart <= rr_ms:
            apart = min(apart, rr_ms - apart)
        return float(100.0 * apart / (rr_ms or table("gating")["cardiac"]["nominal_rr_ms"]))


def from_mid_diastole(fact: Mapping[str, Any]) -> float:
    """Return how far a phase is from mid-diastole; of two equally far from a target, the nearer one is taken.

    With a time alone the later one is nearer: systole comes first.
    """
    percent, time_ms = fact.get("phase_percent"), fact.get("time_ms")
    if percent is not None:
        return (
            PhaseTarget(table("gating")["cardiac"]["mid_diastole_percent"], is_time=False).distance(fact)
            or 0.0
        )
    return -float(time_ms or 0.0)
