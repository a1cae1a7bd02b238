"""Segmentations on the grid of a volume: in patient space, by nearest neighbour, in one frame of reference."""

from __future__ import annotations

import highdicom as hd
import numpy as np
import pytest
from pydicom.sr.codedict import codes

import data
from handlers.api import Recipe
from handlers.normalization.labels import PlaceLabels
from handlers.normalization.pipeline import to_canonical, to_modality_units
from handlers.preprocess import preprocess
from handlers.reading import read_instance, series_from_files
from handlers.volumes import split
from node import child
from node.config import Config
from node.processing import SeriesWork
from registered import Node

SHAPE = {"slices": 20, "rows": 32, "columns": 28, "spacing": (1.0, 1.0), "step_mm": 1.5}
WATER, BONE = 1, 2


def described(number):
    return hd.seg.SegmentDescription(
        number,
        f"secret label {number}",
        codes.SCT.Tissue,
        codes.SCT.Bone,
        hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )


def materials(images):
    """What the phantom is made of at each pixel of these slices, from their stated positions."""
    found = []
    for each in images:
        plane = data.Plane(
            tuple(map(float, each.ImagePositionPatient)),
            tuple(map(float, each.ImageOrientationPatient[:3])),
            tuple(map(float, each.ImageOrientationPatient[3:])),
        )
        spacing = tuple(map(float, each.PixelSpacing))
        found.append(data.Phantom(28.0).material(plane.points(each.Rows, each.Columns, spacing)))
    return np.stack(found)


def segmentation(images, masks, **overrides):
    """A SEG with one segment for each mask (slices, rows, columns)."""
    for each in images:  # what highdicom copies from its sources
        each.setdefault("AccessionNumber", "")
        each.setdefault("ReferringPhysicianName", "")
    seg = hd.seg.Segmentation(
        images,
        np.stack(masks, axis=-1).astype(np.uint8),
        hd.seg.SegmentationTypeValues.BINARY,
        [described(number) for number in range(1, len(masks) + 1)],
        data.uid("seg series"), 900, data.uid("seg", len(masks)), 1, "test", "test", "1", "1",
    )  # fmt: skip
    for keyword, value in overrides.items():
        setattr(seg, keyword, value)
    return seg


@pytest.fixture
def images():
    return data.ct_series(**SHAPE, field_mm=28.0)


def volume_and(segs, images, folder, recipe=Recipe()):  # noqa: B008 - frozen
    """The volume in canonical form, and the instances of the segmentations."""
    (series,), _ = series_from_files(data.write(images, folder / "ct"))
    (volume,) = split(series).volumes
    instances = [read_instance(path) for path in data.write(segs, folder / "seg")]
    return to_canonical(to_modality_units(volume), recipe), tuple(instances)


def expected_labels(volume, images, numbers):
    """Label of the nearest pixel of the images at the centre of each voxel of the volume."""
    origin = np.array(images[0].ImagePositionPatient, float)
    k, j, i = np.indices(volume.values.shape)
    points = np.stack([i, j, k], axis=-1) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    at = np.floor((points - origin + 1e-4) / [1.0, 1.0, 1.5] + 0.5).astype(int)  # ties: left, back, head
    inside = ((at >= 0) & (at < [28, 32, 20])).all(axis=-1)
    x, y, z = (np.clip(at[..., axis], 0, top - 1) for axis, top in enumerate((28, 32, 20)))
    return np.where(inside, numbers[z, y, x], 0)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(orientation="RAS"),
        Recipe(spacing_mm=(0.7, 0.7, 0.7)),
        Recipe(spacing_mm=(2.0, 2.0, 3.0), orientation="PIR"),
    ],
)
def test_every_voxel_has_the_label_that_its_centre_lies_in(images, tmp_path, recipe):
    made_of = materials(images)
    seg = segmentation(images, [made_of == WATER, made_of == BONE])
    volume, instances = volume_and([seg], images, tmp_path, recipe)
    (labels,) = PlaceLabels(instances)(volume).companions
    assert labels.values.shape == volume.values.shape
    assert np.array_equal(labels.values, expected_labels(volume, images, made_of))
    counts = {each["number"]: each["voxels"] for each in labels.facts["segments"]}
    assert counts == {n: np.count_nonzero(labels.values == n) for n in (1, 2)}


def test_no_label_is_invented_between_two(images, tmp_path):
    """Segments 1 and 3 touch: linear interpolation would make a 2 between them."""
    half = np.zeros((20, 32, 28), bool)
    half[:, :16] = True
    seg = segmentation(images, [half, np.zeros_like(half), ~half])
    volume, instances = volume_and([seg], images, tmp_path, Recipe(spacing_mm=(0.6, 0.6, 0.6)))
    (labels,) = PlaceLabels(instances)(volume).companions
    assert set(np.unique(labels.values)) == {1, 3}


def test_a_segmentation_of_a_tilted_stack_is_told_and_left_out(tmp_path):
    """Its frames are no upright stack, which the reader of segmentations asks for."""
    images = data.ct_series(**SHAPE, tilt_deg=15.0, field_mm=28.0)
    volume, instances = volume_and([segmentation(images, [materials(images) == BONE])], images, tmp_path)
    result = PlaceLabels(instances)(volume)
    assert result.companions == ()
    assert result.findings[-1].code == "NRM-LBL-002"


def test_the_free_text_of_a_segment_goes_nowhere(images, tmp_path):
    volume, instances = volume_and([segmentation(images, [materials(images) == BONE])], images, tmp_path)
    (labels,) = PlaceLabels(instances)(volume).companions
    assert "secret" not in str(labels.facts)
    assert labels.facts["segments"][0]["meaning"] == codes.SCT.Bone.meaning


def test_a_segment_that_overlaps_has_a_file_of_its_own(images, tmp_path):
    made_of = materials(images)
    seg = segmentation(images, [made_of > 0, made_of == BONE])
    volume, instances = volume_and([seg], images, tmp_path)
    whole, bone = PlaceLabels(instances)(volume).companions
    assert (whole.name, bone.name) == ("labels1", "labels1_segment2")
    assert np.array_equal(whole.values > 0, made_of > 0)
    assert np.array_equal(bone.values, np.where(made_of == BONE, 2, 0))


def test_another_frame_of_reference_is_left_out_and_told_when_the_series_is_meant(images, tmp_path):
    seg = segmentation(images, [materials(images) == BONE], FrameOfReferenceUID=data.uid("elsewhere"))
    volume, instances = volume_and([seg], images, tmp_path)
    result = PlaceLabels(instances)(volume)
    assert result.companions == ()
    assert [each.code for each in result.findings[len(volume.findings) :]] == ["GEO-013"]
    seg.ReferencedSeriesSequence[0].SeriesInstanceUID = data.uid("another series")
    volume, instances = volume_and([seg], images, tmp_path / "other")
    assert PlaceLabels(instances)(volume) is volume


def test_a_segmentation_that_cannot_be_read_is_told(images, tmp_path):
    volume, (instance,) = volume_and([segmentation(images, [materials(images) == BONE])], images, tmp_path)
    instance.path.write_bytes(instance.path.read_bytes()[:-40])
    result = PlaceLabels((instance,))(volume)
    assert result.companions == ()
    assert result.findings[-1].code == "NRM-LBL-002"


def test_labels_are_written_only_where_the_profile_asks(images, tmp_path):
    seg = segmentation(images, [materials(images) == BONE])
    found, _ = series_from_files(data.write([*images, seg], tmp_path / "in"))
    series = next(each for each in found if len(each.instances) > 1)
    assert [label.sop_instance_uid for label in series.labels] == [seg.SOPInstanceUID]
    outcome = preprocess(series, tmp_path / "with", Recipe(labels=True))
    assert "NRM-LBL-001" in {finding.code for finding in outcome.findings}
    assert (tmp_path / "with" / "v0_labels1.nii.gz").is_file()
    preprocess(series, tmp_path / "without", Recipe())
    assert not list((tmp_path / "without").glob("*labels*"))


def test_the_service_hands_the_segmentations_of_the_study_to_the_child(images, tmp_path):
    node = Node(
        tmp_path / "data", {"profile": {"p": {"labels": True}}, "route": [{"name": "r", "profile": "p"}]}
    )
    ct = data.write(images, tmp_path / "ct")
    seg = data.write([segmentation(images, [materials(images) == BONE])], tmp_path / "seg")
    study, uid = str(images[0].StudyInstanceUID), str(images[0].SeriesInstanceUID)
    node.arrive(ct, series=uid, study=study)
    node.arrive(seg, series="1.2.3.4", study=study, Modality="SEG")
    node.repository.complete(uid, "test", {}, node.clock())
    orders = []

    class Runner:
        def run(self, order):
            orders.append(order)
            return child.run(order, Config(profile={"p": {"labels": True}}))

    SeriesWork(node.config, node.repository, Runner(), now=node.clock)(uid, 1)
    node.close()
    assert orders[0].labels == tuple(seg)
    assert (orders[0].out / "v0_labels1.nii.gz").is_file()


def test_a_real_segmentation_lies_on_its_ct(shared_data, tmp_path):
    """The segmentation was made on this CT: same grid, so the frames' own pixels are the answer."""
    folders = ("ct_dcmqi_24x38x3", "seg_dcmqi")
    found, _ = series_from_files(
        [path for name in folders for path in sorted((shared_data / name).iterdir())]
    )
    series = next(each for each in found if each.labels)
    (volume,) = split(series).volumes
    volume = to_canonical(to_modality_units(volume), Recipe())
    (labels,) = PlaceLabels(series.labels)(volume).companions
    # dcmqi's example: the pixels of the CT are the mask itself.
    assert np.array_equal(labels.values > 0, volume.values == 1)
