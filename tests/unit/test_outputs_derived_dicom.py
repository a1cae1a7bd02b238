"""Derived images: what PS3.3 asks for, the values and places of the volume, the same bytes every time."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

import data
from handlers.api import Recipe
from handlers.errors import VolumeError
from handlers.model import AppliedStep, Companion, Severity, Verdict
from handlers.outputs import derived_dicom, derived_image
from handlers.outputs.derived_check import deviations
from handlers.outputs.derived_image import decimal
from handlers.outputs.derived_pixels import encoding
from node import identity
from outcomes import ct_volume, outcome_of
from runs import process
from tiled_images import mosaic

WANTED = Recipe(derived_dicom=True)


def written(tmp_path, volume, **changes):
    tmp_path.mkdir(exist_ok=True)
    products = derived_dicom.write(outcome_of(volume, recipe=WANTED, **changes), tmp_path)
    return [pydicom.dcmread(tmp_path / product.path) for product in products], products


def codes(products):
    return [finding.code for product in products for finding in product.findings]


def mr_volume(**header):
    datasets = data.mr_series(slices=5, rows=16, columns=16, **header)
    values = np.stack([each.pixel_array.astype(np.float32) for each in datasets])
    return ct_volume(datasets, modality="MR", units="1", background=0.0, values=values)


def header_of(images, keyword):
    return {str(image.get(keyword, "absent")) for image in images}


def test_without_the_key_nothing_is_written(tmp_path):
    assert derived_dicom.write(outcome_of(ct_volume()), tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_files_name_the_program_as_the_node_does(tmp_path):
    images, _ = written(tmp_path, ct_volume(data.ct_series(slices=3, rows=8, columns=8)))
    assert images[0].file_meta.ImplementationClassUID == identity.IMPLEMENTATION_CLASS_UID
    assert images[0].file_meta.ImplementationVersionName == identity.IMPLEMENTATION_VERSION_NAME


def test_a_held_volume_is_not_written(tmp_path):
    outcome = outcome_of(ct_volume(), recipe=WANTED, verdicts=(Verdict.QUARANTINE,))
    assert derived_dicom.write(outcome, tmp_path) == []


def test_every_slice_is_an_image_with_the_values_and_the_place_of_the_source(tmp_path):
    datasets = data.ct_series(slices=6, rows=32, columns=24)
    images, products = written(tmp_path, ct_volume(datasets))
    assert codes(products) == ["OUT-001"]
    assert len(images) == len(datasets)
    for image, source in zip(images, datasets, strict=True):
        assert np.array_equal(
            image.pixel_array * int(image.RescaleSlope) + int(image.RescaleIntercept),
            source.pixel_array.astype(int) - 1024,
        )
        assert image.ImagePositionPatient == source.ImagePositionPatient
        assert image.ImageOrientationPatient == source.ImageOrientationPatient
        assert image.PixelSpacing == source.PixelSpacing
        assert [item.ReferencedSOPInstanceUID for item in image.SourceImageSequence] == [
            source.SOPInstanceUID
        ]
        assert image.SourceImageSequence[0].SpatialLocationsPreserved == "YES"
        assert image.StudyInstanceUID == source.StudyInstanceUID
        assert image.FrameOfReferenceUID == source.FrameOfReferenceUID
        assert image.PatientID == source.PatientID


def test_the_series_is_a_new_one_and_says_that_it_is_derived(tmp_path):
    datasets = data.ct_series(slices=3, rows=8, columns=8)
    images, _ = written(tmp_path, ct_volume(datasets))
    sources = {each.SOPInstanceUID for each in datasets}
    assert len({image.SOPInstanceUID for image in images} | sources) == 6
    assert len(header_of(images, "SeriesInstanceUID") | {datasets[0].SeriesInstanceUID}) == 2
    assert header_of(images, "SeriesNumber") == {"9001"}
    assert header_of(images, "SeriesDescription") == {"PHANTOM [prepnode]"}
    assert {tuple(image.ImageType) for image in images} == {("DERIVED", "PRIMARY", "AXIAL")}
    assert [image.InstanceNumber for image in images] == [1, 2, 3]


def test_a_second_run_makes_the_same_bytes_and_another_revision_other_objects(tmp_path):
    volume = ct_volume(data.ct_series(slices=3, rows=8, columns=8))
    first, products = written(tmp_path / "a", volume)
    _, again = written(tmp_path / "b", volume)
    assert [product.sha256 for product in products] == [product.sha256 for product in again]
    outcome = outcome_of(volume, recipe=WANTED)
    later = replace(outcome, series=replace(outcome.series, revision=2))
    (tmp_path / "c").mkdir()
    other = [pydicom.dcmread(tmp_path / "c" / p.path) for p in derived_dicom.write(later, tmp_path / "c")]
    uids = {image.SOPInstanceUID for image in (*first, *other)}
    assert len(uids) == 6
    assert len(header_of((*first, *other), "SeriesInstanceUID")) == 2


def test_nothing_of_the_source_comes_along_that_is_not_on_the_list(tmp_path):
    datasets = data.ct_series(slices=3, rows=8, columns=8, GantryDetectorTilt="12")
    for each in datasets:
        each.private_block(0x0009, "SOMEBODY", create=True).add_new(1, "LO", "secret")
        each.add_new(0x60003000, "OW", b"\1\0")
        each.RescaleType = "US"
        each.ReconstructionTargetCenterPatient = [1.0, 2.0, 3.0]
    images, _ = written(tmp_path, ct_volume(datasets))
    for image in images:
        assert not [element for element in image if element.tag.is_private or element.tag.group >> 8 == 0x60]
        assert "GantryDetectorTilt" not in image
        assert "ReconstructionTargetCenterPatient" not in image
        assert image.RescaleType == "HU"


def test_lossy_history_stays(tmp_path):
    lossy = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "8.5"}
    datasets = data.ct_series(slices=3, rows=8, columns=8, LossyImageCompressionMethod="ISO_10918_1", **lossy)
    images, _ = written(tmp_path, ct_volume(datasets))
    assert header_of(images, "LossyImageCompression") == {"01"}
    assert header_of(images, "LossyImageCompressionRatio") == {"8.5"}
    assert images[0].DerivationCodeSequence[-1].CodeValue == "113040"
    images, _ = written(tmp_path, ct_volume(data.ct_series(slices=3, rows=8, columns=8)))
    assert header_of(images, "LossyImageCompression") == {"absent"}


def test_what_differs_from_slice_to_slice_goes_with_its_slice(tmp_path):
    current = {"XRayTubeCurrent": lambda index: str(100 + index), "KVP": "120"}
    datasets = data.ct_series(slices=4, rows=8, columns=8, **current)
    images, _ = written(tmp_path, ct_volume(datasets))
    assert [image.XRayTubeCurrent for image in images] == [100, 101, 102, 103]
    volume = ct_volume(datasets)
    between = volume.affine.copy()
    between[:3, 3] += between[:3, 2] / 2
    moved = replace(volume, affine=between, steps=(AppliedStep("resample"),))
    images, _ = written(tmp_path, moved)
    assert header_of(images, "XRayTubeCurrent") == {"absent"}
    assert header_of(images, "KVP") == {"120"}
    assert images[1].SourceImageSequence[0].SpatialLocationsPreserved == "NO"
    assert [item.ReferencedSOPInstanceUID for item in images[1].SourceImageSequence] == [
        datasets[1].SOPInstanceUID,
        datasets[2].SOPInstanceUID,
    ]
    assert images[1].DerivationCodeSequence[0].CodeValue == "113085"


def test_the_thickness_is_that_of_the_scanner_until_slices_are_made_anew(tmp_path):
    datasets = data.ct_series(slices=12, rows=32, columns=32, step_mm=1.0, SliceThickness="1.5")
    for recipe, thickness in ((WANTED, 1.5), (replace(WANTED, spacing_mm=(0.0, 0.0, 2.0)), 2.0)):
        (tmp_path / str(thickness)).mkdir()
        result = process(datasets, tmp_path / str(thickness), recipe)
        image = pydicom.dcmread(result.folder / "dicom" / "v0" / "00001.dcm")
        assert float(image.SliceThickness) == pytest.approx(thickness, abs=1e-3)


def test_whole_numbers_of_mr_stay_as_they_are_and_others_get_a_slope(tmp_path):
    images, products = written(tmp_path / "whole", mr_volume())
    assert codes(products) == ["OUT-001"]
    assert "RescaleSlope" not in images[0]
    assert np.array_equal(images[2].pixel_array, mr_volume().values[2])
    volume = mr_volume(RescaleSlope="0.1", RescaleIntercept="0")
    volume = replace(volume, values=volume.values * np.float32(0.3711))
    images, products = written(tmp_path / "scaled", volume)
    assert codes(products) == ["OUT-001"]
    slope = float(images[2].RescaleSlope)
    assert len(str(images[2].RescaleSlope.original_string)) <= 16
    assert np.abs(images[2].pixel_array * slope - volume.values[2]).max() <= slope / 2 * 1.001


def test_mr_that_loses_more_than_half_a_step_says_so(tmp_path):
    volume = mr_volume()
    values = volume.values.copy()
    values[0, 0, 0], values[0, 0, 1] = 1e6, 0.4
    _, products = written(tmp_path, replace(volume, values=values))
    assert codes(products) == ["OUT-001", "OUT-004"]
    fine = replace(volume, values=volume.values + np.float32(0.5))
    _, products = written(tmp_path, fine)
    assert "OUT-004" not in codes(products)


@pytest.mark.parametrize("values", [[0.1, 0.7], [1e-30, 2e-30], [3e8, 1.0], [-5.5, 0.0], [40000.0, 1.0]])
def test_a_slope_reaches_the_largest_value_and_keeps_zero(values):
    array = np.array([[values]], np.float64)
    chosen = encoding(array, "1")
    stored = chosen.stored(array)
    assert abs(int(stored[0, 0, int(np.abs(values).argmax())])) <= 32767
    assert np.abs(stored * float(chosen.slope) - array).max() <= float(chosen.slope) * 0.501
    assert chosen.stored(np.zeros(1))[0] == 0


@given(st.floats(-5000, 5000))
def test_a_decimal_string_is_short_and_gives_the_number_back(value):
    text = decimal(value)
    assert len(text) <= 16
    assert abs(float(text) - value) <= 1e-6 + abs(value) * 1e-9
    assert text != "-0"


@pytest.mark.parametrize(
    ("value", "text"), [(9.999999999999998, "10"), (-1e-17, "0"), (0.48828125, "0.48828125")]
)
def test_a_decimal_string_has_no_noise(value, text):
    assert decimal(value) == text


def test_hu_between_whole_numbers_are_rounded_by_half_at_most(tmp_path):
    volume = ct_volume(data.ct_series(slices=3, rows=8, columns=8))
    volume = replace(volume, values=volume.values + np.float32(0.4))
    images, products = written(tmp_path, volume)
    assert products[0].findings[0].evidence["largest_error"] == pytest.approx(0.4, abs=1e-3)
    assert codes(products) == ["OUT-001"]
    assert np.abs(images[0].pixel_array - volume.values[0]).max() <= 0.5


def test_equipment_of_the_source_stays_and_ours_is_named_once_in_every_image(tmp_path):
    datasets = data.ct_series(slices=4, rows=8, columns=8)
    for each in datasets:
        item = Dataset()
        item.Manufacturer = "Workstation"
        each.ContributingEquipmentSequence = Sequence([item])
    images, _ = written(tmp_path, ct_volume(datasets))
    for image in images:
        assert [item.Manufacturer for item in image.ContributingEquipmentSequence] == [
            "Workstation",
            "prepnode",
        ]


def test_padding_is_told_in_the_new_numbers(tmp_path):
    volume = ct_volume(data.ct_series(slices=3, rows=8, columns=8))
    assert "PixelPaddingValue" not in written(tmp_path, volume)[0][0]
    padding = np.zeros_like(volume.values, bool)
    padding[:, 0, 0] = True
    images, _ = written(tmp_path, replace(volume, padding=padding))
    assert header_of(images, "PixelPaddingValue") == {"-1024"}


def test_scaled_ct_is_written_from_the_hu_that_were_kept(tmp_path):
    volume = ct_volume(data.ct_series(slices=3, rows=8, columns=8))
    kept = Companion("units", volume.values, volume.units, {"background_value": -1024.0})
    scaled = replace(volume, values=np.zeros_like(volume.values, np.float32), units="1", companions=(kept,))
    images, _ = written(tmp_path, scaled)
    assert np.array_equal(images[1].pixel_array, volume.values[1])


def refusal(tmp_path, volume):
    with pytest.raises(VolumeError) as caught:
        written(tmp_path, volume)
    return caught.value.code


def test_what_no_image_of_the_standard_holds_is_refused(tmp_path):
    volume = ct_volume(data.ct_series(slices=3, rows=8, columns=8))
    assert refusal(tmp_path, replace(volume, units="1")) == "OUT-006"
    assert refusal(tmp_path, replace(volume, affine=None)) == "OUT-006"
    assert refusal(tmp_path, replace(volume, modality="PT")) == "OUT-006"
    assert refusal(tmp_path, replace(volume, values=volume.values * np.float32(np.nan))) == "OUT-006"
    assert refusal(tmp_path, replace(volume, values=volume.values.astype(np.int32) * 100)) == "OUT-006"
    sheared = volume.affine.copy()
    sheared[:3, 1] += 0.1 * sheared[:3, 0]
    assert refusal(tmp_path, replace(volume, affine=sheared)) == "OUT-006"


def test_a_series_without_a_frame_of_reference_gets_one_of_its_own(tmp_path):
    datasets = data.ct_series(slices=3, rows=8, columns=8, FrameOfReferenceUID=None)
    images, products = written(tmp_path, ct_volume(datasets))
    assert len(header_of(images, "FrameOfReferenceUID") - {"absent"}) == 1
    assert codes(products) == ["OUT-001"]


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ({"PatientSex": "UNKNOWN"}, "PatientSex has a value that the standard does not list"),
        ({"PatientAge": "0Y"}, "PatientAge is no valid AS"),
        ({"StudyDate": "2026.01.01"}, "StudyDate is no valid DA"),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_a_deviation_of_the_source_is_told_without_its_value(tmp_path, header, told):
    volume = ct_volume(data.ct_series(slices=3, rows=8, columns=8, **header))
    _, products = written(tmp_path, volume)
    (finding,) = products[0].findings
    assert (finding.code, finding.severity) == ("OUT-002", Severity.WARN)
    assert finding.evidence["deviations"] == {told: 3}


def test_the_check_sees_what_is_missing_and_what_was_changed(tmp_path):
    images, products = written(tmp_path, ct_volume(data.ct_series(slices=3, rows=8, columns=8)))
    content = (tmp_path / products[0].path).read_bytes()
    stored = images[0].pixel_array
    assert deviations(content, stored, "CT") == []
    assert deviations(content, stored + 1, "CT") == ["the pixels read back are not those that were written"]
    del images[0].StudyID
    images[0].RescaleSlope = None
    changed = derived_image.part10(images[0])
    assert deviations(changed, stored, "CT") == ["RescaleSlope has no value", "StudyID is missing"]


def complaints(paths):
    """What dciodvfy calls an error; its warnings are about names and defined terms of the source."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    found = set()
    for path in paths:
        done = subprocess.run(
            ["dciodvfy", str(path)], capture_output=True, text=True, check=False, timeout=60
        )
        found |= {line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")}
    return found


@pytest.mark.parametrize(
    ("make", "options", "recipe"),
    [
        (data.ct_series, {}, {}),
        (data.ct_series, {"PatientName": None, "StudyID": None, "KVP": None, "SeriesNumber": None}, {}),
        (data.ct_series, {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jörg"}, {}),
        (data.ct_series, {"LossyImageCompression": "01", "LossyImageCompressionRatio": "8",
                          "LossyImageCompressionMethod": "ISO_10918_1"}, {}),
        (data.ct_series, {"tilt_deg": 12.0}, {}),
        (data.ct_series, {"Laterality": "", "BodyPartExamined": "CHEST"}, {}),
        (data.ct_series, {"Laterality": "L", "BodyPartExamined": "KNEE"}, {}),
        (data.ct_series, {"orientation": "sagittal", "BodyPartExamined": "HEAD"}, {}),
        (data.ct_series, {}, {"spacing_mm": (1.0, 1.0, 1.5)}),
        (data.ct_series, {}, {"intensity": "lung", "keep_units": True}),
        (data.mr_series, {}, {}),
        (data.mr_series, {"InversionTime": "900", "TriggerTime": "12"}, {}),
        (data.mr_series, {"slope": 0.5, "intercept": 0, "orientation": "coronal"}, {}),
        (data.mr_series, {}, {"intensity": "percentile"}),
    ],
)  # fmt: skip
def test_dciodvfy_finds_no_error(tmp_path, make, options, recipe):
    result = process(
        make(slices=12, rows=32, columns=32, step_mm=1.0, **options),
        tmp_path,
        Recipe(derived_dicom=True, **recipe),
    )
    paths = sorted((result.folder / "dicom" / "v0").glob("*.dcm"))
    assert paths
    assert "OUT-001" in result.codes
    assert complaints(paths) == set()


@pytest.mark.parametrize(
    "options", [{}, {"tilt_deg": 15.0}, {"orientation": "sagittal"}, {"orientation": data.rotation(7)}]
)
def test_images_and_nifti_say_the_same_of_every_point(tmp_path, options):
    result = process(
        data.ct_series(slices=16, rows=40, columns=32, step_mm=1.0, **options),
        tmp_path,
        Recipe(derived_dicom=True),
    )
    (volume,) = result.accepted
    images = [pydicom.dcmread(path) for path in sorted((result.folder / "dicom" / "v0").glob("*.dcm"))]
    points, values = result.points(volume), result.values(volume)
    assert len(images) == len(values)
    for index, image in enumerate(images):
        row, column = np.reshape(np.array(image.ImageOrientationPatient, float), (2, 3))
        between_rows, between_columns = image.PixelSpacing
        i, j = np.meshgrid(np.arange(image.Columns), np.arange(image.Rows))
        position = np.array(image.ImagePositionPatient, float)
        told = position + i[..., None] * between_columns * row + j[..., None] * between_rows * column
        assert np.abs(told - points[index]).max() < 0.01  # mm
        assert np.abs(image.pixel_array - values[index]).max() <= 0.5


def test_slices_of_a_mosaic_become_images_of_their_own(tmp_path):
    values = np.arange(5 * 16 * 16).reshape(5, 16, 16) % 900
    result = process([mosaic(values)], tmp_path, Recipe(derived_dicom=True, orientation="native"))
    paths = sorted((result.folder / "dicom" / "v0").glob("*.dcm"))
    images = [pydicom.dcmread(path) for path in paths]
    assert [image.pixel_array.tolist() for image in images] == values.tolist()
    for image in images:
        assert "MOSAIC" not in image.ImageType
        assert image.SourceImageSequence[0].SpatialLocationsPreserved == "NO"
    assert len({tuple(image.ImagePositionPatient) for image in images}) == 5
    assert "OUT-001" in result.codes
    assert complaints(paths) == set()


def test_a_volume_held_after_it_was_written_leaves_no_images(tmp_path):
    result = process(
        data.ct_series(slices=12, rows=32, columns=32),
        tmp_path,
        Recipe(derived_dicom=True, policy={"OUT-001": Verdict.QUARANTINE}),
    )
    assert result.report["verdict"] == "QUARANTINE"
    assert list(result.folder.rglob("*.dcm")) == []


def test_a_volume_that_cannot_be_written_is_told_and_keeps_its_other_outputs(tmp_path):
    result = process(
        data.ct_series(slices=12, rows=32, columns=32),
        tmp_path,
        Recipe(derived_dicom=True, intensity="lung"),
    )
    assert "OUT-006" in result.codes
    assert (result.folder / "v0.nii.gz").exists()
    assert result.report["verdict"] == "ACCEPT_WARN"
