"""Every place where a volume may state its cardiac phase, in the order of trust."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from handlers.model import Frame, Volume
from handlers.triage import cardiac_beat, cardiac_text, header
from handlers.triage.cardiac_beat import CANON, ELSCINT, GE
from handlers.triage.words import fold

SIEMENS_OPTION = re.compile(r"TP(\d+)PC")
PHILIPS_MR = "Philips MR Imaging DD 001"
DELAY = re.compile(r"(\d{1,4}(?:\.\d+)?)\s*(%|ms)?")
TRIGGER_TIME = "TriggerTime"
TEXTS = ("SeriesDescription", "ImageComments")
CONTEXT = (
    "SeriesDescription",
    "StudyDescription",
    "ProtocolName",
    "AcquisitionProtocolName",
    "BodyPartExamined",
)

Statement = tuple[str, float | None, float | None]  # source, percent of the cycle, ms after the R wave


@dataclass(frozen=True, slots=True)
class CardiacPhase:
    """One statement: percent of the heart cycle in [0, 100), or milliseconds after the R wave, or both.

    `is_actual` marks what the scanner measured of the beats, beside what was asked for.
    """

    source: str
    percent: float | None
    time_ms: float | None
    is_actual: bool


def phases(volume: Volume) -> list[CardiacPhase]:
    """Return all statements on the phase of a volume, the most trusted first.

    Order: functional groups, the percentage at the top level, TriggerTime and the beat, the scan options of
    Siemens, private elements, text.
    """
    frame = volume.frames[0]
    statements = (
        *_enhanced(volume),
        *_top_level(frame),
        _triggered(volume),
        *_options(frame),
        *_private(frame),
        *_told(frame),
    )
    found = [
        CardiacPhase(source, _cycle(percent), time_ms, is_actual="ctual" in source)
        for source, percent, time_ms in statements
    ]
    return [each for each in found if each.percent is not None or each.time_ms is not None]


def is_cardiac(frame: Frame) -> bool:
    """Say whether descriptions or the body part speak of the heart."""
    texts = (header.text(frame, keyword) for keyword in CONTEXT)
    return any(cardiac_text.names_the_heart(text) for text in texts)


def fact(volume: Volume) -> dict[str, Any] | None:
    """Return the fact `cardiac` of a volume: phase, beat and every statement; None where nothing is gated.

    The first statement of a percentage gives `phase_percent` and `source`, the first of a time `time_ms`.
    """
    frame, stated = volume.frames[0], phases(volume)
    is_gated = volume.modality == "CT" and cardiac_beat.is_gated(frame)
    if not stated and not is_gated:
        return None
    beat = cardiac_beat.heart_beat(volume.frames)
    best = next((each for each in stated if each.percent is not None), stated[0] if stated else None)
    return {
        "phase_percent": best.percent if best else None,
        "time_ms": next((each.time_ms for each in stated if each.time_ms is not None), None),
        "source": best.source if best else "gated, phase not stated",
        "heart_rate_bpm": beat.rate_bpm,
        "rr_ms": beat.rr_ms,
        **cardiac_beat.synchronization(frame),
        "sources": [
            {"source": each.source, "phase_percent": each.percent, "time_ms": each.time_ms} for each in stated
        ],
    }


def _enhanced(volume: Volume) -> Iterator[Statement]:
    """Return what the Cardiac Synchronization macro of the frames says. Source: PS3.3 C.7.6.16.2.7."""
    frame = volume.frames[0]
    if "NominalPercentageOfCardiacPhase" in frame.functional:
        yield (
            "NominalPercentageOfCardiacPhase",
            header.number(frame, "NominalPercentageOfCardiacPhase"),
            None,
        )
    interval = header.number(frame, "RRIntervalTimeNominal")
    for keyword in ("NominalCardiacTriggerDelayTime", "ActualCardiacTriggerDelayTime"):
        delay = _median([header.number(each, keyword) for each in volume.frames])
        yield keyword, cardiac_beat.share(delay, interval), delay


def _top_level(frame: Frame) -> Iterator[Statement]:
    # GE Revolution writes the percentage into classic CT images.
    percent = header.number(frame.instance, "NominalPercentageOfCardiacPhase")
    source = "NominalPercentageOfCardiacPhase"
    yield f"{source} (top level)" if source in frame.functional else source, percent, None


def _triggered(volume: Volume) -> Statement:
    """Return the phase from TriggerTime, the median over the slices, and the length of the beat."""
    pairs = []
    for frame in header.different(volume.frames):
        time = header.number(frame, TRIGGER_TIME)
        interval = header.number(frame, "NominalInterval") or None
        rate = header.number(frame, "HeartRate")
        part = cardiac_beat.share(time, interval or (60000.0 / rate if rate else None))
        if time is not None and part is not None and not _is_time_of_dynamic(frame, time):
            pairs.append((part, time))
    if not pairs:
        return TRIGGER_TIME, None, None
    return TRIGGER_TIME, median(part for part, _ in pairs), median(time for _, time in pairs)


def _is_time_of_dynamic(frame: Frame, time_ms: float) -> bool:
    """Say whether TriggerTime is the time of a dynamic, as Philips fMRI has it. Source: dcm2niix."""
    begins_s = header.private_number(frame, 0x2005, PHILIPS_MR, 0xA0)
    return bool(begins_s) and begins_s is not None and abs(begins_s * 1000.0 - time_ms) < 1.0


def _options(frame: Frame) -> Iterator[Statement]:
    for option in header.texts(frame, "ScanOptions"):
        if match := SIEMENS_OPTION.search(option.upper()):
            yield "ScanOptions", float(match[1]), None


def _private(frame: Frame) -> Iterator[Statement]:
    yield (
        f"{GE} (0045,xx33)",
        header.private_number(frame, 0x0045, GE, 0x33),
        header.private_number(frame, 0x0045, GE, 0x3F),
    )
    yield (
        f"{GE} (0045,xx34), actual",
        header.private_number(frame, 0x0045, GE, 0x34),
        header.private_number(frame, 0x0045, GE, 0x44),
    )
    yield f"{ELSCINT} (01F1,xx41)", *_delay(header.private_text(frame, 0x01F1, ELSCINT, 0x41))
    yield (
        f"{CANON} (7005,xx04)",
        _delay(header.private_text(frame, 0x7005, CANON, 0x04))[0],
        header.private_number(frame, 0x7005, CANON, 0x05),
    )


def _delay(stated: str) -> tuple[float | None, float | None]:
    """Return percent and milliseconds of a text such as "75", "75.0%" or "300 ms"."""
    match = DELAY.fullmatch(fold(stated).strip())
    if not match:
        return None, None
    value = float(match[1])
    return (None, value) if match[2] == "ms" or (not match[2] and value > 100) else (value, None)


def _told(frame: Frame) -> Iterator[Statement]:
    """Return what descriptions say, where the heart was examined: elsewhere "50 %" means other things."""
    if is_cardiac(frame) or cardiac_beat.is_gated(frame):
        for keyword in TEXTS:
            told = cardiac_text.read(header.text(frame, keyword))
            yield keyword, told.percent, told.time_ms


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _cycle(percent: float | None) -> float | None:
    """Return a phase in [0, 100): 100 % is the next R wave, 0 %."""
    if percent is None or not 0 <= percent <= 100:
        return None
    return round(percent, 1) % 100.0
