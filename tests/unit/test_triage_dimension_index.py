"""The dimension index of a multi-frame object against the positions of its frames."""

from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from handlers.geometry import DUPLICATE_MM
from handlers.model import Severity, Volume
from handlers.triage.dimension_index import dimension_index
from triage_cases import codes, only, series, volume

IN_STACK = 0x00209057
STACK_ID = 0x00209056


def multi_frame(numbers, *, pointers=(), values=None) -> Volume:
    """One object of as many frames, 2 mm apart, with these In-Stack Position Numbers along the stack."""
    stack = volume("CT", slices=len(numbers))
    one = stack.frames[0].instance
    one.header.DimensionIndexSequence = []
    for pointer in pointers:
        item = Dataset()
        item.DimensionIndexPointer = pointer
        one.header.DimensionIndexSequence.append(item)
    frames = []
    for k, (frame, number) in enumerate(zip(stack.frames, numbers, strict=True)):
        place = {"ImagePositionPatient": list(frame.instance.header.ImagePositionPatient)}
        own = {"InStackPositionNumber": number} if number is not None else {}
        own |= {"DimensionIndexValues": values[k]} if values else {}
        frames.append(replace(frame, instance=one, number=k + 1, functional={**place, **own}))
    return replace(stack, frames=tuple(frames))


@pytest.mark.parametrize("numbers", [(1, 2, 3, 4), (4, 3, 2, 1), (1, 3, 7, 8), (2, 1)])
def test_an_index_that_goes_with_the_positions_is_fine(numbers):
    assert dimension_index(series(multi_frame(numbers))) == []


@pytest.mark.parametrize("numbers", [(1, 3, 2, 4), (1, 1, 1, 1), (1, 2, 2, 3)])
def test_an_index_in_another_order_than_the_positions_is_told(numbers):
    finding = only(dimension_index(series(multi_frame(numbers))))
    assert (finding.code, finding.severity) == ("GEO-021", Severity.WARN)
    assert finding.evidence["indices"] == list(numbers)


def test_the_dimension_that_points_to_the_place_counts_and_no_other():
    pointers = (STACK_ID, IN_STACK)
    right = multi_frame((1, 2, 3), pointers=pointers, values=[[9, 1], [5, 2], [7, 3]])
    wrong = multi_frame((1, 2, 3), pointers=pointers, values=[[1, 1], [1, 3], [1, 2]])
    assert dimension_index(series(right)) == []
    assert codes(dimension_index(series(wrong))) == ["GEO-021"]


def test_frames_without_an_index_and_single_frame_objects_say_nothing():
    assert dimension_index(series(multi_frame((1, None, 2, 3)))) == []
    assert dimension_index(series(volume("CT", slices=5))) == []


def test_values_that_are_too_few_for_their_dimensions_leave_the_number_in_the_stack():
    pointers = (STACK_ID, IN_STACK)
    made = multi_frame((1, 3, 2), pointers=pointers, values=[[1], [2], [3]])
    assert only(dimension_index(series(made))).evidence["indices"] == [1, 3, 2]


@pytest.mark.parametrize(("gap", "expected"), [(DUPLICATE_MM, ["GEO-021"]), (DUPLICATE_MM * 0.99, [])])
def test_frames_are_at_one_place_below_the_distance_of_duplicates(gap, expected):
    made = multi_frame((2, 1, 3))
    places = (0.0, gap, 4.0)
    frames = tuple(
        replace(frame, functional={**frame.functional, "ImagePositionPatient": [0.0, 0.0, place]})
        for frame, place in zip(made.frames, places, strict=True)
    )
    assert codes(dimension_index(series(replace(made, frames=frames)))) == expected
