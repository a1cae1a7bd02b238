"""The time axis of a cine, from FrameIncrementPointer and what it points at."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydicom.uid import UltrasoundMultiFrameImageStorage

from handlers.frame_times import frame_times
from handlers.model import Frame
from triage_cases import multi_frame, volume

TIME, VECTOR, ENERGY = 0x00181063, 0x00181065, 0x00540010


def cine(frames=5, **attributes):
    plain = {"PixelSpacing": None, "ImageOrientationPatient": None, "NumberOfFrames": frames}
    made = volume("US", slices=1, sop_class=UltrasoundMultiFrameImageStorage, **{**plain, **attributes})
    instance = made.frames[0].instance
    return replace(made, frames=tuple(Frame(instance, number) for number in range(1, frames + 1)))


@pytest.mark.parametrize(
    ("attributes", "source", "step", "duration"),
    [
        ({"FrameIncrementPointer": TIME, "FrameTime": 40}, "FrameTime", 40.0, 160.0),
        ({"FrameTime": 40}, "FrameTime", 40.0, 160.0),
        ({"FrameIncrementPointer": VECTOR, "FrameTimeVector": [0, 20, 20, 20, 20], "FrameTime": 99}, "FrameTimeVector", 20.0, 80.0),
        ({"FrameIncrementPointer": TIME, "CineRate": 25}, "CineRate", 40.0, 160.0),
        ({"RecommendedDisplayFrameRate": 50}, "RecommendedDisplayFrameRate", 20.0, 80.0),
        ({"FrameTime": 0, "CineRate": 25}, "CineRate", 40.0, 160.0),
    ],
)  # fmt: skip
def test_even_steps(attributes, source, step, duration):
    assert frame_times(cine(**attributes)) == {"source": source, "step_ms": step, "duration_ms": duration}


def test_uneven_steps_are_listed():
    found = frame_times(cine(4, FrameIncrementPointer=VECTOR, FrameTimeVector=[0, 20, 40, 20]))
    assert found == {
        "source": "FrameTimeVector",
        "step_ms": None,
        "duration_ms": 80.0,
        "times_ms": [0.0, 20.0, 60.0, 80.0],
    }


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"FrameIncrementPointer": ENERGY, "CineRate": 25},  # the frames differ in something else
        {"FrameIncrementPointer": VECTOR, "FrameTimeVector": [0, 20]},  # not one for each frame
        {"FrameIncrementPointer": TIME, "FrameTime": "nan"},
        {"FrameTime": -40},
    ],
)
def test_no_times_are_invented(attributes):
    assert frame_times(cine(**attributes)) == {"source": None, "step_ms": None, "duration_ms": None}


def test_single_images_and_stacks_have_no_time_axis():
    assert frame_times(cine(1, FrameTime=40)) is None
    assert frame_times(multi_frame(volume("MR", slices=5), FrameTime=40)) is None
