"""NIfTI files: what another reader finds in them."""

import gzip
import hashlib
import time

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

import data
from handlers.api import Recipe
from handlers.model import Verdict, Volume
from handlers.outputs import nifti
from outcomes import ct_volume, outcome_of

LPS_TO_RAS = np.diag([-1, -1, 1, 1])


def written(volume: Volume, folder, **changes):
    products = nifti.write(outcome_of(volume, **changes), folder)
    return nib.load(folder / "v0.nii.gz"), products


def test_values_and_positions_come_back_as_they_were(tmp_path):
    volume = ct_volume()
    image, _ = written(volume, tmp_path)
    assert image.shape == (24, 32, 6)
    assert image.get_data_dtype() == np.int16
    np.testing.assert_array_equal(np.asarray(image.dataobj), volume.values.transpose(2, 1, 0))
    np.testing.assert_allclose(image.affine, LPS_TO_RAS @ volume.affine, atol=1e-6)
    assert (image.header["sform_code"], image.header["qform_code"]) == (1, 1)
    assert image.header.get_xyzt_units()[0] == "mm"


def test_stored_number_is_the_value(tmp_path):
    written(ct_volume(), tmp_path)
    raw = gzip.decompress((tmp_path / "v0.nii.gz").read_bytes())
    slope, intercept = np.frombuffer(raw[112:120], "<f4")
    assert (slope, intercept) == (1.0, 0.0)
    assert np.frombuffer(raw[108:112], "<f4")[0] == 352
    assert raw[148:228] == bytes(80)  # descrip


@pytest.mark.parametrize("flip", [np.s_[::-1], np.s_[:, ::-1], np.s_[:, :, ::-1]])
def test_a_flipped_view_is_written_in_its_own_order(tmp_path, flip):
    volume = ct_volume()
    flipped = volume.values[flip]
    image, _ = written(ct_volume(values=flipped), tmp_path)
    np.testing.assert_array_equal(np.asarray(image.dataobj), flipped.transpose(2, 1, 0))


def test_sheared_matrix_is_in_the_sform_alone(tmp_path):
    volume = ct_volume()
    sheared = volume.affine.copy()
    sheared[1, 2] = 0.6
    image, _ = written(ct_volume(affine=sheared), tmp_path)
    np.testing.assert_allclose(image.affine, LPS_TO_RAS @ sheared, atol=1e-6)
    assert image.header["qform_code"] == 0


def test_the_shear_of_rounded_positions_leaves_a_file_that_every_reader_takes(tmp_path):
    sheared = ct_volume().affine.copy()
    sheared[1, 2] = 1.5e-3 * sheared[2, 2]
    image, _ = written(ct_volume(affine=sheared), tmp_path)
    np.testing.assert_allclose(image.affine, LPS_TO_RAS @ sheared, atol=1e-6)
    assert image.header["qform_code"] == 1
    (path,) = tmp_path.rglob("*.nii.gz")
    read = SimpleITK.ReadImage(str(path))  # refuses a matrix that it cannot bring to right angles
    corner = LPS_TO_RAS @ LPS_TO_RAS @ sheared @ [*(np.array(read.GetSize()) - 1.0), 1.0]
    farthest = read.TransformIndexToPhysicalPoint([size - 1 for size in read.GetSize()])
    np.testing.assert_allclose(farthest, corner[:3], atol=0.1)


def test_oblique_volume_has_the_same_sform_and_qform(tmp_path):
    volume = ct_volume(data.ct_series(slices=4, rows=16, columns=16, orientation=data.rotation(5)))
    image, _ = written(volume, tmp_path)
    np.testing.assert_allclose(image.header.get_qform(), image.header.get_sform(), atol=1e-4)
    np.testing.assert_allclose(image.affine, LPS_TO_RAS @ volume.affine, atol=1e-5)


def test_projection_has_its_pixel_size_but_no_place_in_the_patient(tmp_path):
    volume = ct_volume(affine=None, geometry=None, spacing_mm=(0.2, 0.3, None))
    image, _ = written(volume, tmp_path)
    assert (image.header["sform_code"], image.header["qform_code"]) == (0, 0)
    np.testing.assert_allclose(image.header["pixdim"][1:3], (0.2, 0.3), rtol=1e-6)


def test_unknown_spacing_is_never_called_millimetres(tmp_path):
    image, _ = written(ct_volume(affine=None, geometry=None, spacing_mm=(None, None, None)), tmp_path)
    assert image.header.get_xyzt_units()[0] == "unknown"


@pytest.mark.parametrize("verdict", [Verdict.QUARANTINE, Verdict.REJECT])
def test_nothing_is_written_of_a_volume_that_is_not_accepted(tmp_path, verdict):
    assert nifti.write(outcome_of(ct_volume(), verdicts=(verdict,)), tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[[-5, 70]]], np.int32), np.int16),
        (np.array([[[0, 40000]]], np.uint16), np.float32),
        (np.array([[[0, 2**24 + 1]]], np.int32), np.float64),
        (np.array([[[0.5, 2.25]]], np.float32), np.float32),
        (np.array([[[0.5, 2.25]]], np.float64), np.float64),
        (np.array([[[0.5, 2.25]]], np.float16), np.float32),
        (np.array([[[True, False]]]), np.uint8),
    ],
)
def test_number_format_holds_every_value(tmp_path, values, expected):
    volume = ct_volume(values=values)
    image, _ = written(volume, tmp_path)
    assert image.get_data_dtype() == expected
    np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), values)


def test_colour_is_kept_as_red_green_blue(tmp_path):
    values = np.zeros((2, 4, 5, 3), np.uint8)
    values[1, 2, 3] = (10, 20, 30)
    image, _ = written(ct_volume(values=values, affine=None), tmp_path)
    assert image.shape == (5, 4, 2)
    assert tuple(np.asarray(image.dataobj)[3, 2, 1]) == (10, 20, 30)


def test_padding_mask_is_written_when_the_recipe_asks(tmp_path):
    volume = ct_volume()
    padding = volume.values < -900
    products = nifti.write(
        outcome_of(ct_volume(padding=padding), recipe=Recipe(save_padding_mask=True)), tmp_path
    )
    assert [product.kind for product in products] == ["nifti", "padding_mask"]
    mask = np.asarray(nib.load(tmp_path / "v0_padding.nii.gz").dataobj)
    np.testing.assert_array_equal(mask.transpose(2, 1, 0).astype(bool), padding)


def test_product_names_the_file_by_its_content(tmp_path):
    _, (product,) = written(ct_volume(), tmp_path)
    content = (tmp_path / product.path).read_bytes()
    assert product.sha256 == hashlib.sha256(content).hexdigest()
    assert product.size_bytes == len(content)


def test_the_same_values_give_the_same_bytes(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    written(ct_volume(), tmp_path / "a")
    written(ct_volume(), tmp_path / "b")
    first, second = ((tmp_path / name / "v0.nii.gz").read_bytes() for name in "ab")
    assert first == second
    assert first[3:8] == bytes(5)  # no file name, no time


@pytest.mark.slow
def test_a_chest_ct_is_written_within_the_time_of_a_few_slices_on_the_wire(tmp_path):
    generator = np.random.default_rng(1)
    values = np.full((300, 512, 512), -1000, np.int16)
    values[:, 100:400, 100:400] = generator.normal(40, 15, (300, 300, 300)).astype(np.int16)
    volume = ct_volume(values=values)
    outcome = outcome_of(volume)
    started = time.perf_counter()
    nifti.write(outcome, tmp_path)
    assert time.perf_counter() - started < 3  # 0.4 s on an idle core; the rest is for a busy machine
