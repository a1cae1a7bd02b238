"""When a CT volume was acquired, and how long after the start of the injection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from handlers.model import Frame, SiblingSeries, Volume
from handlers.tables import table
from handlers.triage import header

FORMATS = {14: "%Y%m%d%H%M%S", 12: "%Y%m%d%H%M", 10: "%Y%m%d%H"}  # by the number of digits; PS3.5 section 6.2
MIDNIGHT_S = 86400.0
GE_CREATOR, GE_DELTA_START = "GEMS_PARM_01", 0x1E  # (0043,xx1E) Delta Start Time [msec]
LONGEST_DELTA_MS = 3_600_000.0


@dataclass(frozen=True, slots=True)
class Injection:
    """The time between start of injection and acquisition, or why it is not usable."""

    delay_s: float | None = None
    objection: str = ""


def injection(volume: Volume) -> Injection:
    """Return the time from the start of injection to the first slice.

    The start is a time of day without a date, so that it may lie before midnight. A start that
    equals the time of the study or series was filled in by a protocol.
    """
    frame = volume.frames[0]
    start = _time_of_day(header.text(frame, "ContrastBolusStartTime"))
    acquired = None if start is None else volume_time(volume)
    if start is None or acquired is None:
        return Injection()
    others = (_time_of_day(header.text(frame, keyword)) for keyword in ("SeriesTime", "StudyTime"))
    return _delay(start, acquired, [other for other in others if other is not None])


def sibling_injection(sibling: SiblingSeries) -> Injection:
    """Return the same for another series of the study, as far as its facts tell."""
    facts = _texts(sibling.facts, "ContrastBolusStartTime", "SeriesTime", "StudyTime")
    start, acquired = _time_of_day(facts["ContrastBolusStartTime"]), sibling_time(sibling)
    if start is None or acquired is None:
        return Injection()
    others = (_time_of_day(facts[keyword]) for keyword in ("SeriesTime", "StudyTime"))
    return _delay(start, acquired, [other for other in others if other is not None])


def volume_time(volume: Volume) -> datetime | None:
    """Return the time of the earliest slice, None when no slice tells it.

    A dynamic scan of GE gives all its passes one acquisition time, and each the milliseconds after the
    first pass in a private element. They are added where all slices share one time.
    Source: private dictionary of GE, (0043,xx1E) "Delta Start Time [msec]".
    """
    times = [time for each in header.different(volume.frames) if (time := acquisition_time(each)) is not None]
    if not times:
        return None
    delta_ms = header.private_number(volume.frames[0], 0x0043, GE_CREATOR, GE_DELTA_START)
    is_usable = delta_ms is not None and 0.0 < delta_ms <= LONGEST_DELTA_MS and len(set(times)) == 1
    return min(times) + timedelta(milliseconds=delta_ms if is_usable and delta_ms is not None else 0.0)


def acquisition_time(frame: Frame) -> datetime | None:
    """Return the time of the frame, else AcquisitionDateTime, else AcquisitionDate and AcquisitionTime.

    The times of series and content are never taken: they say when something was reconstructed.
    """
    return _moment(
        header.text(frame, "FrameAcquisitionDateTime") or header.text(frame, "AcquisitionDateTime"),
        header.text(frame, "AcquisitionDate"),
        header.text(frame, "AcquisitionTime"),
    )


def sibling_time(sibling: SiblingSeries) -> datetime | None:
    """Return the acquisition time of another series of the study."""
    facts = _texts(sibling.facts, "AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime")
    return _moment(facts["AcquisitionDateTime"], facts["AcquisitionDate"], facts["AcquisitionTime"])


def _texts(facts: Mapping[str, Any], *keywords: str) -> dict[str, str]:
    return {keyword: str(facts.get(keyword) or "") for keyword in keywords}


def _delay(start: float, acquired: datetime, others: list[float]) -> Injection:
    if int(start) in [int(other) for other in others]:
        return Injection(objection="it merely repeats the time of the series or study")
    of_day = (acquired.hour * 60 + acquired.minute) * 60 + acquired.second + acquired.microsecond / 1e6
    delay = (of_day - start + MIDNIGHT_S / 2) % MIDNIGHT_S - MIDNIGHT_S / 2
    low, high = table("phases")["delay"]["plausible"]
    if not low <= delay <= high:
        when = "before" if delay > 0 else "after"
        return Injection(objection=f"it would be {abs(delay):.0f} s {when} the acquisition")
    return Injection(delay)


@lru_cache(maxsize=4096)
def _moment(stated: str, date: str, time: str) -> datetime | None:
    plain = stated.partition("+")[0].partition("-")[0]
    if len(plain.partition(".")[0]) not in FORMATS:  # absent, or a date alone, which tells no time
        plain = date + time
    whole, _, fraction = plain.partition(".")
    if len(whole) not in FORMATS or not whole.isdigit():
        return None
    try:
        moment = datetime.strptime(whole, FORMATS[len(whole)])  # noqa: DTZ007 - DICOM times are local to the scanner
    except ValueError:
        return None
    return moment + timedelta(microseconds=int(f"{fraction:0<6}"[:6])) if fraction.isdigit() else moment


def _time_of_day(stated: str) -> float | None:
    """Return a TM value in seconds after midnight."""
    moment = _moment("", "19000101", stated) if stated else None
    return None if moment is None else (moment - datetime(1900, 1, 1)).total_seconds()  # noqa: DTZ001 - as above
