"""The size of a pixel of a projection: its value, the plane in which it holds, and what told it."""

from __future__ import annotations

import json

import pytest

import data
from handlers.errors import MalformedAttributeError
from handlers.pixel_scale import described_scale, pixel_scale
from runs import process
from triage_cases import header, volume


def scale(modality="DX", **attributes):
    return pixel_scale(projection(modality, **attributes).frames[0])


def projection(modality="DX", **attributes):
    plain = {"PixelSpacing": None, "ImageOrientationPatient": None}
    return volume(modality, slices=1, **{**plain, **attributes})


BOTH = {"PixelSpacing": [0.15, 0.1], "ImagerPixelSpacing": [0.3, 0.2]}
SAME = {"PixelSpacing": [0.3, 0.2], "ImagerPixelSpacing": [0.3, 0.2]}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        # (row, column) in the header; (column, row), plane, source, calibration expected
        ({**BOTH, "PixelSpacingCalibrationType": "FIDUCIAL"}, (0.1, 0.15, "patient", "PixelSpacing", "FIDUCIAL")),
        ({**BOTH, "PixelSpacingCalibrationType": "GEOMETRY"}, (0.1, 0.15, "patient", "PixelSpacing", "GEOMETRY")),
        ({**SAME, "PixelSpacingCalibrationType": "GEOMETRY"}, (0.2, 0.3, "patient", "PixelSpacing", "GEOMETRY")),
        (BOTH, (0.1, 0.15, "patient", "PixelSpacing", "unknown")),
        (SAME, (0.2, 0.3, "detector", "PixelSpacing", "")),
        ({"PixelSpacing": [0.3, 0.2]}, (0.2, 0.3, "", "PixelSpacing", "unknown")),
        ({"ImagerPixelSpacing": [0.3, 0.2]}, (0.2, 0.3, "detector", "ImagerPixelSpacing", "")),
        ({"NominalScannedPixelSpacing": [0.3, 0.2]}, (0.2, 0.3, "detector", "NominalScannedPixelSpacing", "")),
        ({"PixelSpacing": [0, 0]}, (None, None, "", "", "")),
        ({}, (None, None, "", "", "")),
    ],
)  # fmt: skip
def test_the_plane_follows_from_what_is_stated(attributes, expected):
    found = scale(**attributes)
    assert (found.column_mm, found.row_mm, found.plane, found.source, found.calibration) == expected


@pytest.mark.parametrize("modality", ["MG", "DX"])
@pytest.mark.parametrize("stated", [{"ImagerPixelSpacing": [0.3, 0.2]}, SAME])
def test_magnification_brings_the_detector_nearer_the_patient(modality, stated):
    found = scale(modality, EstimatedRadiographicMagnificationFactor=1.25, **stated)
    assert (found.column_mm, found.row_mm) == pytest.approx((0.16, 0.24))
    assert (found.plane, found.magnification) == ("estimated", 1.25)


def test_distances_from_the_source_give_the_magnification():
    found = scale(ImagerPixelSpacing=[0.3, 0.2], DistanceSourceToDetector=1000, DistanceSourceToPatient=800)
    assert (found.column_mm, found.magnification) == (pytest.approx(0.16), 1.25)


@pytest.mark.parametrize("modality", ["CR", "XA", "RF"])
def test_elsewhere_the_magnification_is_told_but_not_applied(modality):
    found = scale(modality, ImagerPixelSpacing=[0.3, 0.2], EstimatedRadiographicMagnificationFactor=1.25)
    assert (found.column_mm, found.plane, found.magnification) == (0.2, "detector", 1.25)


@pytest.mark.parametrize("factor", [0.5, 0, 25])
def test_an_impossible_magnification_counts_for_nothing(factor):
    found = scale(ImagerPixelSpacing=[0.3, 0.2], EstimatedRadiographicMagnificationFactor=factor)
    assert (found.column_mm, found.plane, found.magnification) == (0.2, "detector", None)


def test_calibrated_spacing_is_not_divided_again():
    found = scale(**BOTH, PixelSpacingCalibrationType="GEOMETRY", EstimatedRadiographicMagnificationFactor=2)
    assert (found.column_mm, found.plane, found.magnification) == (0.1, "patient", None)


REGION = {
    "RegionSpatialFormat": 1, "RegionDataType": 1, "PhysicalUnitsXDirection": 3, "PhysicalUnitsYDirection": 3,
    "PhysicalDeltaX": 0.02, "PhysicalDeltaY": -0.03,
}  # fmt: skip


@pytest.mark.parametrize(
    ("regions", "expected"),
    [
        ([REGION], (0.2, 0.3)),  # centimetres; a negative delta runs upwards
        ([REGION, REGION], (0.2, 0.3)),
        ([REGION, {**REGION, "RegionSpatialFormat": 3, "PhysicalDeltaX": 9}], (0.2, 0.3)),  # a spectral curve
        ([REGION, {**REGION, "PhysicalDeltaX": 0.05}], (None, None)),  # two scales in one picture
        ([{**REGION, "PhysicalUnitsXDirection": 4}], (None, None)),  # seconds
        ([], (None, None)),
    ],
)
def test_ultrasound_has_the_scale_that_all_its_pictures_share(regions, expected):
    found = scale("US", SequenceOfUltrasoundRegions=[header(each) for each in regions])
    assert (found.column_mm, found.row_mm) == (pytest.approx(expected) if expected[0] else expected)


def test_malformed_spacing_is_an_error_for_a_step_and_unknown_in_a_report():
    made = projection(ImagerPixelSpacing=["nan", "nan"])
    with pytest.raises(MalformedAttributeError):
        pixel_scale(made.frames[0])
    assert described_scale(made)["value_mm"] is None


def test_tomography_is_described_by_its_geometry_not_here():
    assert described_scale(volume("CT", slices=3)) is None


def test_report_and_sidecar_say_where_the_spacing_holds(tmp_path):
    image = data.projection(
        "MG", imager_pixel_spacing=(0.1, 0.1), EstimatedRadiographicMagnificationFactor=1.25
    )
    result = process([image], tmp_path)
    (described,) = result.report["volumes"]
    expected = {
        "value_mm": [0.08, 0.08],
        "plane": "estimated",
        "source": "ImagerPixelSpacing / magnification",
        "magnification": 1.25,
        "calibration": None,
    }
    assert described["pixel_spacing"] == expected
    assert described["spacing_mm"] == [0.08, 0.08, None]
    sidecar = json.loads((result.folder / "v0.json").read_text())
    assert sidecar["node"]["pixel_spacing"] == expected
    assert "estimated from the magnification" in (result.folder / "report.html").read_text()
