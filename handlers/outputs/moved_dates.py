"""Dates and times of one patient, moved into the past together."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta

from pydicom.dataset import Dataset

from handlers.outputs.confidentiality import table

IMPLAUSIBLE = "DEI-004"
# Dates of the examination itself; the others may lie years away, such as that of a calibration.
OF_THE_EXAMINATION = (
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "ContentDate",
    "AcquisitionDateTime",
    "PerformedProcedureStepStartDate",
)
_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
_TIME = re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?")
_DATE_TIME = re.compile(r"(\d{8})(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?(?:[+-]\d{4})?")


class MovedDates:
    """Moves by a number of days; `note` is told the code and the keyword of what cannot be moved."""

    def __init__(self, days: int, note: Callable[[str, str], None]) -> None:
        self._days = timedelta(days=days)
        self._note = note

    def look_at(self, image: Dataset) -> None:
        """Tell of dates of an image that lie too far apart for one examination."""
        values = [str(image.get(keyword, "") or "")[:8] for keyword in OF_THE_EXAMINATION]
        told = [day for each in values if each >= table()["dates"]["earliest"] and (day := _day(each))]
        if told and (max(told) - min(told)).days > table()["dates"]["max_span_days"]:
            self._note(IMPLAUSIBLE, "span")

    def moved(self, keyword: str, representation: str, value: str) -> str:
        """Return a DA, DT or TM value moved; "" where it has no such form, or is no date of an examination.

        The time of day stays. The offset from UTC goes, as it tells the place. What is refused is
        noted (DEI-004). Source: PS3.15 E.3.6; PS3.5 section 6.2.
        """
        value = value.strip(" \0")
        if representation == "TM":
            return value if not value or _TIME.fullmatch(value) else self._refused(keyword)
        match = _DATE_TIME.fullmatch(value) if representation == "DT" else _DATE.fullmatch(value)
        if not value:
            return ""
        day = _day(value[:8]) if match else None
        if match is None or day is None or value[:8] < table()["dates"]["earliest"]:
            return self._refused(keyword)
        time = (match.group(2) or "") if representation == "DT" else ""
        return f"{day - self._days:%Y%m%d}{time}"

    def _refused(self, keyword: str) -> str:
        self._note(IMPLAUSIBLE, keyword)
        return ""


def _day(text: str) -> date | None:
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    try:
        return date(*(int(part) for part in match.groups()))
    except ValueError:
        return None
