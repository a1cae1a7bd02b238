"""Real images without identity: nothing of the source is in any byte, and dciodvfy finds no fault that the source had not."""

import shutil
import subprocess

import pydicom
import pytest

from handlers.api import Deidentification, Recipe
from handlers.outputs.pseudonyms import Pseudonyms
from handlers.preprocess import preprocess
from handlers.reading import series_from_files

KEY = b"0123456789abcdef" * 2
GROUPS = (
    "ct_philips_head_5mm",
    "ct_philips_tilt_-18.5",
    "mr_siemens_HFDR_sag",
    "mr_mosaic_ep2d",
    "mr_genesis_HFP_cor",
)
IDENTIFYING = (
    "PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "InstitutionName", "InstitutionAddress", "StationName",
    "ReferringPhysicianName", "DeviceSerialNumber", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID",
    "FrameOfReferenceUID", "PerformedProcedureStepID",
)  # fmt: skip


def processed(shared_data, tmp_path, group):
    """The files of a group, and the images that were made of its first series after a person released it."""
    (tmp_path / "key").write_bytes(KEY)
    how = Deidentification(str(tmp_path / "key"), Pseudonyms(KEY).key_id, ("modified-dates", "safe-private"))
    recipe = Recipe(derived_dicom=True, deidentified_originals=True, deidentification=how, release=True)
    found, _ = series_from_files(
        sorted(path for path in (shared_data / group).rglob("*") if path.is_file())[:20]
    )
    outcome = preprocess(found[0], tmp_path / "out", recipe)
    return (
        [instance.path for instance in found[0].instances],
        sorted((tmp_path / "out").rglob("*.dcm")),
        outcome,
    )


def complaints(path):
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, check=False, timeout=60)
    told = (done.stdout + done.stderr).decode("utf-8", "replace")
    return {line for line in told.splitlines() if line.startswith("Error")}


@pytest.mark.parametrize("group", GROUPS)
def test_nothing_of_the_source_is_in_any_byte(shared_data, tmp_path, group):
    sources, images, _ = processed(shared_data, tmp_path, group)
    secrets = set()
    for path in sources:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        secrets |= {str(header.get(keyword, "") or "") for keyword in IDENTIFYING}
    secrets = {secret.encode() for secret in secrets if len(secret) >= 6} - {
        b"GENESIS_SIGNA"
    }  # a make, not a name
    assert secrets
    assert images
    for path in images:
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret in content]


@pytest.mark.parametrize("group", GROUPS)
def test_dciodvfy_finds_no_fault_that_the_source_had_not(shared_data, tmp_path, group):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    sources, images, _ = processed(shared_data, tmp_path, group)
    before = set().union(*(complaints(path) for path in sources[:3]))
    assert images
    for path in (images[0], images[-1]):
        assert complaints(path) - before == set()
