"""Rows of the frame table: classic, multi-frame, and functional groups."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

import data
from handlers import attributes
from handlers.errors import MalformedAttributeError, VolumeError
from handlers.frames import frame_table
from handlers.model import Instance


def instance(dataset, syntax=ExplicitVRLittleEndian) -> Instance:
    size = len(data.file_bytes(dataset))
    return Instance(
        dataset.SOPInstanceUID, dataset.SOPClassUID, syntax, Path("none"), dataset, size, "PixelData"
    )


def test_classic_instance_is_one_frame_without_functional_groups() -> None:
    (frame,) = frame_table([instance(data.ct_series(slices=1)[0])])
    assert (frame.number, dict(frame.functional)) == (1, {})


def test_per_frame_values_are_those_of_their_frame() -> None:
    image = data.enhanced_ct(slices=4, slopes=(1, 2, 3, 4))
    frames = frame_table([instance(image)])
    assert [frame.number for frame in frames] == [1, 2, 3, 4]
    assert [attributes.number(frame, "RescaleSlope") for frame in frames] == [1, 2, 3, 4]
    assert [attributes.numbers(frame, "ImagePositionPatient")[2] for frame in frames] == [-3, -1, 1, 3]


def test_shared_values_hold_for_every_frame() -> None:
    frames = frame_table([instance(data.enhanced_ct(slices=3, spacing=(0.7, 0.4), slope=2))])
    assert {attributes.numbers(frame, "PixelSpacing") for frame in frames} == {(0.7, 0.4)}
    assert {attributes.number(frame, "RescaleSlope") for frame in frames} == {2.0}


def test_a_per_frame_macro_replaces_the_shared_macro_as_a_whole() -> None:
    image = data.enhanced_ct(slices=2)
    measures = Dataset()
    measures.PixelSpacing = [3, 4]  # and no SliceThickness, which the shared macro has
    image.PerFrameFunctionalGroupsSequence[1].PixelMeasuresSequence = [measures]
    first, second = frame_table([instance(image)])
    assert attributes.number(first, "SliceThickness") == 2.0
    assert attributes.numbers(second, "PixelSpacing") == (3, 4)
    assert attributes.number(second, "SliceThickness") is None


def test_functional_groups_win_over_the_top_level() -> None:
    frames = frame_table([instance(data.enhanced_ct(slices=2, PixelSpacing=[9, 9]))])
    assert attributes.numbers(frames[0], "PixelSpacing") == (1, 1)


def test_a_macro_keeps_all_its_items() -> None:
    image = data.enhanced_mr(slices=1)
    maps = []
    for slope in (0.5, 2.0):
        item = Dataset()
        item.RealWorldValueSlope = slope
        maps.append(item)
    image.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence = maps
    (frame,) = frame_table([instance(image)])
    items = attributes.items(frame, "RealWorldValueMappingSequence")
    assert [item.RealWorldValueSlope for item in items] == [0.5, 2.0]


def test_private_macros_do_not_hide_standard_ones() -> None:
    image = data.enhanced_mr(slices=1)
    item = Dataset()
    item.RescaleSlope = "77"
    image.PerFrameFunctionalGroupsSequence[0].private_block(0x2005, "Vendor", create=True).add_new(
        0x0F, "SQ", [item]
    )
    (frame,) = frame_table([instance(image)])
    assert attributes.number(frame, "RescaleSlope") == 1.0


def test_multi_frame_without_groups_has_numbered_frames() -> None:
    image = data.secondary_capture(NumberOfFrames=3)
    image.PixelData *= 3
    assert [frame.number for frame in frame_table([instance(image)])] == [1, 2, 3]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
@pytest.mark.parametrize("claim", ["100000", "2147483647", "0", "-1"])
def test_absurd_number_of_frames_is_refused_before_rows_are_made(syntax, claim: str) -> None:
    image = instance(data.secondary_capture(NumberOfFrames=claim), syntax)
    with pytest.raises(VolumeError) as raised:
        frame_table([replace(image, size_bytes=5000)])
    assert raised.value.code == "ING-008"


def test_value_that_cannot_be_converted_is_malformed_for_its_frame_alone() -> None:
    image = data.enhanced_ct(slices=2)
    position = image.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0]
    tag = BaseTag(0x00200032)
    position[tag] = RawDataElement(tag, "QQ", 4, b"1\\2 ", 0, is_implicit_VR=False, is_little_endian=True)
    first, second = frame_table([instance(data.enhanced_ct(slices=2)), replace_header(image)])[0::3]
    assert attributes.numbers(first, "ImagePositionPatient") is not None
    with pytest.raises(MalformedAttributeError):
        attributes.numbers(second, "ImagePositionPatient")


def test_macro_that_is_no_sequence_makes_the_instance_unusable() -> None:
    image = data.enhanced_ct(slices=2)
    tag = BaseTag(0x00209113)
    group = image.PerFrameFunctionalGroupsSequence[1]
    group[tag] = RawDataElement(tag, "QQ", 4, b"what", 0, is_implicit_VR=False, is_little_endian=True)
    with pytest.raises(VolumeError) as raised:
        frame_table([replace_header(image)])
    assert raised.value.code == "ING-013"


def replace_header(dataset) -> Instance:
    """An instance of a data set that can no longer be written."""
    return Instance(
        dataset.SOPInstanceUID, dataset.SOPClassUID, "", Path("none"), dataset, 10**6, "PixelData"
    )
