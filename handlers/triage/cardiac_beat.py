"""Heart rate, length of the beat, and how an acquisition was synchronized with the heart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from handlers.model import Frame
from handlers.triage import header
from handlers.triage.tables import table

GE = "GEMS_HELIOS_01"
ELSCINT = "ELSCINT1"
CANON = "TOSHIBA_MEC_CT3"
NOT_GATED = "NONE"
GATED_OPTIONS = ("GATED", "ECG", "EKG", "CARD", "RETRO", "PROSP")


@dataclass(frozen=True, slots=True)
class HeartBeat:
    """Heart rate, length of a beat and the range of lengths, as far as stated; what is no beat is None."""

    rate_bpm: float | None
    rr_ms: float | None
    low_rr_ms: float | None
    high_rr_ms: float | None


def heart_beat(frame: Frame) -> HeartBeat:
    """Return the heart beat of a frame.

    Source: PS3.3 C.7.6.16.2.7, (0018,1062), (0018,1088), (0018,1081), (0018,1082); private: GE (0045,xx31),
    Philips (01F1,xx45), Canon (7005,xx03).
    """
    interval = _interval(
        header.number(frame, "RRIntervalTimeNominal")
        or header.number(frame, "NominalInterval")
        or header.private_number(frame, 0x7005, CANON, 0x03)
    )
    rate = (
        header.number(frame, "HeartRate")
        or header.private_number(frame, 0x0045, GE, 0x31)
        or header.private_number(frame, 0x01F1, ELSCINT, 0x45)
        or (60000.0 / interval if interval else None)
    )
    of_rate = _interval(60000.0 / rate if rate else None)
    return HeartBeat(
        round(rate, 1) if rate and of_rate else None,
        interval or of_rate,
        _interval(header.number(frame, "LowRRValue")),
        _interval(header.number(frame, "HighRRValue")),
    )


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
