"""Every place where a volume may state its respiratory phase, in the order of trust."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from handlers.model import Frame, Volume
from handlers.tables import table
from handlers.triage import header, respiratory_text

CANON = "TOSHIBA_MEC_CT3"
GE = "GEHC_CT_ADVAPP_001"
TEXTS = ("SeriesDescription", "ImageComments")
# Which half of the breath a phase belongs to. Source: PS3.3 C.7.6.16.2.17.
HALVES = {"INSPIRATION": "IN", "MAXIMUM": "IN", "EXPIRATION": "EX", "MINIMUM": "EX"}


@dataclass(frozen=True, slots=True)
class Breath:
    """One statement: percent of the breathing cycle, or the name of a phase of it, or both.

    `half` is "IN" or "EX" where the percentage is told for one half of the breath.
    """

    source: str
    percent: float | None = None
    name: str = ""
    half: str = ""

    @property
    def side(self) -> str:
        """Return "IN" or "EX" where the statement names inspiration or expiration, else ""."""
        return self.half or HALVES.get(self.name, "")


def breaths(volume: Volume) -> list[Breath]:
    """Return all statements on the respiratory phase of a volume, the most trusted first."""
    frame = volume.frames[0]
    found = (*_stated(frame), *_private(frame), *_told(frame))
    return [each for each in found if each.percent is not None or each.name]


def fact(volume: Volume) -> dict[str, Any] | None:
    """Return the fact `respiratory` of a volume; None where nothing states a phase."""
    stated = breaths(volume)
    if not stated:
        return None
    best = next((each for each in stated if each.percent is not None), stated[0])
    name = best.name or next((each.name for each in stated if each.name), "")
    return {
        "phase_percent": best.percent,
        "phase": name,
        "half": best.half,
        "source": best.source,
        **_record(volume.frames[0]),
        "sources": [
            {"source": each.source, "phase_percent": each.percent, "phase": each.name, "half": each.half}
            for each in stated
        ],
    }


def _stated(frame: Frame) -> Iterator[Breath]:
    """Return what the Respiratory Synchronization macro says. Source: PS3.3 C.7.6.16.2.17."""
    keyword = "NominalPercentageOfRespiratoryPhase"
    yield Breath(keyword, _cycle(header.number(frame, keyword)))
    interval = header.number(frame, "RespiratoryIntervalTime")
    for keyword in ("NominalRespiratoryTriggerDelayTime", "ActualRespiratoryTriggerDelayTime"):
        yield Breath(keyword, _share(header.number(frame, keyword), interval))
    for keyword in ("StartingRespiratoryPhase", "RespiratoryCyclePosition"):
        yield Breath(keyword, name=header.text(frame, keyword).upper())


def _private(frame: Frame) -> Iterator[Breath]:
    stated = header.private_text(frame, 0x7005, CANON, 0x49).rstrip(" %")
    try:
        percent = _cycle(float(stated))
    except ValueError:
        yield Breath(f"{CANON} (7005,xx49)", name=respiratory_text.read(stated).name)
    else:
        yield Breath(f"{CANON} (7005,xx49)", percent)


def _told(frame: Frame) -> Iterator[Breath]:
    for keyword in TEXTS:
        told = respiratory_text.read(header.text(frame, keyword))
        yield Breath(keyword, told.percent, told.name, told.half)


def _record(frame: Frame) -> dict[str, Any]:
    """Return what else is said of the gating, for the record. Source: PS3.3 C.7.6.18.2."""
    numbers = {
        "interval_ms": header.number(frame, "RespiratoryIntervalTime"),
        "starting_amplitude": header.number(frame, "StartingRespiratoryAmplitude"),
        "ending_amplitude": header.number(frame, "EndingRespiratoryAmplitude"),
    }
    texts = {
        "technique": header.text(frame, "RespiratoryMotionCompensationTechnique"),
        "ending_phase": header.text(frame, "EndingRespiratoryPhase"),
        "canon_gating": header.private_text(frame, 0x7005, CANON, 0x48),
        "ge_flag": header.private_text(frame, 0x0053, GE, 0x62),
    }
    known = {name: value for name, value in numbers.items() if value is not None}
    return known | {name: value for name, value in texts.items() if value}


def _share(delay_ms: float | None, interval_ms: float | None) -> float | None:
    low, high = table("gating")["respiratory"]["interval_ms"]
    if delay_ms is None or interval_ms is None or not low <= interval_ms <= high:
        return None
    return _cycle(100.0 * delay_ms / interval_ms)


def _cycle(percent: float | None) -> float | None:
    return None if percent is None or not 0 <= percent <= 100 else round(percent, 1) % 100.0
