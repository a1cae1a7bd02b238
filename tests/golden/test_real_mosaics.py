"""Real Siemens mosaics, taken apart: beside the scan protocol in their own headers, and beside dcm2niix."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.nicom import csareader

from handlers.model import Series, Volume
from handlers.normalization.stored_values import decode_stored_values
from handlers.reading import series_from_files
from handlers.volumes import split

SHARED = Path(__file__).parents[3] / "shared" / "data"
GROUPS = ("mr_mosaic_ep2d", "mr_12bit_mosaic")
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="real data is not present")


def read(group: str) -> Series:
    (series,), _ = series_from_files((SHARED / group).iterdir())
    return split(series)


def protocol(volume: Volume) -> dict[str, float]:
    """Return the numbers of the scan protocol (MrPhoenixProtocol or MrProtocol) of the CSA series header."""
    header = volume.frames[0].instance.header
    tags = csareader.read(header.private_block(0x0029, "SIEMENS CSA HEADER")[0x20].value)["tags"]
    text = (tags.get("MrPhoenixProtocol") or tags["MrProtocol"])["items"][0]
    numbers = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        try:
            numbers[name.strip()] = float(value)
        except ValueError:
            continue
    return numbers


@pytest.mark.parametrize("group", GROUPS)
def test_slices_lie_where_the_scan_protocol_put_them(group: str) -> None:
    """The protocol has the centre of each slice, from which the header of the sheet was not made by us."""
    series = read(group)
    for volume in series.volumes:
        told = protocol(volume)
        assert len(volume.frames) == told["sSliceArray.lSize"]
        affine = volume.geometry.affine
        rows, columns = (volume.frames[0].functional[each] for each in ("Rows", "Columns"))
        for index in range(len(volume.frames)):
            centre = affine @ [columns / 2, rows / 2, index, 1]
            names = (f"sSliceArray.asSlice[{index}].sPosition.d{axis}" for axis in ("Sag", "Cor", "Tra"))
            assert centre[:3] == pytest.approx([told.get(name, 0.0) for name in names], abs=0.01)


@pytest.mark.parametrize("group", GROUPS)
def test_values_and_affine_are_those_of_dcm2niix(group: str, tmp_path: Path) -> None:
    program = shutil.which("dcm2niix")
    if program is None:
        pytest.skip("dcm2niix is not installed")
    volumes = read(group).volumes
    files = {instance.path for volume in volumes for instance in volume.instances}
    (tmp_path / "in").mkdir()
    for path in files:
        shutil.copy(path, tmp_path / "in")
    subprocess.run(
        [program, "-p", "n", "-z", "n", "-b", "n", "-o", tmp_path, tmp_path / "in"], check=True, timeout=60
    )
    (converted,) = tmp_path.glob("*.nii")
    other = nib.as_closest_canonical(nib.load(converted))
    theirs = other.get_fdata().reshape(*other.shape[:3], -1)
    assert theirs.shape[3] == len(volumes)
    for index, volume in enumerate(volumes):
        decoded = decode_stored_values(volume)
        image = nib.Nifti1Image(decoded.values.T.astype(np.int32), LPS_TO_RAS @ decoded.geometry.affine)
        ours = nib.as_closest_canonical(image)
        assert ours.affine == pytest.approx(other.affine, abs=1e-3)
        assert np.array_equal(ours.get_fdata(), theirs[..., index])
