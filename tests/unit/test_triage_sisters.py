"""Ends that a volume lacks and another volume of the same scan has (GEO-015)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from handlers.model import Severity
from handlers.triage.extent import possibly_incomplete
from triage_cases import only, series, volume

STEP = (0.0, 0.0, 2.0)


def phase(index: int, *, first: int = 0, last: int = 20, offset=(0.0, 0.0, 0.0), step=STEP, **attributes):
    places = [tuple(np.add(offset, np.multiply(step, k))) for k in range(first, last)]
    numbers = {"InstanceNumber": lambda k: 100 * index + k + 1}
    return volume("CT", index=index, positions=places, **{**numbers, **attributes})


def test_a_phase_that_lacks_slices_at_both_ends_is_told():
    finding = only(possibly_incomplete(series(phase(0), phase(1, first=1, last=18))))
    assert (finding.code, finding.severity, finding.target) == ("GEO-015", Severity.WARN, "v1")
    assert finding.evidence["sister"] == {"volume": "v0", "slices_before": 1, "slices_behind": 2}
    assert "volume v0 has 1 before the first slice and 2 behind the last one" in finding.message


def test_two_phases_that_each_lack_an_end_are_both_told():
    found = possibly_incomplete(series(phase(0, last=19), phase(1, first=1)))
    told = [
        (each.target, each.evidence["sister"]["slices_before"], each.evidence["sister"]["slices_behind"])
        for each in found
    ]
    assert told == [("v0", 0, 1), ("v1", 1, 0)]


def test_a_tilted_scan_is_compared_along_its_own_step():
    leaning = (0.0, 0.7, 1.9)
    finding = only(possibly_incomplete(series(phase(0, step=leaning), phase(1, step=leaning, last=18))))
    assert finding.evidence["sister"]["slices_behind"] == 2


@pytest.mark.parametrize(
    "other",
    [
        {},  # as long as the first
        {"last": 12},  # planned shorter
        {"last": 18, "offset": (0.0, 0.0, 1.0)},  # slices between those of the first
        {"last": 18, "offset": (30.0, 0.0, 0.0)},  # beside it
        {"last": 18, "step": (0.0, 0.0, 2.1)},
        {"last": 18, "SliceThickness": 5},
        {"last": 18, "FrameOfReferenceUID": "1.2.4"},
        {"last": 18, "ConvolutionKernel": "B80f"},
        {"last": 18, "PixelSpacing": [0.7, 0.7]},
        {"last": 18, "ImageOrientationPatient": [0, 1, 0, -1, 0, 0]},
    ],
)
def test_what_is_no_phase_of_one_scan_is_not_compared(other):
    assert possibly_incomplete(series(phase(0), phase(1, **other))) == []


@pytest.mark.parametrize(
    "other",
    [
        {"last": 16},  # a fifth of the slices, the most that may be missing
        {"last": 18, "offset": (0.15, 0.0, 0.0)},  # less than a tenth of a slice beside it
        {
            "last": 18,
            "step": (0.0, 0.0, 2.01),
        },  # half a percent wider, and within a tenth of a slice at the end
        {"last": 18, "ImageOrientationPatient": [1, 0.0003, 0, -0.0003, 1, 0]},  # the same to three digits
    ],
)
def test_phases_may_differ_a_little(other):
    assert only(possibly_incomplete(series(phase(0), phase(1, **other)))).target == "v1"


def test_the_longest_sister_is_told():
    found = possibly_incomplete(series(phase(0), phase(1, last=19), phase(2, last=17)))
    assert [(each.target, each.evidence["sister"]["volume"]) for each in found] == [
        ("v1", "v0"),
        ("v2", "v0"),
    ]


def test_the_first_image_says_how_it_was_reconstructed():
    other = phase(1, last=18, ConvolutionKernel=lambda k: "B80f" if k == 0 else "B30f")
    assert possibly_incomplete(series(phase(0), other)) == []


def test_a_volume_without_a_place_is_compared_with_none():
    nowhere = replace(phase(2), geometry=None)
    assert only(possibly_incomplete(series(nowhere, phase(0), phase(1, last=18)))).target == "v1"
