"""RT structures on the grid of a volume: boxes of known corners, holes, gaps, planes in any direction."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

import data
from handlers.api import Recipe
from handlers.normalization.labels import PlaceLabels
from handlers.normalization.pipeline import to_canonical, to_modality_units
from handlers.preprocess import preprocess
from handlers.reading import read_instance, series_from_files
from handlers.volumes import split

SHAPE = {"slices": 20, "rows": 32, "columns": 28, "spacing": (1.0, 1.0), "step_mm": 1.5}
PLANES = [-14.25 + 1.5 * index for index in range(20)]  # where the slices lie, mm


def rectangle(z, half_x, half_y, axes="xyz", centre=(0.0, 0.0)):
    """Corners of a rectangle, around the body axis unless `centre` says otherwise; `axes` says which directions its plane has."""
    corners = [(-half_x, -half_y), (half_x, -half_y), (half_x, half_y), (-half_x, half_y)]
    places = [dict(zip(axes, (u + centre[0], v + centre[1], z), strict=True)) for u, v in corners]
    return [value for each in places for value in (each["x"], each["y"], each["z"])]


def structure_set(images, structures, frame_of_reference=None):
    """An RTSTRUCT with the contours (flat lists of coordinates) of each structure."""
    first = images[0]
    result = Dataset()
    result.file_meta = FileMetaDataset()
    result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    result.file_meta.MediaStorageSOPClassUID = result.SOPClassUID = RTStructureSetStorage
    result.file_meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID = data.uid("structures")
    result.StudyInstanceUID, result.SeriesInstanceUID = first.StudyInstanceUID, data.uid("structure series")
    result.Modality, result.PatientID, result.PatientName = "RTSTRUCT", first.PatientID, first.PatientName
    frame = frame_of_reference or first.FrameOfReferenceUID
    series, study, named = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = first.SeriesInstanceUID
    study.RTReferencedSeriesSequence, named.RTReferencedStudySequence = [series], [study]
    named.FrameOfReferenceUID = frame
    result.ReferencedFrameOfReferenceSequence = [named]
    rois, drawn, observed = [], [], []
    for number, contours in structures.items():
        roi, item, observation = Dataset(), Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, "secret name", frame
        item.ReferencedROINumber = observation.ReferencedROINumber = number
        observation.RTROIInterpretedType = "ORGAN"
        item.ContourSequence = []
        for points in contours:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(points) // 3
            contour.ContourData = [f"{value:.4f}" for value in points]
            item.ContourSequence.append(contour)
        rois.append(roi)
        drawn.append(item)
        observed.append(observation)
    result.StructureSetROISequence, result.ROIContourSequence = rois, drawn
    result.RTROIObservationsSequence = observed
    return result


@pytest.fixture
def images():
    return data.ct_series(**SHAPE)


def placed(images, structures, folder, recipe=Recipe(), **options):  # noqa: B008 - frozen
    (series,), _ = series_from_files(data.write(images, folder / "ct"))
    (volume,) = split(series).volumes
    volume = to_canonical(to_modality_units(volume), recipe)
    folder.joinpath("rt").mkdir()
    path = folder / "rt" / "rt.dcm"
    structure_set(images, structures, **options).save_as(path, enforce_file_format=True)
    return PlaceLabels((read_instance(path),))(volume)


def centres(volume):
    k, j, i = np.indices(volume.values.shape)
    return np.moveaxis(np.stack([i, j, k], axis=-1) @ volume.affine[:3, :3].T + volume.affine[:3, 3], -1, 0)


def codes(volume):
    return [each.code for each in volume.findings if each.code.startswith(("NRM-LBL", "GEO"))]


@pytest.mark.parametrize(
    "recipe",
    [Recipe(), Recipe(orientation="PIR"), Recipe(spacing_mm=(0.7, 0.8, 1.1)), Recipe(spacing_mm=(2, 2, 4))],
)
def test_a_box_fills_the_voxels_whose_centres_it_holds(images, tmp_path, recipe):
    box = [rectangle(z, 6.13, 9.27, centre=(3.0, -2.0)) for z in PLANES[4:12]]  # to left and front
    result = placed(images, {7: box}, tmp_path, recipe)
    (labels,) = result.companions
    x, y, z = centres(result)
    low, high = PLANES[4] - 0.75, PLANES[11] + 0.75  # each plane stands for half the way to the next
    expected = (abs(x - 3) < 6.13) & (abs(y + 2) < 9.27) & (z > low) & (z < high)
    unclear = (abs(z - low) < 1e-3) | (abs(z - high) < 1e-3)  # a centre exactly on the end belongs to either
    assert np.array_equal((labels.values > 0)[~unclear], expected[~unclear])
    assert labels.facts["segments"][0]["ROINumber"] == 7
    assert "secret" not in str(labels.facts)


def test_planes_that_are_not_those_of_the_slices_are_understood(images, tmp_path):
    """Contours drawn on coronal planes, 2 mm apart."""
    box = [rectangle(y, 5.3, 7.1, axes="xzy") for y in (-4.0, -2.0, 0.0, 2.0)]
    result = placed(images, {1: box}, tmp_path)
    x, y, z = centres(result)
    expected = (abs(x) < 5.3) & (abs(z) < 7.1) & (y > -5.0) & (y < 3.0)
    assert np.array_equal(result.companions[0].values > 0, expected)


def test_a_contour_inside_another_is_a_hole(images, tmp_path):
    drawn = [contour for z in PLANES for contour in (rectangle(z, 8.2, 8.2), rectangle(z, 3.3, 3.3))]
    result = placed(images, {1: drawn}, tmp_path)
    x, y, _ = centres(result)
    expected = (abs(x) < 8.2) & (abs(y) < 8.2) & ~((abs(x) < 3.3) & (abs(y) < 3.3))
    assert np.array_equal(result.companions[0].values > 0, expected)


def test_a_plane_that_was_not_drawn_stays_empty(images, tmp_path):
    drawn = [rectangle(z, 5.2, 5.2) for index, z in enumerate(PLANES[2:14]) if index not in (5, 6)]
    labels = placed(images, {1: drawn}, tmp_path).companions[0].values
    filled = np.flatnonzero(labels.any(axis=(1, 2)))
    assert filled.tolist() == [index for index in range(2, 14) if index not in (7, 8)]


def test_one_plane_alone_is_as_thick_as_a_slice(images, tmp_path):
    labels = placed(images, {1: [rectangle(PLANES[6], 5.2, 5.2)]}, tmp_path).companions[0].values
    assert np.flatnonzero(labels.any(axis=(1, 2))).tolist() == [6]


def test_structures_that_overlap_have_files_of_their_own(images, tmp_path):
    outer, inner = ([rectangle(z, half, half) for z in PLANES[3:9]] for half in (8.2, 4.2))
    above = [rectangle(z, 1.2, 1.2) for z in PLANES[14:16]]
    result = placed(images, {10: outer, 20: inner, 30: above}, tmp_path)
    assert [each.name for each in result.companions] == ["labels1", "labels1_segment2"]
    assert set(np.unique(result.companions[0].values)) == {0, 1, 3}


def test_another_frame_of_reference_is_left_out_and_told(images, tmp_path):
    box = {1: [rectangle(PLANES[6], 5.2, 5.2)]}
    result = placed(images, box, tmp_path, frame_of_reference=data.uid("elsewhere"))
    assert (codes(result), result.companions) == (["GEO-013"], ())


@pytest.mark.parametrize(
    "contours",
    [
        [[0, 0, 0, 1, 1, 0]],  # two points
        [[0, 0, 0, 1, 1, 0, 2, 2, 0]],  # on a line
        [rectangle(0, 5, 5), rectangle(0, 5, 5, axes="xzy")],  # planes that cross
    ],
)
def test_contours_that_are_no_stack_are_told_and_left_out(images, tmp_path, contours):
    result = placed(images, {1: contours}, tmp_path)
    assert (codes(result), result.companions) == (["NRM-LBL-002"], ())


def test_structures_of_the_study_are_written_where_the_profile_asks(images, tmp_path):
    folder = tmp_path / "in"
    data.write(images, folder)
    box = {1: [rectangle(z, 6.2, 6.2) for z in PLANES]}
    structure_set(images, box).save_as(folder / "rt.dcm", enforce_file_format=True)
    found, _ = series_from_files(sorted(folder.iterdir()))
    series = next(each for each in found if len(each.instances) > 1)
    preprocess(series, tmp_path / "out", Recipe(labels=True))
    assert (tmp_path / "out" / "v0_labels1.nii.gz").is_file()
