"""When the frames of a cine were taken, as FrameIncrementPointer and what it points at tell."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

from pydicom.datadict import keyword_for_tag

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.model import Frame, Volume

RATES = ("CineRate", "RecommendedDisplayFrameRate")  # frames per second; what a viewer is asked to do
EVEN = 1e-3  # relative; steps that differ by less are one step


def frame_times(volume: Volume) -> dict[str, Any] | None:
    """Return the time axis of a multi-frame image without positions; None for all else.

    `source` is the attribute that told it, None when nothing does: then no times are invented. `step_ms` is
    None when the steps differ; `times_ms`, from the first frame on, is there only then. A rate for the
    display counts only where no time is given.

    Source: PS3.3 C.7.6.6.1.1 (FrameIncrementPointer), C.7.6.5 (Cine).
    """
    frames = volume.frames
    if volume.geometry is not None or len(frames) < 2 or len(volume.instances) != 1:
        return None
    try:
        source, times = _times(frames[0], len(frames))
    except MalformedAttributeError:
        source, times = "", []
    if len(times) != len(frames):
        return {"source": None, "step_ms": None, "duration_ms": None}
    steps = [later - earlier for earlier, later in pairwise(times)]
    is_even = max(steps) - min(steps) <= EVEN * max(steps)
    result: dict[str, Any] = {
        "source": source,
        "step_ms": round(times[-1] / len(steps), 4) if is_even else None,
        "duration_ms": round(times[-1], 4),
    }
    return result if is_even else {**result, "times_ms": [round(time, 4) for time in times]}


def _times(frame: Frame, count: int) -> tuple[str, list[float]]:
    pointed = _pointed_at(frame)
    if "FrameTimeVector" in pointed:
        vector = attributes.numbers(frame, "FrameTimeVector") or ()
        if len(vector) == count and min(vector) >= 0 and sum(vector[1:]) > 0:
            return "FrameTimeVector", list(accumulate((0.0, *vector[1:])))
    step = attributes.number(frame, "FrameTime") if not pointed or "FrameTime" in pointed else None
    if step and step > 0:
        return "FrameTime", [step * index for index in range(count)]
    if pointed and not {"FrameTime", "FrameTimeVector"} & set(pointed):
        return "", []  # the frames differ in something else than time
    for keyword in RATES:
        rate = attributes.number(frame, keyword)
        if rate and rate > 0:
            return keyword, [1000.0 / rate * index for index in range(count)]
    return "", []


def _pointed_at(frame: Frame) -> list[str]:
    """Return the keywords of the attributes in which the frames differ."""
    found = []
    for text in attributes.texts(frame, "FrameIncrementPointer") or ():
        digits = text.strip("() ").replace(",", "").replace(" ", "")
        try:
            found.append(keyword_for_tag(int(digits, 16)) or digits)
        except ValueError:
            continue
    return found
