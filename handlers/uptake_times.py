"""From injection to the moment that a PET scanner corrects the decay to: which clock times say so."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from pydicom.dataset import Dataset

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.model import Frame
from handlers.tables import table

DAY = timedelta(days=1)
GE_CREATOR = "GEMS_PETD_01"
DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
TIME = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(?:\.(\d{1,6}))?")
OFFSET = re.compile(r"([+-])(\d{2})(\d{2})$")


@dataclass(frozen=True, slots=True)
class Decay:
    """Seconds from injection to the reference time of the images, and where both times stand.

    `seconds` is None where one of them is not known; `is_plausible` says whether such a time can be.
    """

    seconds: float | None
    scan_source: str
    injection_source: str
    is_plausible: bool

    @property
    def missing(self) -> list[str]:
        """Name what is not known."""
        names = {"scan time": self.scan_source, "RadiopharmaceuticalStartTime": self.injection_source}
        return [name for name, source in names.items() if not source]


def decay(frames: Sequence[Frame], source: Dataset, half_life_s: float) -> Decay:
    """Return how long the activity decayed before the moment that the images are corrected to.

    `frames` are those of one volume, `source` its item of the Radiopharmaceutical Information Sequence.
    Times that are all midnight were removed, not measured.

    Source: QIBA, vendor-neutral pseudo-code for SUV.
    """
    try:
        scan, scan_source = scan_time(frames, half_life_s)
        start, start_source = _injection_time(frames[0], source, scan, half_life_s)
    except (OverflowError, ZeroDivisionError):  # times and numbers beyond any calendar
        return Decay(None, "", "", is_plausible=False)
    if scan is not None and start is not None and not any(_clock(each) for each in (scan, start)):
        return Decay(None, "", "", is_plausible=False)
    if scan is None or start is None:
        return Decay(None, scan_source, start_source, is_plausible=False)
    seconds = (scan - start).total_seconds()
    is_plausible = 0 <= seconds <= table("pet")["max_half_lives"] * half_life_s
    return Decay(seconds, scan_source, start_source, is_plausible)


def scan_time(frames: Sequence[Frame], half_life_s: float) -> tuple[datetime | None, str]:
    """Return the moment that the decay is corrected to (DecayCorrection START), and where it stands.

    The time of the series is that moment unless it is later than the acquisition: then the series
    was made anew. GE keeps the moment in a private element; elsewhere it is computed from the frame reference
    time, by the average count rate of a frame.
    """
    frame = frames[0]
    if (stated := _date_time(frame, _text(frame, "DecayCorrectionDateTime"))) is not None:
        return stated, "DecayCorrectionDateTime"
    series = _moment(_text(frame, "SeriesDate"), _text(frame, "SeriesTime"))
    acquired = [each for each in map(_acquired_at, frames) if each is not None]
    if series is not None and acquired and series <= min(acquired):
        return series, "SeriesTime"
    private = _private_text(frame, 0x0009, GE_CREATOR, 0x0D)
    if (stated := _date_time(frame, private)) is not None:
        return stated, f"{GE_CREATOR} (0009,xx0D)"
    return _from_frame_reference(frame, half_life_s)


def _from_frame_reference(frame: Frame, half_life_s: float) -> tuple[datetime | None, str]:
    acquired = _acquired_at(frame)
    reference_ms = _number(frame, "FrameReferenceTime")
    duration_ms = _number(frame, "ActualFrameDuration")
    if acquired is None or not reference_ms or not duration_ms or reference_ms < 0 or duration_ms < 0:
        return None, ""
    constant = math.log(2) / half_life_s
    lost = constant * duration_ms / 1000.0
    average_s = math.log(lost / (1.0 - math.exp(-lost))) / constant  # when the rate of the frame is its mean
    return acquired + timedelta(seconds=average_s - reference_ms / 1000.0), "FrameReferenceTime"


def _injection_time(
    frame: Frame, source: Dataset, scan: datetime | None, half_life_s: float
) -> tuple[datetime | None, str]:
    """Return when the activity was given; without a date, on the day of the scan or the day before."""
    keyword = "RadiopharmaceuticalStartDateTime"
    if (stated := _date_time(frame, _text(source, keyword))) is not None:
        return stated, keyword
    keyword = "RadiopharmaceuticalStartTime"
    told = _text(source, keyword)
    day = scan.strftime("%Y%m%d") if scan is not None else "20000101"
    start = _moment(day, told)
    if start is None:
        return None, ""
    if scan is not None and start > scan:
        before = start - DAY
        is_near = (scan - before).total_seconds() <= table("pet")["max_half_lives"] * half_life_s
        start = before if is_near else start
    return start, keyword


def _acquired_at(frame: Frame) -> datetime | None:
    for keyword in ("FrameAcquisitionDateTime", "AcquisitionDateTime"):
        if (stated := _date_time(frame, _text(frame, keyword))) is not None:
            return stated
    return _moment(_text(frame, "AcquisitionDate"), _text(frame, "AcquisitionTime"))


def _date_time(frame: Frame, text: str) -> datetime | None:
    """Read a date and time; one with an offset from UTC is brought to the offset of the other times."""
    offset = OFFSET.search(text)
    plain = OFFSET.sub("", text)
    moment = _moment(plain[:8], plain[8:])
    own, other = (
        _zone(each) for each in (offset[0] if offset else "", _text(frame, "TimezoneOffsetFromUTC"))
    )
    if moment is None or own is None or other is None:
        return moment
    return moment.replace(tzinfo=own).astimezone(other).replace(tzinfo=None)


def _zone(text: str) -> timezone | None:
    match = OFFSET.search(text)
    if not match:
        return None
    sign = -1 if match[1] == "-" else 1
    offset = sign * timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(offset) if abs(offset) < DAY else None


def _moment(date: str, time: str) -> datetime | None:
    day, clock = DATE.fullmatch(date), TIME.fullmatch(time)
    if not day or not clock:
        return None
    hour, minute, second = (int(each or 0) for each in clock.groups()[:3])
    whole = f"{''.join(day.groups())}{hour:02}{minute:02}{min(second, 59):02}"  # 60 is a leap second
    try:
        moment = datetime.strptime(whole, "%Y%m%d%H%M%S")  # noqa: DTZ007 - local clock times, without a zone
    except ValueError:
        return None
    return moment + timedelta(microseconds=int((clock[4] or "0").ljust(6, "0")))


def _clock(moment: datetime) -> bool:
    """Say whether a time of day is another one than midnight."""
    return (moment.hour, moment.minute, moment.second) != (0, 0, 0)


def _text(source: Frame | Dataset, keyword: str) -> str:
    return _known(attributes.text, source, keyword) or ""


def _number(source: Frame | Dataset, keyword: str) -> float | None:
    value: float | None = _known(attributes.number, source, keyword)
    return value


def _private_text(frame: Frame, group: int, creator: str, offset: int) -> str:
    value = _known(attributes.private, frame, group, creator, offset)
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    return "" if value is None else str(value).strip("\0 ")


def _known(read: Callable[..., Any], *what: Any) -> Any:
    """Read an attribute; what is malformed counts as not there."""
    try:
        return read(*what)
    except MalformedAttributeError:
        return None
