"""Who and what arrived: unreadable files, contradictory identities, phantoms, animals, frames that do not add up."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset

import data
from handlers.model import Scope, Series, Severity
from handlers.reading import series_from_files
from handlers.triage import frame_count, identity, malformed, subject
from triage_cases import codes, instance, only, series, volume


def test_an_unreadable_file_is_refused_and_spares_the_rest():
    lost = series(volume("CT"), unreadable=((Path("IM7"), "cut short"),))
    finding = only(identity.unreadable_files(lost))
    assert (finding.code, finding.severity, finding.scope) == ("ING-001", Severity.ERROR, Scope.INSTANCE)
    assert finding.target == "IM7"
    assert finding.evidence == {"file": "IM7", "reason": "cut short"}


def test_a_series_of_unreadable_files_alone_is_refused_as_a_whole():
    lost = Series("1.2", "1.3", (), unreadable=((Path("IM7"), "no DICOM"),))
    finding = only(identity.unreadable_files(lost))
    assert (finding.scope, finding.target) == (Scope.SERIES, "")


def test_readable_files_give_no_finding():
    assert identity.unreadable_files(series(volume("CT"))) == []


def _with_meta(uid):
    one = instance(name="meta")
    one.header.file_meta = FileMetaDataset()
    one.header.file_meta.MediaStorageSOPInstanceUID = one.sop_instance_uid if uid is None else uid
    return one


def test_file_meta_of_another_instance_is_noticed():
    finding = only(identity.file_meta_against_data_set(series(loose=(_with_meta("1.2.3.4"),))))
    assert (finding.code, finding.severity) == ("ING-005", Severity.WARN)
    assert finding.evidence["instances"] == 1


@pytest.mark.parametrize("one", [_with_meta(None), instance()])
def test_equal_or_absent_file_meta_is_fine(one):
    assert identity.file_meta_against_data_set(series(loose=(one,))) == []


def test_two_patients_in_one_series_are_held_without_quoting_them():
    mixed = series(volume("CT", PatientID=lambda k: "ALICE" if k < 5 else "BOB"))
    finding = only(identity.conflicting_identity(mixed))
    assert (finding.code, finding.severity) == ("ING-010", Severity.REVIEW)
    assert finding.evidence == {"different_values": {"PatientID": 2}}
    assert "ALICE" not in finding.message


def test_one_patient_with_gaps_in_the_header_is_no_conflict():
    assert identity.conflicting_identity(series(volume("CT", PatientID=lambda k: "A" if k else ""))) == []


@pytest.mark.parametrize(
    "attributes",
    [
        {"QualityControlSubject": "YES"},
        {"QualityControlImage": "YES"},
        {"PatientName": "Phantom^Head"},
        {"PatientName": "ACRPHANTOM"},
        {"PatientID": "Wasserphantom1"},
        {"PatientID": "QA_2026"},
    ],
)
def test_phantoms_are_marked(attributes):
    finding = only(subject.phantom(series(volume("CT", **attributes))))
    assert (finding.code, finding.severity) == ("ING-011", Severity.WARN)


@pytest.mark.parametrize(
    "attributes", [{"PatientName": "Testa^Anna"}, {"QualityControlImage": "NO"}, {"PatientName": "Qadir^A"}]
)
def test_people_are_no_phantoms(attributes):
    assert subject.phantom(series(volume("CT", **attributes))) == []


@pytest.mark.parametrize(
    "attributes", [{"PatientSpeciesDescription": "Canis lupus"}, {"AnatomicalOrientationType": "QUADRUPED"}]
)
def test_animals_are_held(attributes):
    assert only(subject.animal(series(volume("CT", **attributes)))).severity is Severity.REVIEW


@pytest.mark.parametrize(
    "attributes", [{"PatientSpeciesDescription": "Homo sapiens"}, {"AnatomicalOrientationType": "BIPED"}, {}]
)
def test_people_are_no_animals(attributes):
    assert subject.animal(series(volume("CT", **attributes))) == []


def test_number_of_frames_against_functional_groups_is_held():
    wrong = instance(NumberOfFrames=3, PerFrameFunctionalGroupsSequence=[Dataset(), Dataset()])
    finding = only(frame_count.inconsistent_frames(series(loose=(wrong,))))
    assert (finding.code, finding.severity) == ("ING-008", Severity.REVIEW)


@pytest.mark.parametrize("stated", [0, -1])
def test_impossible_number_of_frames_is_held(stated):
    assert codes(frame_count.inconsistent_frames(series(loose=(instance(NumberOfFrames=stated),)))) == [
        "ING-008"
    ]


@pytest.mark.parametrize(
    "attributes",
    [
        {"NumberOfFrames": 2, "PerFrameFunctionalGroupsSequence": [Dataset(), Dataset()]},
        {},
        {"NumberOfFrames": 1},
    ],
)
def test_frames_that_add_up_are_fine(attributes):
    assert frame_count.inconsistent_frames(series(loose=(instance(**attributes),))) == []


def _part(number, total=3, **attributes):
    return instance(
        **attributes,
        name=("part", number),
        ConcatenationUID="1.2.7",
        InConcatenationNumber=number,
        InConcatenationTotalNumber=total,
    )


def test_a_missing_part_of_a_concatenation_is_held():
    finding = only(frame_count.incomplete_concatenation(series(loose=(_part(1), _part(3)))))
    assert finding.evidence["parts"] == 2
    assert finding.evidence["expected"] == 3


def test_a_hole_is_seen_also_without_a_stated_total():
    assert codes(frame_count.incomplete_concatenation(series(loose=(_part(1, None), _part(3, None))))) == [
        "ING-008"
    ]


def test_a_complete_concatenation_is_fine():
    assert frame_count.incomplete_concatenation(series(loose=(_part(1), _part(2), _part(3)))) == []


@pytest.mark.parametrize(
    ("offsets", "absent"),
    [((0, 8), 0), ((8, 0), 0), ((8, 16), 8), ((0, 16), 8), ((2, 16), 8), ((0, 4), 0), ((None, 16), 0)],
)
def test_offsets_tell_of_frames_that_no_part_holds(offsets, absent):
    parts = tuple(
        _part(number, 2, ConcatenationFrameOffsetNumber=offset, NumberOfFrames=8)
        for number, offset in enumerate(offsets, 1)
    )
    found = frame_count.incomplete_concatenation(series(loose=parts))
    assert [each.evidence["absent"] for each in found] == ([absent] if absent else [])


def test_letters_in_a_number_are_named():
    wrong = instance(Modality="CT")
    wrong.header.add_new("SliceThickness", "LO", "thin")
    finding = only(malformed.malformed_attributes(series(loose=(wrong,))))
    assert finding.code == "ING-013"
    assert list(finding.evidence) == ["SliceThickness"]


def test_a_missing_modality_is_named():
    finding = only(malformed.malformed_attributes(series(loose=(instance(Modality=""),))))
    assert (finding.code, finding.severity) == ("ING-013", Severity.WARN)
    assert list(finding.evidence) == ["Modality"]


@pytest.mark.parametrize("character_set", ["ISO_IR 192", "ISO_IR 999"])
@pytest.mark.filterwarnings("ignore:Failed to decode byte string")
def test_text_that_its_character_set_cannot_hold_is_noticed(tmp_path, character_set):
    whole = data.file_bytes(
        data.ct_series(slices=1, SpecificCharacterSet=character_set.replace("999", "192"))[0]
    )
    broken = whole.replace(b"PHANTOM", b"PH\xffNT\xfeM").replace(b"ISO_IR 192", character_set.encode())
    (tmp_path / "one").write_bytes(broken)
    (found,), _ = series_from_files([tmp_path / "one"])
    finding = only(malformed.undecodable_text(found))
    assert (finding.code, finding.severity) == ("ING-006", Severity.INFO)
    assert "PH" not in finding.message + repr(finding.evidence)


def test_text_in_its_character_set_is_fine(tmp_path):
    text = {"SpecificCharacterSet": "ISO_IR 192", "SeriesDescription": "Bauch, spät"}
    data.write(data.ct_series(slices=1, **text), tmp_path)
    (found,), _ = series_from_files(tmp_path.iterdir())
    assert malformed.undecodable_text(found) == []


def test_empty_and_absent_numbers_are_not_malformed():
    assert (
        malformed.malformed_attributes(series(loose=(instance(Modality="CT", SliceThickness=None, KVP=""),)))
        == []
    )


@pytest.mark.parametrize(
    ("uid", "state"),
    [
        ("", "missing"),
        ("1.2.840.10008.5.1.1.29", "retired"),  # Hardcopy Grayscale Image Storage
        ("1.3.46.670589.2.4.1.1", "private to a vendor"),
        ("1.2.840.10008.5.1.4.1.1.9999", "not in the DICOM standard"),
        ("1.2.840.10008.5.1.4.1.1.2", None),
    ],
)
def test_a_class_that_is_not_of_the_standard_is_marked(uid, state):
    found = identity.unknown_class(series(loose=(instance(sop_class=uid),)))
    assert [each.severity for each in found] == ([Severity.WARN] if state else [])
    assert not state or found[0].message.endswith(f"is {state}")


def test_every_sign_of_a_phantom_is_named_once():
    signs = {"PatientName": "Phantom", "PatientID": "QA 1", "QualityControlSubject": "YES"}
    finding = only(subject.phantom(series(volume("CT", **signs))))
    assert finding.evidence["by"] == ["QualityControlSubject", "PatientName", "PatientID"]
