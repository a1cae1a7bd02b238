"""Ultrasound: colour, calibrated regions, and cropping to one of them."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.uid import UltrasoundImageStorage, UltrasoundMultiFrameImageStorage

import data
from handlers.api import Recipe
from handlers.errors import VolumeError
from handlers.model import Severity
from handlers.normalization.region import CropToRegion
from handlers.triage import ultrasound
from runs import process
from triage_cases import header, only, series, volume

REGION = {
    "RegionSpatialFormat": 1, "RegionDataType": 1, "PhysicalUnitsXDirection": 3, "PhysicalUnitsYDirection": 3,
    "PhysicalDeltaX": 0.02, "PhysicalDeltaY": 0.03, "RegionLocationMinX0": 8, "RegionLocationMinY0": 10,
    "RegionLocationMaxX1": 39, "RegionLocationMaxY1": 49,
}  # fmt: skip


def picture(*regions, values=None, **attributes):
    plain = {
        "PixelSpacing": None,
        "ImageOrientationPatient": None,
        "PhotometricInterpretation": "MONOCHROME2",
        "SequenceOfUltrasoundRegions": [header(each) for each in regions],
    }
    made = {**plain, **attributes}
    return volume("US", slices=1, sop_class=UltrasoundImageStorage, values=values, **made)


@pytest.mark.parametrize(
    ("attributes", "regions", "severity"),
    [
        ({}, [{**REGION, "RegionDataType": 2}], Severity.WARN),
        ({"UltrasoundColorDataPresent": 1}, [REGION], Severity.WARN),
        ({"PhotometricInterpretation": "RGB"}, [REGION], Severity.INFO),
        ({"PhotometricInterpretation": "YBR_FULL_422", "UltrasoundColorDataPresent": 0}, [], Severity.INFO),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, [], Severity.INFO),
    ],
)
def test_colour_is_told_and_weighs_more_when_it_carries_data(attributes, regions, severity):
    finding = only(ultrasound.colour_ultrasound(series(picture(*regions, **attributes))))
    assert (finding.code, finding.severity) == ("USX-001", severity)


@pytest.mark.parametrize("attributes", [{}, {"UltrasoundColorDataPresent": 0}])
def test_grey_ultrasound_and_other_modalities_in_colour_are_not_told(attributes):
    assert ultrasound.colour_ultrasound(series(picture(REGION, **attributes))) == []
    assert ultrasound.colour_ultrasound(series(volume("CT", PhotometricInterpretation="RGB"))) == []


@pytest.mark.parametrize(
    "regions",
    [
        [],
        [{**REGION, "RegionSpatialFormat": 3}],  # a spectral curve
        [{**REGION, "PhysicalUnitsXDirection": 4}],  # seconds
        [{"RegionSpatialFormat": 1, "PhysicalDeltaX": 0.02}],  # no units
        [{**REGION, "PhysicalDeltaY": "x"}],
    ],
)
def test_ultrasound_without_a_calibrated_picture_is_noted(regions):
    finding = only(ultrasound.uncalibrated_ultrasound(series(picture(*regions))))
    assert (finding.code, finding.severity) == ("USX-002", Severity.INFO)


def test_a_calibrated_region_is_fine():
    assert ultrasound.uncalibrated_ultrasound(series(picture(REGION))) == []


VALUES = np.arange(64 * 48).reshape(1, 64, 48)


def test_cropping_keeps_the_pixels_of_the_region_both_ends_included():
    cropped = CropToRegion(is_wanted=True)(picture(REGION, values=VALUES))
    np.testing.assert_array_equal(cropped.values, VALUES[:, 10:50, 8:40])
    assert cropped.spacing_mm == (pytest.approx(0.2), pytest.approx(0.3), None)
    assert cropped.steps[-1].parameters == {"columns": [8, 39], "rows": [10, 49], "regions": 1}


def test_the_largest_of_several_pictures_is_kept_and_curves_are_passed_over():
    small = {**REGION, "RegionLocationMaxX1": 12, "PhysicalDeltaX": 0.5}
    curve = {**REGION, "RegionSpatialFormat": 3, "RegionLocationMinX0": 0, "RegionLocationMaxX1": 47}
    flow = {**REGION, "RegionDataType": 2, "RegionLocationMaxX1": 47}
    cropped = CropToRegion(is_wanted=True)(picture(small, curve, REGION, flow, values=VALUES))
    assert cropped.values.shape == (1, 40, 32)
    assert cropped.steps[-1].parameters["regions"] == 2
    assert cropped.spacing_mm[0] == pytest.approx(0.2)


def test_a_region_beyond_the_picture_is_cut_off_at_its_edge():
    cropped = CropToRegion(is_wanted=True)(picture({**REGION, "RegionLocationMaxX1": 500}, values=VALUES))
    np.testing.assert_array_equal(cropped.values, VALUES[:, 10:50, 8:])


@pytest.mark.parametrize(
    "regions",
    [
        [],
        [{**REGION, "RegionDataType": 3}],
        [{**REGION, "RegionLocationMaxX1": 8}],
        [{"RegionSpatialFormat": 1}],
    ],
)
def test_a_picture_without_a_usable_region_is_not_passed_on_uncropped(regions):
    with pytest.raises(VolumeError) as raised:
        CropToRegion(is_wanted=True)(picture(*regions, values=VALUES))
    assert raised.value.code == "USX-003"


def test_nothing_is_cropped_unasked_or_in_other_modalities():
    made = picture(REGION, values=VALUES)
    assert CropToRegion()(made) is made
    stack = volume("CT", values=VALUES, slices=1)
    assert CropToRegion(is_wanted=True)(stack) is stack


def ultrasound_file(**attributes):
    image = data.projection("CR", rows=64, columns=48, imager_pixel_spacing=None, Modality="US", **attributes)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = UltrasoundImageStorage
    return image


def test_a_profile_crops_and_the_outputs_have_the_scale_of_the_region(tmp_path):
    image = ultrasound_file(SequenceOfUltrasoundRegions=[header(REGION)])
    result = process([image], tmp_path, Recipe(crop_region=True))
    (described,) = result.accepted
    assert described["shape"] == [32, 40, 1]
    np.testing.assert_allclose(described["spacing_mm"][:2], [0.2, 0.3])
    assert described["pixel_spacing"]["plane"] == "patient"
    np.testing.assert_array_equal(result.values(described)[0], image.pixel_array[10:50, 8:40])


def test_a_profile_that_crops_holds_what_has_no_region(tmp_path):
    result = process([ultrasound_file()], tmp_path, Recipe(crop_region=True))
    assert result.report["verdict"] == "QUARANTINE"
    assert "USX-003" in result.codes


def test_a_cine_is_one_volume_without_a_third_dimension_in_space(tmp_path):
    image = ultrasound_file(FrameTime="40", FrameIncrementPointer=0x00181063)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    image.NumberOfFrames = 5
    image.PixelData = image.PixelData * 5
    (described,) = process([image], tmp_path).report["volumes"]
    assert described["shape"] == [48, 64, 5]
    assert described["orientation"] is None
    assert described["spacing_mm"][2] is None
    assert described["frame_times"] == {"source": "FrameTime", "step_ms": 40.0, "duration_ms": 160.0}
