"""Every place where a volume may state its cardiac phase, in the order of trust."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from handlers.model import Frame, Volume
from handlers.triage import cardiac_text, header

RR_MS = (300.0, 2000.0)  # 30 to 200 beats per minute; beyond, the interval is no heart beat
SIEMENS_OPTION = re.compile(r"TP(\d+)PC")
GE = "GEMS_HELIOS_01"
ELSCINT = "ELSCINT1"
CANON = "TOSHIBA_MEC_CT3"
NOT_GATED = "NONE"
CONTEXT = (
    "SeriesDescription",
    "StudyDescription",
    "ProtocolName",
    "AcquisitionProtocolName",
    "BodyPartExamined",
)
GATED_OPTIONS = ("GATED", "ECG", "EKG", "CARD", "RETRO", "PROSP")


@dataclass(frozen=True, slots=True)
class CardiacPhase:
    """One statement: percent of the heart cycle in [0, 100), or milliseconds after the R wave, or both."""

    source: str
    percent: float | None
    time_ms: float | None


@dataclass(frozen=True, slots=True)
class HeartBeat:
    """Heart rate and the range of beat lengths, as far as stated."""

    rate_bpm: float | None
    low_rr_ms: float | None
    high_rr_ms: float | None


def phases(volume: Volume) -> list[CardiacPhase]:
    """Return all statements on the phase of a volume, the most trusted first."""
    frame = volume.frames[0]
    found = [
        CardiacPhase(source, _cycle(percent), time_ms)
        for source, percent, time_ms in (*_stated(frame), _triggered(volume), *_private(frame), *_told(frame))
    ]
    return [each for each in found if each.percent is not None or each.time_ms is not None]


def heart_beat(frame: Frame) -> HeartBeat:
    """Return the heart beat. Source: PS3.3 C.7.6.16.2.7, (0018,1088), (0018,1081), (0018,1082)."""
    interval = header.number(frame, "RRIntervalTimeNominal") or header.number(frame, "NominalInterval")
    rate = header.number(frame, "HeartRate")
    rate = (
        rate
        or header.private_number(frame, 0x0045, GE, 0x31)
        or header.private_number(frame, 0x01F1, ELSCINT, 0x45)
    )
    if not rate and interval and RR_MS[0] <= interval <= RR_MS[1]:
        rate = 60000.0 / interval
    is_rate = rate is not None and 60000.0 / RR_MS[1] <= rate <= 60000.0 / RR_MS[0]
    low, high = header.number(frame, "LowRRValue"), header.number(frame, "HighRRValue")
    return HeartBeat(
        round(rate, 1) if rate is not None and is_rate else None,
        low if low and RR_MS[0] <= low <= RR_MS[1] else None,
        high if high and RR_MS[0] <= high <= RR_MS[1] else None,
    )


def technique(frame: Frame) -> str:
    """Return CardiacSynchronizationTechnique: NONE, PROSPECTIVE, RETROSPECTIVE, ...; "" when absent."""
    return header.text(frame, "CardiacSynchronizationTechnique").upper()


def is_gated(frame: Frame) -> bool:
    """Say whether anything but text says that the acquisition was gated."""
    options = " ".join(header.texts(frame, "ScanOptions")).upper()
    stated = technique(frame)
    return stated not in ("", NOT_GATED) or any(each in options for each in GATED_OPTIONS)


def is_cardiac(frame: Frame) -> bool:
    """Say whether descriptions or the body part speak of the heart."""
    texts = (header.text(frame, keyword) for keyword in CONTEXT)
    return any(cardiac_text.names_the_heart(text) for text in texts)


def _stated(frame: Frame) -> Iterator[tuple[str, float | None, float | None]]:
    percent = header.number(frame, "NominalPercentageOfCardiacPhase")
    delay = header.number(frame, "NominalCardiacTriggerDelayTime")
    if delay is None:
        delay = header.number(frame, "ActualCardiacTriggerDelayTime")
    if percent is not None:
        yield "NominalPercentageOfCardiacPhase", percent, delay
    elif delay is not None:
        yield (
            "NominalCardiacTriggerDelayTime",
            _share(delay, header.number(frame, "RRIntervalTimeNominal")),
            delay,
        )
    for option in header.texts(frame, "ScanOptions"):
        if match := SIEMENS_OPTION.search(option.upper()):
            yield "ScanOptions", float(match[1]), None


def _triggered(volume: Volume) -> tuple[str, float | None, float | None]:
    """Return the phase from TriggerTime, the median over the slices, and the length of the beat."""
    pairs = []
    for frame in header.different(volume.frames):
        time = header.number(frame, "TriggerTime")
        interval = header.number(frame, "NominalInterval") or None
        rate = header.number(frame, "HeartRate")
        share = None if time is None else _share(time, interval or (60000.0 / rate if rate else None))
        if time is not None and share is not None:
            pairs.append((share, time))
    if not pairs:
        return "TriggerTime", None, None
    return "TriggerTime", median(share for share, _ in pairs), median(time for _, time in pairs)


def _private(frame: Frame) -> Iterator[tuple[str, float | None, float | None]]:
    yield (
        f"{GE} (0045,xx33)",
        header.private_number(frame, 0x0045, GE, 0x33),
        header.private_number(frame, 0x0045, GE, 0x3F),
    )
    canon = (
        header.private_number(frame, 0x7005, CANON, 0x04),
        header.private_number(frame, 0x7005, CANON, 0x05),
    )
    yield f"{CANON} (7005,xx04)", *canon
    yield f"{ELSCINT} (01F1,xx41)", header.private_number(frame, 0x01F1, ELSCINT, 0x41), None


def _told(frame: Frame) -> Iterator[tuple[str, float | None, float | None]]:
    """Return what the description says, where the heart was examined: elsewhere "50 %" means other things."""
    if is_cardiac(frame) or is_gated(frame):
        told = cardiac_text.read(header.text(frame, "SeriesDescription"))
        yield "SeriesDescription", told.percent, told.time_ms


def _share(time_ms: float, interval_ms: float | None) -> float | None:
    if interval_ms is None or not RR_MS[0] <= interval_ms <= RR_MS[1] or time_ms < 0:
        return None
    return 100.0 * time_ms / interval_ms


def _cycle(percent: float | None) -> float | None:
    """Return a phase in [0, 100): 100 % is the next R wave, 0 %."""
    if percent is None or not 0 <= percent <= 100:
        return None
    return round(percent % 100.0, 1)
