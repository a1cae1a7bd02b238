"""Original images without identity: values and technique as acquired, nothing beside them."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

import data
from handlers.api import Deidentification, Recipe
from handlers.model import Verdict
from handlers.outputs.pseudonyms import Pseudonyms
from runs import process

KEY = b"k" * 32
PERSON = {"PatientName": "Ostertag^Wilhelmine", "PatientID": "4711-0815", "BurnedInAnnotation": "NO"}


def wanted(tmp_path, options=("modified-dates",), **keys):
    (tmp_path / "key").write_bytes(KEY)
    how = Deidentification(str(tmp_path / "key"), Pseudonyms(KEY).key_id, options)
    return Recipe(deidentified_originals=True, deidentification=how, **keys)


def series(**options):
    return data.ct_series(slices=12, rows=32, columns=32, **(PERSON | options))


def images_of(result):
    paths = sorted((result.folder / "dicom" / "v0_originals").glob("*.dcm"))
    return [pydicom.dcmread(path) for path in paths], paths


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEG2000Lossless,
    ],
)
def test_values_places_and_technique_are_those_of_the_source(tmp_path, syntax):
    datasets = series(transfer_syntax=syntax)
    result = process(datasets, tmp_path, wanted(tmp_path))
    images, paths = images_of(result)
    assert {"OUT-001"} <= result.codes
    assert len(images) == 12
    for image, source in zip(images, datasets, strict=True):
        assert np.array_equal(image.pixel_array, source.pixel_array)
        assert image.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        for keyword in (
            "ImagePositionPatient",
            "PixelSpacing",
            "RescaleIntercept",
            "KVP",
            "ImageType",
            "InstanceNumber",
        ):
            assert image[keyword].value == source[keyword].value
        assert image.SOPInstanceUID == Pseudonyms(KEY).uid(source.SOPInstanceUID)
        assert image.PatientIdentityRemoved == "YES"
    for path in paths:
        assert b"Ostertag" not in path.read_bytes()


def test_derived_images_refer_to_the_originals_that_leave_with_them(tmp_path):
    from dataclasses import replace

    result = process(series(), tmp_path, replace(wanted(tmp_path), derived_dicom=True))
    originals = {image.SOPInstanceUID: image for image in images_of(result)[0]}
    for path in (result.folder / "dicom" / "v0").glob("*.dcm"):
        derived = pydicom.dcmread(path)
        (source,) = derived.SourceImageSequence
        original = originals[source.ReferencedSOPInstanceUID]
        assert derived.StudyInstanceUID == original.StudyInstanceUID
        assert derived.FrameOfReferenceUID == original.FrameOfReferenceUID
        assert derived.SeriesInstanceUID != original.SeriesInstanceUID
        assert (derived.PatientID, derived.StudyDate) == (original.PatientID, original.StudyDate)


@pytest.mark.parametrize("is_signed", [0, 1])
def test_bits_that_hold_no_value_are_cleared(tmp_path, is_signed):
    level = {"intercept": 0} if is_signed else {}
    datasets = series(garbage=True, pixel_representation=is_signed, **level)
    plain = series(pixel_representation=is_signed, **level)
    images, _ = images_of(process(datasets, tmp_path, wanted(tmp_path)))
    assert images
    for image, source in zip(images, plain, strict=True):
        assert np.array_equal(image.pixel_array, source.pixel_array)


def test_overlays_go_and_are_told(tmp_path):
    datasets = series()
    for each in datasets:
        each.add_new(0x60003000, "OW", b"\1\0")
    result = process(datasets, tmp_path, wanted(tmp_path))
    assert result.evidence("DEI-006") == {"attributes": {"6000": 12}}
    images, _ = images_of(result)
    assert images
    assert not [image for image in images if 0x60003000 in image]
    again = process(series(), tmp_path / "plain", wanted(tmp_path))
    assert "DEI-006" not in again.codes


def test_private_elements_stay_by_option(tmp_path):
    datasets = series()
    for each in datasets:
        each.private_block(0x0045, "GEMS_HELIOS_01", create=True).add_new(1, "SS", 16)
        each.private_block(0x0009, "SOMEBODY", create=True).add_new(1, "LO", "lot 5")
        block = Dataset()
        block.PrivateGroupReference, block.PrivateCreatorReference = 0x0009, "SOMEBODY"
        block.BlockIdentifyingInformationStatus = "SAFE"
        each.PrivateDataElementCharacteristicsSequence = Sequence([block])
    images, _ = images_of(process(datasets, tmp_path, wanted(tmp_path)))
    assert images
    assert not [element for image in images for element in image if element.tag.is_private]
    result = process(datasets, tmp_path / "kept", wanted(tmp_path, options=("safe-private",)))
    images, _ = images_of(result)
    assert [image[0x00451001].value for image in images] == [16] * 12
    assert result.evidence("DEI-001") == {"attributes": {"(0009,xx01) SOMEBODY": 12}}


def test_a_held_volume_has_none(tmp_path):
    result = process(series(FilterType="Ostertag"), tmp_path, wanted(tmp_path))
    assert "DEI-002" in result.codes
    assert list(result.folder.rglob("*.dcm")) == []


def test_a_name_in_the_pixels_themselves_leaves_no_image_of_the_volume(tmp_path):
    datasets = series(bits_stored=16, intercept=0, pixel_representation=1)
    written = bytearray(datasets[7].PixelData)
    written[100:110] = b"Wilhelmine"
    datasets[7].PixelData = bytes(written)
    accepted = {f"HU-{number:03}": Verdict.ACCEPT for number in range(1, 10)}
    result = process(datasets, tmp_path, wanted(tmp_path, policy=accepted))
    (finding,) = [each for each in result.report["findings"] if each["code"] == "DEI-002"]
    assert "PatientName" in finding["message"]
    assert result.report["verdict"] == "QUARANTINE"
    assert list(result.folder.rglob("*.dcm")) == []


def test_without_a_key_nothing_is_written(tmp_path):
    result = process(series(), tmp_path, Recipe(deidentified_originals=True))
    assert list(result.folder.rglob("*.dcm")) == []


def test_the_preamble_and_what_follows_the_pixels_go(tmp_path):
    datasets = series()
    for each in datasets:
        each.preamble = b"Ostertag" * 16
        each.add_new(0xFFFCFFFC, "OB", b"Wilhelmine")
        each.file_meta.SourceApplicationEntityTitle = "OSTERTAG"
    images, paths = images_of(process(datasets, tmp_path, wanted(tmp_path)))
    assert len(images) == 12
    for path in paths:
        content = path.read_bytes().lower()
        assert content[:128] == b"\0" * 128
        assert b"ostertag" not in content
        assert b"wilhelmine" not in content
