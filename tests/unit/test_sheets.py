"""Sheets of tiled slices: taken apart to known corners and values, or held with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

import data
import tiled_images
from handlers.model import Series, Severity, Verdict
from handlers.normalization.stored_values import decode_stored_values
from handlers.preprocess import preprocess
from handlers.reading import series_from_files
from handlers.volumes import split
from tiled_images import BETWEEN_MM, COLUMN, CORNER, ROW, SPACING, grid, mosaic, slices

NORMAL = np.cross(ROW, COLUMN)
KINDS = {"SPL-007": mosaic, "SPL-008": grid}


def read(tmp_path: Path, images) -> Series:
    data.write(images, tmp_path)
    (found,), _ = series_from_files(tmp_path.iterdir())
    return split(found)


def tiled(series: Series):
    return [each for each in series.findings if each.code in KINDS]


@pytest.mark.parametrize("code", KINDS)
@pytest.mark.parametrize("count", [4, 5, 9])
def test_every_slice_gets_its_place_and_its_values(tmp_path: Path, code: str, count: int) -> None:
    values = slices(count)
    series = read(tmp_path, [KINDS[code](values)])
    (volume,) = series.volumes
    assert volume.geometry.origin == pytest.approx(CORNER)
    assert volume.geometry.slice_step == pytest.approx(BETWEEN_MM * NORMAL)
    assert volume.spacing_mm == pytest.approx((SPACING[1], SPACING[0], BETWEEN_MM))
    assert [frame.tile.number for frame in volume.frames] == list(range(1, count + 1))
    assert np.array_equal(decode_stored_values(volume).values, values)
    (finding,) = tiled(series)
    assert (finding.code, finding.severity) == (code, Severity.WARN)
    assert finding.evidence == {"images": 1, "slices": [count], "split": True}


def test_slices_against_the_normal_of_the_plane_are_put_in_its_order(tmp_path: Path) -> None:
    values = slices(5)
    against = [f"{each:.8f}" for each in -NORMAL]
    (volume,) = read(tmp_path, [mosaic(values, csa={"SliceNormalVector": against})]).volumes
    assert volume.geometry.origin == pytest.approx(CORNER - 4 * BETWEEN_MM * NORMAL)
    assert [frame.tile.number for frame in volume.frames] == [5, 4, 3, 2, 1]
    assert np.array_equal(decode_stored_values(volume).values, values[::-1])


def test_each_sheet_of_a_time_series_is_a_volume_in_the_order_of_its_number(tmp_path: Path) -> None:
    images = [mosaic(slices(4) + number, number=number) for number in range(1, 12)]
    series = read(tmp_path, images[::-1])
    assert [each.split_key for each in series.volumes] == [{"InstanceNumber": n} for n in range(1, 12)]
    assert [decode_stored_values(each).values[0, 0, 0] for each in series.volumes] == list(range(2, 13))
    (finding,) = tiled(series)
    assert finding.evidence == {"images": 11, "slices": [4], "split": True}
    assert "SPL-006" not in {each.code for each in series.findings}


def test_the_number_of_slices_may_stand_in_the_header_of_the_scanner(tmp_path: Path) -> None:
    image = mosaic(slices(5), csa={"NumberOfImagesInMosaic": []})
    image.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 5)
    assert [len(volume.frames) for volume in read(tmp_path, [image]).volumes] == [5]


def test_sidecar_leads_from_each_slice_back_to_its_tile(tmp_path: Path) -> None:
    series = read(tmp_path / "in", [mosaic(slices(5, rows=16, columns=16))])
    outcome = preprocess(series, tmp_path / "out")
    assert outcome.verdict is Verdict.ACCEPT_WARN
    frames = json.loads((tmp_path / "out" / "v0.json").read_text())["node"]["sources"]["frames"]
    assert [(each["index"], each["frame"], each["tile"]) for each in frames] == [
        (index, 1, index + 1) for index in range(5)
    ]


def test_a_single_image_has_no_tile(tmp_path: Path) -> None:
    series = read(tmp_path, data.mr_series(slices=5))
    found = {each.code for each in series.findings}
    assert "SPL-007" not in found
    assert "SPL-008" not in found
    assert {frame.tile for frame in series.volumes[0].frames} == {None}


def without_csa() -> Dataset:
    image = mosaic(slices(4))
    del image[0x0029, 0x1010]
    image.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 4)
    return image


def contradicting() -> Dataset:
    image = mosaic(slices(4))
    image.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 3)
    return image


def damaged() -> Dataset:
    image = mosaic(slices(4))
    image[0x0029, 0x1010].value = image[0x0029, 0x1010].value[:100]
    return image


def of_uih(change) -> Dataset:
    image = grid(slices(4))
    change(image[0x0065, 0x1051].value)
    return image


def turned(items) -> None:
    items[1].ImageOrientationPatient = [1, 0, 0, 0, 0, 1]


HELD = {
    "no CSA header": (without_csa, "SliceNormalVector"),
    "no number": (
        lambda: mosaic(slices(4), csa={"NumberOfImagesInMosaic": []}),
        "NumberOfImagesInMosaic is not stated",
    ),
    "two numbers": (contradicting, "NumberOfImagesInMosaic is 3 and 4"),
    "damaged CSA header": (damaged, "CSA image header cannot be read"),
    "other end": (lambda: mosaic(slices(4), csa={"ProtocolSliceNumber": [3]}), "ProtocolSliceNumber"),
    "other normal": (lambda: mosaic(slices(4), csa={"SliceNormalVector": [1, 0, 0]}), "SliceNormalVector"),
    "no distance": (lambda: mosaic(slices(4), SpacingBetweenSlices=None), "SpacingBetweenSlices"),
    "no spacing": (lambda: mosaic(slices(4), PixelSpacing=None), "PixelSpacing"),
    "no position": (lambda: mosaic(slices(4), ImagePositionPatient=None), "no orientation or no position"),
    "no whole tiles": (lambda: mosaic(slices(4), csa={"NumberOfImagesInMosaic": [9]}), "tiles of one size"),
    "one slice": (lambda: mosaic(slices(4), csa={"NumberOfImagesInMosaic": [1]}), "states 1 slices"),
    "a slice not described": (lambda: of_uih(lambda items: items.pop()), "states 4 slices and describes 3"),
    "a slice without place": (
        lambda: of_uih(lambda items: items[2].pop("ImagePositionPatient")),
        "no ImagePositionPatient",
    ),
    "a slice turned": (lambda: of_uih(turned), "other orientations"),
}


@pytest.mark.parametrize("name", HELD)
def test_a_sheet_that_does_not_say_where_its_slices_lie_is_held_whole(tmp_path: Path, name: str) -> None:
    make, reason = HELD[name]
    series = read(tmp_path, [make()])
    (volume,) = series.volumes
    assert volume.geometry is None
    assert len(volume.frames) == 1
    (finding,) = tiled(series)
    assert (finding.severity, finding.target) == (Severity.REVIEW, "v0")
    assert reason in finding.evidence["reason"]
    assert finding.evidence["reason"] in finding.message


def test_sheets_that_are_held_for_one_reason_stay_together(tmp_path: Path) -> None:
    images = [mosaic(slices(4), number=number, SpacingBetweenSlices=None) for number in (1, 2, 3)]
    series = read(tmp_path, images)
    assert [len(volume.frames) for volume in series.volumes] == [3]
    assert len(tiled(series)) == 1


def test_csa_header_of_the_helper_is_what_the_scanner_writes() -> None:
    """The first eight bytes are those of a real header, and the values come back."""
    from handlers import csa

    image = mosaic(slices(4), csa={"MosaicRefAcqTimes": ["0.0", "75.0"]})
    assert csa.image_header(image)["MosaicRefAcqTimes"] == (0.0, 75.0)
    assert csa.image_header(data.mr_series(slices=1)[0]) == {}
    assert tiled_images.csa_bytes({})[:4] == b"SV10"
