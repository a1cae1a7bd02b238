"""The picture of a volume: proportions, directions, grey, and that the same values give the same bytes."""

import io

import numpy as np
import pytest
from PIL import Image

import data
from handlers.model import Verdict
from handlers.outputs import planes, preview
from outcomes import ct_volume, outcome_of


def test_three_planes_have_true_proportions():
    volume = ct_volume(data.ct_series(slices=10, rows=32, columns=48, spacing=(1.0, 0.5), step_mm=3.0))
    shown, _ = planes.planes(volume)
    assert [plane.title for plane in shown] == ["axial", "coronal", "sagittal"]
    extents = [np.multiply(plane.pixels.shape[::-1], plane.pixel_mm) for plane in shown]
    np.testing.assert_allclose(extents, [(24, 32), (24, 30), (32, 30)])


@pytest.mark.parametrize("orientation", ["axial", "sagittal", "coronal"])
def test_a_marker_is_seen_on_its_side_whatever_the_acquisition(orientation):
    datasets = data.ct_series(
        slices=16, rows=16, columns=16, spacing=(1.0, 1.0), step_mm=1.0, orientation=orientation
    )
    volume = ct_volume(datasets)
    values = np.zeros(volume.values.shape, np.int16)
    # Mark what lies left, front and head of the centre, by position alone.
    centre = volume.affine @ [7.5, 7.5, 7.5, 1]
    k, j, i = np.indices(values.shape)
    x, y, z = (
        (volume.affine @ [i.ravel(), j.ravel(), k.ravel(), np.ones(i.size)])[:3] - centre[:3, None]
    ).reshape(3, *values.shape)
    values[(x > 2) & (y < 2) & (z > -2)] = 500
    axial, coronal, sagittal = planes.planes(ct_volume(datasets, values=values))[0]
    assert axial.letters == ("R", "L", "A", "P")
    assert axial.pixels[4, 12] == 255  # front, left of the patient: upper right of the picture
    assert axial.pixels[4, 2] != 255
    assert coronal.letters == ("R", "L", "S", "I")
    assert coronal.pixels[4, 12] == 255  # head, left
    assert coronal.pixels[13, 12] != 255
    assert sagittal.letters == ("A", "P", "S", "I")


def test_ct_is_shown_in_a_soft_tissue_window():
    values = np.zeros((4, 8, 8), np.int16)
    values[:, :, 0], values[:, :, 1], values[:, :, 2] = -160, 240, 40
    shown, scale = planes.planes(ct_volume(values=values))
    axial = shown[0].pixels
    assert (axial[0, 0], axial[0, 1]) == (0, 255)
    assert axial[0, 2] in (127, 128)
    assert "W 400 L 40" in scale.label


def test_a_chest_is_shown_in_a_lung_window():
    values = np.full((8, 32, 32), 40, np.int16)
    values[:, 8:24, 6:14] = -850
    values[:, 8:24, 18:26] = -820
    assert "lung" in planes.grey_scale(ct_volume(values=values)).label


def test_air_around_a_body_is_not_taken_for_lung():
    values = np.full((8, 32, 32), -1000, np.int16)
    values[:, 8:24, 8:24] = 40
    assert "soft tissue" in planes.grey_scale(ct_volume(values=values)).label


def test_padding_has_no_say_in_the_grey_scale():
    values = np.full((4, 16, 16), 100.0, np.float32)
    values[:, 4:12, 4:12] = np.linspace(100, 200, 8 * 8).reshape(8, 8)
    values[:, :2] = -30000
    padding = values == -30000
    scale = planes.grey_scale(ct_volume(values=values, padding=padding, units="1", modality="MR"))
    assert 99 <= scale.low <= 105
    assert 190 <= scale.high <= 200


def test_pet_is_dark_on_white():
    values = np.zeros((4, 16, 16), np.float32)
    values[2, 8, 8] = 1000
    values[2, :4] = 500
    shown, scale = planes.planes(ct_volume(values=values, units="Bq/ml", modality="PT"))
    assert scale.inverted
    assert shown[0].pixels[15, 15] == 255


def test_a_constant_volume_and_nan_do_not_stop_the_picture():
    values = np.full((3, 8, 8), np.nan, np.float32)
    preview.png(ct_volume(values=values, units="1"))
    preview.png(ct_volume(values=np.zeros((3, 8, 8), np.int16), units="1"))


def test_a_projection_is_one_picture_without_letters():
    values = np.zeros((1, 60, 40), np.int16)
    values[0, 10:20] = 1000
    volume = ct_volume(
        values=values,
        padding=None,
        affine=None,
        geometry=None,
        spacing_mm=(0.2, 0.2, None),
        units="1",
        modality="DX",
    )
    (plane,), _ = planes.planes(volume)
    assert plane.letters is None
    assert plane.pixels.shape == (60, 40)


def test_colour_is_shown_as_it_is():
    values = np.zeros((1, 20, 30, 3), np.uint8)
    values[..., 0] = 200
    image = Image.open(
        io.BytesIO(
            preview.png(
                ct_volume(values=values, padding=None, affine=None, geometry=None, units="1", modality="US")
            )
        )
    )
    assert image.getpixel((image.width // 2, image.height // 2)) == (200, 0, 0)


def test_a_held_volume_has_a_picture_and_a_refused_one_none(tmp_path):
    (product,) = preview.write(outcome_of(ct_volume(), verdicts=(Verdict.QUARANTINE,)), tmp_path)
    assert product.path.name == "v0.png"
    assert preview.write(outcome_of(ct_volume(index=1), verdicts=(Verdict.REJECT,)), tmp_path) == []


def test_the_same_values_give_the_same_picture():
    assert preview.png(ct_volume()) == preview.png(ct_volume())


def test_the_header_has_no_say_in_the_picture():
    named = data.ct_series(
        slices=6, rows=32, columns=24, PatientName="Someone^Else", SeriesDescription="other"
    )
    assert preview.png(ct_volume(named)) == preview.png(ct_volume())
