"""Real stacks beside dcm2niix and highdicom: the same places and values, or the reason why not.

Both read the same files; neither is an oracle. Where they differ, it is written here who is right and why.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from handlers.model import Volume
from handlers.normalization.pipeline import to_modality_units
from handlers.reading import series_from_files
from handlers.volumes import split

SHARED = Path(__file__).parents[3] / "shared" / "data"
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
NEAR_MM = 1e-3

CLASSIC = (
    "ct_dcmqi_24x38x3", "ct_dcmqi_overlap", "ct_ge_missing_slice", "ct_philips_head_5mm", "ct_torchio_ras",
    "mr_ge_anat_explicit", "mr_ge_anat_implicit", "mr_generic_j2k", "mr_generic_jpeg", "mr_generic_jpegls", "mr_generic_rle",
    "mr_genesis_HFP_cor", "mr_hitachi_anat", "mr_non_isotropic", "mr_philips_dti_trace", "mr_philips_fmri", "mr_ge_fmri_4d",
    "mr_mixed_orientation",
)  # fmt: skip
ENHANCED = (
    "ct_dcmqi_legacy_enhanced", "ect_perfusion", "emr_hyperfine", "emr_philips_anat", "emr_philips_dti",
    "emr_siemens_anat", "emr_siemens_xa10_multi",
)  # fmt: skip
TILTED = ("ct_philips_tilt_-18.5", "ct_siemens_gantrytilt", "ct_siemens_tilt_missing_slice")

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="real data is not present")


@cache
def stacks(group: str) -> tuple[Volume, ...]:
    """The volumes of a group that have more than one slice, in modality units."""
    found, _ = series_from_files(sorted(path for path in (SHARED / group).rglob("*") if path.is_file()))
    volumes = [volume for series in found for volume in split(series).volumes]
    made = [to_modality_units(each) for each in volumes if each.geometry is not None and len(each.frames) > 1]
    assert made, f"{group} has no stack"
    return tuple(made)


def by_dcm2niix(volume: Volume, folder: Path) -> list[nib.Nifti1Image]:
    """What dcm2niix makes of the files of a volume, without Philips' precise values (-p n)."""
    if shutil.which("dcm2niix") is None:
        pytest.skip("dcm2niix is not installed")
    source, target = folder / "in", folder / "out"
    source.mkdir(parents=True)
    target.mkdir()
    for number, instance in enumerate(volume.instances):
        shutil.copy(instance.path, source / f"{number:05d}.dcm")
    command = ["dcm2niix", "-p", "n", "-z", "n", "-b", "n", "-o", target, source]
    subprocess.run(command, check=False, timeout=120, capture_output=True)
    return [nib.as_closest_canonical(nib.load(path)) for path in sorted(target.glob("*.nii"))]


def ours(volume: Volume, values: NDArray[Any] | None = None) -> nib.Nifti1Image:
    made = volume.values if values is None else values
    return nib.as_closest_canonical(nib.Nifti1Image(made.astype(np.float64).T, LPS_TO_RAS @ volume.affine))


def measured(volume: Volume) -> NDArray[np.bool_]:
    """Where values are no padding, in the axes of `ours`."""
    padding = np.zeros(volume.values.shape, np.bool_) if volume.padding is None else volume.padding
    return ours(volume, ~padding).get_fdata() > 0


def volumes_of(images: list[nib.Nifti1Image]) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Affine and values of every three-dimensional volume; a fourth axis is taken apart."""
    found = []
    for image in images:
        values = image.get_fdata().reshape(*image.shape[:3], -1)
        found += [(image.affine, values[..., index]) for index in range(values.shape[3])]
    return found


def agrees(volume: Volume, affine: NDArray[np.float64], values: NDArray[np.float64]) -> bool:
    """Say whether a volume of another program has the same place, and the same values outside of padding."""
    image = ours(volume)
    if values.shape != image.shape or np.abs(affine - image.affine).max() > NEAR_MM:
        return False
    tolerance = 1e-5 * max(1.0, float(np.abs(volume.values).max()))
    return bool(np.abs(values - image.get_fdata())[measured(volume)].max() <= tolerance)


@pytest.mark.parametrize("group", [*CLASSIC, *ENHANCED, "emr_philips_b0"])
def test_places_and_values_are_those_of_dcm2niix(group: str, tmp_path: Path) -> None:
    """Padding is compared nowhere: it stays what it is stored as there, and becomes the background here."""
    if group == "mr_generic_jpegls":
        pytest.skip("this dcm2niix has no decoder for JPEG-LS")
    for index, volume in enumerate(stacks(group)):
        theirs = volumes_of(by_dcm2niix(volume, tmp_path / str(index)))
        assert any(agrees(volume, *each) for each in theirs), f"{group} {volume.name}"


@pytest.mark.parametrize("group", TILTED)
def test_slices_of_a_tilted_scan_lie_where_their_headers_say(group: str, tmp_path: Path) -> None:
    """dcm2niix writes the same values, but bends step and pixels of the affine; here both are those of the headers."""
    (volume,) = stacks(group)
    headers = [frame.instance.header for frame in volume.frames]
    step = np.subtract(headers[1].ImagePositionPatient, headers[0].ImagePositionPatient)
    row_mm, column_mm = (float(each) for each in headers[0].PixelSpacing)
    assert volume.affine[:3, 2] == pytest.approx(step, abs=0.01)
    assert np.linalg.norm(volume.affine[:3, :2], axis=0) == pytest.approx([column_mm, row_mm])
    other = next(each for each in by_dcm2niix(volume, tmp_path) if each.shape == ours(volume).shape)
    assert np.array_equal(other.get_fdata(), ours(volume).get_fdata())
    assert np.linalg.norm(np.abs(other.affine[:3, 2]) - np.abs(step)) > 0.03
    assert np.linalg.norm(other.affine[:3, 1]) > 1.03 * row_mm


def test_a_slope_of_a_real_world_value_map_is_no_rescale(tmp_path: Path) -> None:
    """Without RescaleSlope, dcm2niix applies the map's slope, which has no units; displayed values have none of it."""
    volumes = stacks("mr_philips_fmri_temporal")
    (item,) = volumes[0].frames[0].instance.header.RealWorldValueMappingSequence
    theirs = volumes_of(by_dcm2niix(volumes[0], tmp_path))
    slope = float(item.RealWorldValueSlope)
    assert slope == pytest.approx(4.00757, abs=1e-5)
    assert any(
        values.shape == ours(volumes[0]).shape
        and np.allclose(values, slope * ours(volumes[0]).get_fdata(), rtol=1e-5)
        for _, values in theirs
    )


# ---- highdicom


def by_highdicom(volume: Volume) -> highdicom.Volume:
    """The same instances as a volume of highdicom, stored values as they are.

    Where the frame of reference was removed with the identity, any is put in: highdicom asks for one.
    """
    plain = {
        "apply_modality_transform": False,
        "apply_voi_transform": False,
        "apply_real_world_transform": False,
    }
    datasets = [pydicom.dcmread(instance.path, force=True) for instance in volume.instances]
    for dataset in datasets:
        dataset.FrameOfReferenceUID = dataset.get("FrameOfReferenceUID") or "2.25.1"
    if len(datasets) == len(volume.frames):
        return highdicom.get_volume_from_series(datasets, **plain)
    return highdicom.Image.from_dataset(datasets[0], copy=False).get_volume(**plain)


def in_our_axes(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """(slice, row, column) -> LPS becomes (column, row, slice) -> LPS."""
    return affine[:, [2, 1, 0, 3]]


@pytest.mark.parametrize(
    "group", [*CLASSIC, "ct_dcmqi_legacy_enhanced", "emr_hyperfine", "emr_philips_anat", "emr_siemens_anat"]
)
def test_places_and_stored_values_are_those_of_highdicom(group: str) -> None:
    if group == "ct_ge_missing_slice":
        pytest.skip("highdicom makes no volume of slices that are not even")
    from handlers.normalization.stored_values import decode_stored_values

    for volume in stacks(group):
        other = by_highdicom(volume)
        theirs, values = in_our_axes(other.affine), other.array
        if np.dot(theirs[:3, 2], volume.affine[:3, 2]) < 0:  # its slices may run the other way
            theirs[:3, 3] += theirs[:3, 2] * (len(values) - 1)
            theirs[:3, 2] *= -1
            values = values[::-1]
        assert theirs == pytest.approx(volume.affine, abs=NEAR_MM)
        assert np.array_equal(values, decode_stored_values(volume).values)


@pytest.mark.parametrize("group", ["ct_philips_tilt_-18.5", "ct_ge_missing_slice"])
def test_what_highdicom_refuses_is_told_here(group: str) -> None:
    """It makes no volume of slices that lean or have a hole; here the geometry is measured and the finding says so."""
    (volume,) = stacks(group)
    with pytest.raises(ValueError, match="regularly-spaced"):
        by_highdicom(volume)
    assert abs(volume.geometry.shear_deg) > 18 or volume.geometry.missing
