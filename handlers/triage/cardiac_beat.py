"""Heart rate, length of the beat, and how an acquisition was synchronized with the heart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from handlers.model import Frame
from handlers.tables import table
from handlers.triage import header

GE = "GEMS_HELIOS_01"
ELSCINT = "ELSCINT1"
CANON = "TOSHIBA_MEC_CT3"
NOT_GATED = "NONE"
GATED_OPTIONS = ("GATED", "ECG", "EKG", "CARD", "RETRO", "PROSP")


Reader = Callable[[Frame], float | None]
INTERVALS: tuple[Reader, ...] = (
    lambda frame: header.number(frame, "RRIntervalTimeNominal"),
    lambda frame: header.number(frame, "NominalInterval"),
    lambda frame: header.private_number(frame, 0x7005, CANON, 0x03),
)
RATES: tuple[Reader, ...] = (
    lambda frame: header.number(frame, "HeartRate"),
    lambda frame: header.private_number(frame, 0x0045, GE, 0x31),
    lambda frame: header.private_number(frame, 0x01F1, ELSCINT, 0x45),
)


@dataclass(frozen=True, slots=True)
class HeartBeat:
    """Heart rate, length of a beat and the range of lengths, as far as stated; what is no beat is None."""

    rate_bpm: float | None
    rr_ms: float | None
    low_rr_ms: float | None
    high_rr_ms: float | None


def heart_beat(frames: Sequence[Frame]) -> HeartBeat:
    """Return the heart beat of a volume: the medians over its slices, and the range of the beats.

    Where no range is stated, rates that differ between the slices give one.

    Source: PS3.3 C.7.6.16.2.7, (0018,1062), (0018,1088), (0018,1081), (0018,1082); private: GE (0045,xx31),
    Philips (01F1,xx45), Canon (7005,xx03).
    """
    intervals = _values(frames, INTERVALS)
    rates = [60000.0 / each for each in _values(frames, RATES, as_interval=True)]
    rate = median(rates) if rates else (60000.0 / median(intervals) if intervals else None)
    low = _values(frames, (lambda frame: header.number(frame, "LowRRValue"),))
    high = _values(frames, (lambda frame: header.number(frame, "HighRRValue"),))
    is_told = bool(low or high) or len(set(rates)) < 2
    return HeartBeat(
        None if rate is None else round(rate, 1),
        median(intervals) if intervals else None if rate is None else 60000.0 / rate,
        min(low, default=None) if is_told else 60000.0 / max(rates),
        max(high, default=None) if is_told else 60000.0 / min(rates),
    )


def _values(frames: Sequence[Frame], readers: Sequence[Reader], *, as_interval: bool = False) -> list[float]:
    """Return the intervals of all slices by the first reader that answers for the first one.

    What is no heart beat is left out.
    """
    for read in readers:
        if not read(frames[0]):
            continue
        stated = [value for frame in header.different(frames) if (value := read(frame))]
        found = [_interval(60000.0 / each if as_interval else each) for each in stated]
        if known := [each for each in found if each is not None]:
            return known
    return []


def share(time_ms: float | None, interval_ms: float | None) -> float | None:
    """Return a delay after the R wave in percent of the beat; None when the interval is no heart beat."""
    interval = _interval(interval_ms)
    return None if time_ms is None or interval is None or time_ms < 0 else 100.0 * time_ms / interval


def technique(frame: Frame) -> str:
    """Return CardiacSynchronizationTechnique: NONE, PROSPECTIVE, RETROSPECTIVE, ...; "" when absent."""
    return header.text(frame, "CardiacSynchronizationTechnique").upper()


def is_gated(frame: Frame) -> bool:
    """Say whether anything but text says that the acquisition was gated."""
    return technique(frame) not in ("", NOT_GATED) or are_gated_options(header.texts(frame, "ScanOptions"))


def are_gated_options(options: Iterable[str] | str) -> bool:
    """Say whether ScanOptions name a gating with the heart."""
    joined = (options if isinstance(options, str) else " ".join(options)).upper()
    return any(each in joined for each in GATED_OPTIONS)


def synchronization(frame: Frame) -> dict[str, str]:
    """Return what is said of the synchronization itself, for the record. Source: PS3.3 C.7.6.18.1."""
    stated = {
        "technique": technique(frame),
        "signal_source": header.text(frame, "CardiacSignalSource"),
        "beat_rejection": header.text(frame, "CardiacBeatRejectionTechnique"),
        "cycle_position": header.text(frame, "CardiacCyclePosition"),
        "algorithm": header.private_text(frame, 0x0045, GE, 0x30)
        or header.private_text(frame, 0x7005, CANON, 0x06),
    }
    return {name: value for name, value in stated.items() if value}


def _interval(value: float | None) -> float | None:
    low, high = table("gating")["cardiac"]["rr_ms"]
    return value if value is not None and low <= value <= high else None
