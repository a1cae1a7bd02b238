"""De-identified images: the table of PS3.15 applied, what is left looked through, and the same for every key holder."""

import re
from dataclasses import replace
from datetime import date

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import BasicTextSRStorage, EncapsulatedPDFStorage, RTStructureSetStorage, SegmentationStorage

import data
from handlers.api import Deidentification, Recipe
from handlers.errors import VolumeError
from handlers.model import Severity, Verdict
from handlers.outputs import confidentiality, derived_dicom
from handlers.outputs.confidentiality import Rules
from handlers.outputs.deidentification import Deidentifier
from handlers.outputs.moved_dates import MovedDates
from handlers.outputs.pseudonyms import Pseudonyms
from outcomes import ct_volume, outcome_of
from runs import process

KEY = b"k" * 32
DATES = ("modified-dates",)
PERSON = {"PatientName": "Ostertag^Wilhelmine", "PatientID": "4711-0815"}


def header(**attributes):
    """One CT image with a name, and with what is given."""
    (dataset, *_) = data.ct_series(slices=2, rows=8, columns=8, **(PERSON | attributes))
    return dataset


def private(dataset, creator="SOMEBODY", group=0x0019, **values):
    block = dataset.private_block(group, creator, create=True)
    for offset, (vr, value) in values.items():
        block.add_new(int(offset[1:], 16), vr, value)
    return dataset


def cleaned(source, options=DATES, key=KEY):
    work = Deidentifier(Pseudonyms(key), options, [source])
    return work(source), list(work.findings("v0"))


def codes(found):
    return [finding.code for finding in found]


# -- attribute by attribute ------------------------------------------------------------------------


def test_the_basic_profile_removes_empties_and_replaces():
    source = header(
        PatientBirthDate="19500102", InstitutionName="Klinik am Ostertor", ReferringPhysicianName="Sander^Otto",
        StudyDescription="Thorax", AccessionNumber="A77123", PatientSex="F", PatientAge="076Y",
    )  # fmt: skip
    image, found = cleaned(source)
    assert found == []
    for keyword in ("PatientBirthDate", "AccessionNumber", "ReferringPhysicianName", "PatientSex"):
        assert image[keyword].is_empty
    for keyword in ("InstitutionName", "StudyDescription", "SeriesDescription", "PatientAge"):
        assert keyword not in image
    assert image.PatientID == image.PatientName == Pseudonyms(KEY).patient("\0" + source.PatientID)
    assert image.SOPClassUID == source.SOPClassUID
    assert image.PixelData == source.PixelData
    assert source.PatientID == PERSON["PatientID"]


def test_it_says_what_was_done():
    image, _ = cleaned(header(), options=("modified-dates", "patient-characteristics"))
    assert image.PatientIdentityRemoved == "YES"
    codes_told = [item.CodeValue for item in image.DeidentificationMethodCodeSequence]
    assert codes_told == ["113100", "113107", "113108"]
    assert image.LongitudinalTemporalInformationModified == "MODIFIED"
    assert all(len(value) <= 64 for value in image.DeidentificationMethod)
    assert image.ContributingEquipmentSequence[-1].PurposeOfReferenceCodeSequence[0].CodeValue == "109104"
    image, _ = cleaned(header(), options=())
    assert image.LongitudinalTemporalInformationModified == "REMOVED"


@pytest.mark.filterwarnings("ignore:Invalid value for VR AS")
@pytest.mark.parametrize(
    ("keyword", "value", "options", "kept"),
    [
        ("PatientAge", "045Y", ("patient-characteristics",), "045Y"),
        ("PatientAge", "089Y", ("patient-characteristics",), "089Y"),
        ("PatientAge", "093Y", ("patient-characteristics",), "090Y"),
        ("PatientAge", "045Y", (), None),
        ("PatientAge", "95", ("patient-characteristics",), None),
        ("PatientAge", "999M", ("patient-characteristics",), "999M"),
        ("PatientWeight", "71", ("patient-characteristics",), 71),
        ("PatientSex", "F", ("patient-characteristics",), "F"),
        ("PatientSex", "F", (), None),
        ("DeviceSerialNumber", "99281", ("device-identity",), "99281"),
        ("DeviceSerialNumber", "99281", (), None),
        ("StationName", "CTAWP01", (), None),
        ("StationName", "SIEMENS", (), None),
    ],
)
def test_options_keep_what_they_are_for(keyword, value, options, kept):
    image, found = cleaned(header(**{keyword: value}), options)
    assert image.get(keyword) == kept
    assert "DEI-002" not in codes(found)


def test_an_attribute_that_is_on_no_list_goes():
    source = header()
    source.TableSpeed, source.ImplantName = 5.0, "a hip"
    source.add_new(0x00189999, "LO", "not in the dictionary")
    image, _ = cleaned(source)
    assert image.TableSpeed == 5.0
    assert "ImplantName" not in image
    assert 0x00189999 not in image


def test_every_row_of_the_table_has_a_known_action_and_options_have_codes_of_the_standard():
    table = confidentiality.table()
    assert len(table["basic"]) > 600
    assert set("/".join(table["basic"].values()).split("/")) == {"X", "Z", "D", "U", "U*"}
    from pydicom.sr.codedict import codes as known

    names = {known.DCM.RetainLongitudinalTemporalInformationModifiedDatesOption.value,
             known.DCM.RetainPatientCharacteristicsOption.value, known.DCM.RetainDeviceIdentityOption.value,
             known.DCM.RetainSafePrivateOption.value}  # fmt: skip
    assert {option["code"] for option in table["options"].values()} == names


@pytest.mark.parametrize(
    ("tag", "action"),
    [
        (0x00100010, "Z"),  # PatientName
        (0x0020000D, "U"),  # StudyInstanceUID
        (0x00080080, "X"),  # InstitutionName: X/Z/D, and no CT needs it
        (0x00080020, "C"),  # StudyDate
        (0x60003000, "X"), (0x60023000, "X"), (0x50000010, "X"),  # overlays and curves
        (0x00081140, "U"),  # ReferencedImageSequence: X/Z/U*
        (0x00280010, "K"),  # Rows
    ],
)  # fmt: skip
def test_the_table_is_read_as_it_is_meant(tag, action):
    assert Rules("CT", DATES).action(Tag(tag), is_top=True) == action


# -- UIDs ------------------------------------------------------------------------------------------


def test_uids_are_replaced_everywhere_alike_and_those_of_the_standard_stay():
    datasets = data.ct_series(slices=3, rows=8, columns=8, **PERSON)
    for each in datasets:
        item = Dataset()
        item.ReferencedSOPClassUID = each.SOPClassUID
        item.ReferencedSOPInstanceUID = datasets[0].SOPInstanceUID
        each.SourceImageSequence = Sequence([item])
    work = Deidentifier(Pseudonyms(KEY), DATES, datasets)
    images = [work(each) for each in datasets]
    assert len({image.SOPInstanceUID for image in images}) == 3
    assert len({image.SeriesInstanceUID for image in images}) == 1
    assert {image.SourceImageSequence[0].ReferencedSOPInstanceUID for image in images} == {
        images[0].SOPInstanceUID
    }
    assert {image.SourceImageSequence[0].ReferencedSOPClassUID for image in images} == {
        datasets[0].SOPClassUID
    }
    originals = {each.SOPInstanceUID for each in datasets} | {datasets[0].StudyInstanceUID}
    assert not originals & {image.SOPInstanceUID for image in images}
    assert list(work.findings("v0")) == []


@pytest.mark.parametrize("original", ["1.2.3", "2.25.1", "1.3.12.2.1107.5.1.4." + "9" * 40])
def test_a_new_uid_is_one_by_the_standard_and_hangs_on_the_key(original):
    first, second = Pseudonyms(b"a" * 32), Pseudonyms(b"b" * 32)
    assert re.fullmatch(r"2\.25\.(0|[1-9]\d{0,38})", first.uid(original))
    assert first.uid(original) == Pseudonyms(b"a" * 32).uid(original)
    assert first.uid(original) != second.uid(original)
    assert first.uid("1.2.840.10008.1.2") == "1.2.840.10008.1.2"


def test_a_uid_that_cannot_be_replaced_is_taken_out_and_told():
    source = header()
    source.FilterType = "1.2.3.4.5"
    image, found = cleaned(source)
    assert found == []
    assert image.FilterType == "1.2.3.4.5"
    source.FilterType = f"see {source.StudyInstanceUID}"
    image, found = cleaned(source)
    (finding,) = found
    assert (finding.code, finding.severity) == ("DEI-003", Severity.WARN)
    assert finding.evidence["attributes"] == {"FilterType": 1}
    assert "FilterType" not in image
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.113619.4.27"
    item.ReferencedSOPInstanceUID = "1.2.3.4"
    source = header()
    source.SourceImageSequence = Sequence([item])
    image, found = cleaned(source)
    assert codes(found) == ["DEI-003"]
    assert "ReferencedSOPClassUID" not in image.SourceImageSequence[0]


# -- dates -----------------------------------------------------------------------------------------


def test_dates_of_a_patient_move_together_and_times_stay():
    source = header(
        StudyDate="20260301", SeriesDate="20260302", AcquisitionDateTime="20260301235959.5+0100", StudyTime="120000",
        TimezoneOffsetFromUTC="+0100",
    )  # fmt: skip
    image, found = cleaned(source)
    assert found == []
    days = Pseudonyms(KEY).days("\0" + source.PatientID, 3650)
    assert 1 <= days <= 3650

    def shift(new, old):
        return (date.fromisoformat(old) - date.fromisoformat(new[:8])).days

    assert shift(image.StudyDate, "20260301") == days
    assert shift(image.SeriesDate, "20260302") == days
    assert shift(image.AcquisitionDateTime, "20260301") == days
    assert image.AcquisitionDateTime[8:] == "235959.5"
    assert image.StudyTime == "120000"
    assert "TimezoneOffsetFromUTC" not in image


def test_without_the_option_dates_go():
    image, _ = cleaned(header(SeriesDate="20260302"), options=())
    assert image["StudyDate"].is_empty
    assert "SeriesDate" not in image


def test_patients_move_by_different_days_and_one_patient_by_the_same_on_every_node():
    names = Pseudonyms(KEY)
    moves = {names.days(f"\0{number}", 3650) for number in range(50)}
    assert len(moves) > 40
    assert names.days("\0a", 3650) == Pseudonyms(KEY).days("\0a", 3650)
    assert names.patient("site1\x001") != names.patient("site2\x001")


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("SeriesDate", "2026.03.01"),
        ("SeriesDate", "20261301"),
        ("SeriesDate", "19000101"),
        ("SeriesTime", "noon"),
        ("AcquisitionDateTime", "2026"),
    ],
)
def test_what_is_no_date_of_an_examination_goes_and_is_told(keyword, value):
    image, found = cleaned(header(**{keyword: value}))
    (finding,) = found
    assert (finding.code, finding.severity) == ("DEI-004", Severity.WARN)
    assert finding.evidence["attributes"] == {keyword: 1}
    assert keyword not in image


def test_dates_far_apart_are_told():
    image, found = cleaned(header(StudyDate="20260301", SeriesDate="20240101"))
    assert codes(found) == ["DEI-004"]
    assert found[0].evidence["attributes"] == {"span": 1}
    assert image.SeriesDate
    assert "DEI-004" not in codes(cleaned(header(StudyDate="20260301", SeriesDate="20250401"))[1])


def test_moving_keeps_every_interval():
    noted = []
    moved = MovedDates(1234, lambda *what: noted.append(what))
    days = [date(2000 + year, month, 28) for year in range(0, 26, 5) for month in (1, 2, 12)]
    results = [date.fromisoformat(moved.moved("StudyDate", "DA", f"{day:%Y%m%d}")) for day in days]
    assert {(before - after).days for before, after in zip(days, results, strict=True)} == {1234}
    assert noted == []


# -- private elements, overlays, text ---------------------------------------------------------------


def declared(dataset, status, creator="SOMEBODY", listed=None):
    block = Dataset()
    block.PrivateGroupReference = 0x0019
    block.PrivateCreatorReference = creator
    block.BlockIdentifyingInformationStatus = status
    if listed is not None:
        block.NonidentifyingPrivateElements = listed
    dataset.PrivateDataElementCharacteristicsSequence = Sequence([block])
    return dataset


def test_private_elements_go():
    image, found = cleaned(private(header(), x01=("DS", "1.5"), x02=("LO", "text")))
    assert found == []
    assert not [element for element in image if element.tag.is_private]


def test_private_elements_that_the_object_calls_safe_stay_only_by_option_and_are_told():
    source = declared(private(header(), x01=("DS", "1.5"), x02=("LO", "text")), "SAFE")
    image, found = cleaned(source)
    assert not [element for element in image if element.tag.is_private]
    assert "DEI-001" not in codes(found)
    image, found = cleaned(source, options=("safe-private",))
    (finding,) = found
    assert (finding.code, finding.severity) == ("DEI-001", Severity.WARN)
    assert image[0x00191001].value == 1.5
    assert image[0x00190010].value == "SOMEBODY"
    assert finding.evidence["attributes"] == {"(0019,xx01) SOMEBODY": 1, "(0019,xx02) SOMEBODY": 1}
    image, _ = cleaned(declared(source, "MIXED", listed=[2]), options=("safe-private",))
    assert 0x00191001 not in image
    assert image[0x00191002].value == "text"
    image, found = cleaned(declared(source, "UNSAFE"), options=("safe-private",))
    assert codes(found) == []
    assert not [element for element in image if element.tag.is_private]


def test_a_private_element_of_the_standards_list_stays_without_a_word():
    source = private(header(), creator="SIEMENS MR HEADER", x0C=("IS", "1000"), x01=("LO", "text"))
    image, found = cleaned(source, options=("safe-private",))
    assert found == []
    assert image[0x0019100C].value == 1000
    assert 0x00191001 not in image


def test_safe_private_text_that_holds_a_name_goes():
    source = declared(private(header(), x02=("LO", "Ostertag W")), "SAFE")
    image, found = cleaned(source, options=("safe-private",))
    assert codes(found) == ["DEI-001", "DEI-002"]
    assert 0x00191002 not in image


def test_overlays_are_left_out_and_told():
    source = header()
    source.add_new(0x60003000, "OW", b"\1\0")
    image, found = cleaned(source)
    (finding,) = found
    assert (finding.code, finding.severity) == ("DEI-006", Severity.INFO)
    assert finding.evidence["attributes"] == {"6000": 1}
    assert 0x60003000 not in image
    assert "DEI-006" not in codes(cleaned(header())[1])


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("FilterType", "Ostertag"),
        ("FilterType", "OSTERTAG W 1950"),
        ("FilterType", "mrs-wilhelmine-ct"),
        ("FilterType", "xOstertagx"),
        ("FilterType", "4711 0815"),
        ("FilterType", "id47110815"),
        ("BodyPartExamined", "OSTERTAG"),
        ("ManufacturerModelName", "Scanner of Wilhelmine"),
        ("SoftwareVersions", "Ostertor 3"),
        ("FilterType", "O s t e r t a g"),
    ],
)
def test_a_name_that_is_left_is_taken_out_and_holds(keyword, text):
    source = header(InstitutionName="Klinik am Ostertor", **{keyword: text})
    image, found = cleaned(source)
    (finding,) = found
    assert (finding.code, finding.severity) == ("DEI-002", Severity.REVIEW)
    assert finding.evidence["attributes"] == {keyword: 1}
    (named_by,) = finding.evidence["named_by"]
    assert named_by["origin"] in {"PatientName", "PatientID", "InstitutionName"}
    assert re.fullmatch("[0-9a-f]{8}", named_by["mark"])
    assert text not in f"{finding.message}{finding.evidence}"
    assert not image.get(keyword)


@pytest.mark.parametrize("text", ["Klinik", "B30f", "axial", "12", "Oster", "SIEMENS"])
def test_words_that_name_nobody_stay(text):
    source = header(InstitutionName="Klinik am Ostertor der SIEMENS", FilterType=text)
    image, found = cleaned(source)
    assert "DEI-002" not in codes(found)
    assert image.FilterType == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Müller^Jörg", "Mueller"),
        ("Müller^Jörg", "MULLER"),
        ("Müller^Jörg", "joerg"),
        ("O'Neil^Pat", "ONeil"),
        ("O'Neil^Pat", "Neil"),
        ("Meyer-Landrut^Eva", "meyerlandrut"),
        ("Kim^Li", "dr kim"),
        ("山田^太郎", "山田"),
    ],
)
def test_a_name_is_found_however_it_is_written(name, text):
    source = header(PatientName=name, ManufacturerModelName=text, SpecificCharacterSet="ISO_IR 192")
    image, found = cleaned(source)
    assert codes(found) == ["DEI-002"]
    assert "ManufacturerModelName" not in image


@pytest.mark.parametrize("text", ["1950-12-31", "31.12.1950", "12/31/1950", "born 19501231"])
def test_a_date_of_birth_is_found_however_it_is_written(text):
    image, found = cleaned(header(PatientBirthDate="19501231", ManufacturerModelName=text))
    assert codes(found) == ["DEI-002"]
    assert "ManufacturerModelName" not in image


def test_an_identifier_that_stands_in_a_number_goes_as_well():
    image, found = cleaned(header(PatientID="471108", SeriesNumber="471108", AcquisitionNumber="4711"))
    (finding,) = found
    assert (finding.code, finding.evidence["attributes"]) == ("DEI-002", {"SeriesNumber": 1})
    assert image["SeriesNumber"].is_empty
    assert image.AcquisitionNumber == 4711


def test_a_dummy_stands_only_for_what_such_images_have():
    image, found = cleaned(header(VerifyingObserverName="REMOVED^Otto", ClinicalTrialSubjectID="S-12345"))
    assert "VerifyingObserverName" not in image
    assert image.ClinicalTrialSubjectID == "REMOVED"
    assert found == []


def test_accents_hide_no_name():
    image, found = cleaned(
        header(PatientName="Müller^Jörg", FilterType="Mueller MULLER", SpecificCharacterSet="ISO_IR 100")
    )
    assert codes(found) == ["DEI-002"]
    assert "FilterType" not in image


def test_nested_items_are_cleaned_as_well():
    source = header()
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "T-1", "99X", "Thorax Ostertag"
    item.InstitutionName = "Klinik am Ostertor"
    private(item, x01=("LO", "Ostertag"))
    source.AnatomicRegionSequence = Sequence([item])
    image, found = cleaned(source)
    (nested,) = image.AnatomicRegionSequence
    assert [element.keyword for element in nested] == ["CodeValue", "CodingSchemeDesignator"]
    assert codes(found) == ["DEI-002"]


@pytest.mark.parametrize(
    "sop_class", [BasicTextSRStorage, EncapsulatedPDFStorage, RTStructureSetStorage, SegmentationStorage]
)
def test_objects_of_free_text_are_refused(sop_class):
    source = header()
    source.SOPClassUID = sop_class
    with pytest.raises(VolumeError) as refused:
        Deidentifier(Pseudonyms(KEY), DATES, [source])
    assert refused.value.code == "DEI-005"
    assert "DEI-005" not in codes(cleaned(header())[1])


def test_text_in_the_pixels_is_refused():
    with pytest.raises(VolumeError) as refused:
        cleaned(header(BurnedInAnnotation="YES"))
    assert refused.value.code == "DEI-BIA-001"
    assert cleaned(header(BurnedInAnnotation="NO"))[0].BurnedInAnnotation == "NO"


def test_a_name_in_the_bytes_of_a_file_is_refused():
    work = Deidentifier(Pseudonyms(KEY), DATES, [header()])
    work.check(b"\0" * 100 + b"4711081" + b"\0" * 100)
    for hidden in (b"..Ostertag..", b"xWILHELMINEx", "Ostertag".encode("utf-16-le"), b"4711-0815"):
        with pytest.raises(VolumeError) as refused:
            work.check(b"\0" * 100 + hidden + b"\0" * 100)
        assert refused.value.code == "DEI-002"


# -- as a part of the outputs ------------------------------------------------------------------------


def wanted(tmp_path, options=DATES, **keys):
    (tmp_path / "key").write_bytes(KEY)
    how = Deidentification(str(tmp_path / "key"), Pseudonyms(KEY).key_id, options)
    return Recipe(derived_dicom=True, deidentification=how, **keys)


def series(**options):
    return data.ct_series(slices=12, rows=32, columns=32, BurnedInAnnotation="NO", **(PERSON | options))


def test_derived_images_of_a_profile_are_deidentified_and_the_same_every_time(tmp_path):
    datasets = series(InstitutionName="Klinik am Ostertor", StudyDescription="Ostertag Thorax")
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        result = process(datasets, tmp_path / name, wanted(tmp_path))
        assert result.report["verdict"] in {"ACCEPT", "ACCEPT_WARN"}
        paths = sorted((result.folder / "dicom" / "v0").glob("*.dcm"))
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1]
    assert len(contents[0]) == 12
    images = [pydicom.dcmread(path) for path in paths]
    assert {image.SeriesInstanceUID for image in images} == {result.evidence("OUT-001")["SeriesInstanceUID"]}
    assert {image.file_meta.MediaStorageSOPInstanceUID for image in images} == {
        i.SOPInstanceUID for i in images
    }
    assert len({image.StudyInstanceUID for image in images} | {datasets[0].StudyInstanceUID}) == 2
    for content in contents[0]:
        for secret in (
            b"Ostertag",
            b"Wilhelmine",
            b"4711",
            b"Ostertor",
            datasets[0].StudyInstanceUID.encode(),
        ):
            assert secret not in content


def test_two_series_of_a_study_stay_together(tmp_path):
    studies = set()
    patients = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        result = process(series(name=name), tmp_path / name, wanted(tmp_path))
        image = pydicom.dcmread(next((result.folder / "dicom" / "v0").glob("*.dcm")))
        studies.add(image.StudyInstanceUID)
        patients.add((image.PatientID, image.StudyDate))
    assert len(studies) == len(patients) == 1


def test_a_name_that_was_left_holds_the_volume_and_leaves_no_image(tmp_path):
    result = process(series(FilterType="Ostertag"), tmp_path, wanted(tmp_path))
    assert result.report["verdict"] == "QUARANTINE"
    assert "DEI-002" in result.codes
    assert list(result.folder.rglob("*.dcm")) == []
    released = process(series(FilterType="Ostertag"), tmp_path / "later", wanted(tmp_path, release=True))
    images = [path.read_bytes() for path in released.folder.rglob("*.dcm")]
    assert images
    assert not [content for content in images if b"Ostertag" in content]


def test_text_in_the_pixels_is_not_written_whatever_a_policy_says(tmp_path):
    accept = {"DEI-BIA-001": Verdict.ACCEPT}
    datasets = series()
    for each in datasets:
        each.BurnedInAnnotation = "YES"
    result = process(datasets, tmp_path, wanted(tmp_path, policy=accept))
    assert list(result.folder.rglob("*.dcm")) == []
    assert list((result.folder).glob("dicom")) == [] or list((result.folder / "dicom").iterdir()) == []


def test_another_key_than_that_of_the_profile_is_refused(tmp_path):
    recipe = wanted(tmp_path)
    (tmp_path / "key").write_bytes(b"z" * 32)
    with pytest.raises(VolumeError, match="another key"):
        derived_dicom.write(outcome_of(ct_volume(), recipe=recipe), tmp_path)
    assert list(tmp_path.rglob("*.dcm")) == []


def test_the_key_stands_in_no_result(tmp_path):
    result = process(series(), tmp_path, wanted(tmp_path))
    for path in result.folder.rglob("*"):
        assert not path.is_file() or KEY not in path.read_bytes()


def test_pixels_and_places_are_those_of_the_volume(tmp_path):
    volume = ct_volume(data.ct_series(slices=3, rows=8, columns=8))
    products = derived_dicom.write(outcome_of(volume, recipe=wanted(tmp_path)), tmp_path)
    plain = derived_dicom.write(
        outcome_of(replace(volume, index=1), recipe=Recipe(derived_dicom=True)), tmp_path
    )
    for hidden, open_one in zip(products, plain, strict=True):
        first, second = (pydicom.dcmread(tmp_path / product.path) for product in (hidden, open_one))
        assert np.array_equal(first.pixel_array, second.pixel_array)
        for keyword in ("ImagePositionPatient", "PixelSpacing", "RescaleSlope", "KVP", "ConvolutionKernel"):
            assert first[keyword].value == second[keyword].value
