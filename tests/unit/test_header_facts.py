import struct
import warnings
import zlib
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

import data
from node.header_facts import UNREADABLE, WANTED, facts, facts_of_head, identity
from node.part10 import read_file_meta

SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]


def ct(**overrides):
    return data.ct_series(slices=3, rows=8, columns=8, **overrides)[1]


def split(content):
    """Return File Meta Information and encoded data set of a file."""
    meta = read_file_meta(content)
    return meta, content[meta.dataset_offset :]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_facts_are_the_same_in_every_encoding(syntax, tmp_path):
    dataset = ct(transfer_syntax=syntax)
    content = data.file_bytes(dataset)
    meta, encoded = split(content)
    found = facts(encoded, transfer_syntax_uid=meta.transfer_syntax_uid)
    assert found["SOPInstanceUID"] == dataset.SOPInstanceUID
    assert found["StudyInstanceUID"] == dataset.StudyInstanceUID
    assert found["SeriesInstanceUID"] == dataset.SeriesInstanceUID
    assert found["Modality"] == "CT"
    assert found["ImageType"] == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert found["ConvolutionKernel"] == "B30f"
    assert found["ImagePositionPatient"] == [float(each) for each in dataset.ImagePositionPatient]
    assert found["ImageOrientationPatient"] == [1, 0, 0, 0, 1, 0]
    assert (found["Rows"], found["Columns"]) == (8, 8)
    (tmp_path / "file").write_bytes(content)
    assert facts(tmp_path / "file") == found


def test_file_meta_tells_who_called_whom():
    meta, _ = split(data.file_bytes(ct()))
    assert meta.transfer_syntax_uid == ExplicitVRLittleEndian
    assert meta.sop_instance_uid == ct().SOPInstanceUID


def test_sequences_of_undefined_length_are_stepped_over():
    dataset = ct()
    inner = Dataset()
    inner.Manufacturer = "INNER"
    outer = Dataset()
    outer.ReferencedImageSequence = Sequence([inner, inner])
    for each in (outer, outer["ReferencedImageSequence"]):
        each.is_undefined_length = True
    inner.is_undefined_length_sequence_item = True
    dataset.ReferencedStudySequence = Sequence([outer])
    dataset["ReferencedStudySequence"].is_undefined_length = True
    _, encoded = split(data.file_bytes(dataset))
    assert facts(encoded)["Manufacturer"] == "SIEMENS"
    assert facts(encoded)["Columns"] == 8


SEQUENCE = struct.pack("<HH2s2xI", 0x0008, 0x1115, b"SQ", 0xFFFFFFFF)
ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
ENDS = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def nested(levels):
    """Return an encoded header with so many sequences, one in the other, before its UIDs."""
    _, encoded = split(data.file_bytes(ct()))
    return (SEQUENCE + ITEM) * levels + ENDS * levels + encoded


def test_deep_nesting_is_told_and_costs_nothing():
    assert "nested deeper than 64" in facts((SEQUENCE + ITEM) * 20_000)[UNREADABLE]


def test_the_limit_is_of_sequences_and_not_of_their_items():
    assert UNREADABLE not in facts(nested(64))
    assert "nested deeper than 64" in facts(nested(65))[UNREADABLE]


def test_a_sequence_of_a_thousand_items_is_not_deep():
    _, encoded = split(data.file_bytes(ct()))
    item = ITEM + SEQUENCE + ENDS[8:] + ENDS[:8]
    assert UNREADABLE not in facts(SEQUENCE + item * 1000 + ENDS[8:] + encoded)


@pytest.mark.parametrize(
    ("terms", "encoded", "expected"),
    [
        ("ISO_IR 100", "Schädel".encode("latin-1"), "Schädel"),
        ("ISO_IR 192", "頭部 Głowa".encode(), "頭部 Głowa"),
        ("ISO_IR 144", "Голова".encode("iso8859-5"), "Голова"),
        ("GB18030", "头部".encode("gb18030"), "头部"),
        ("\\ISO 2022 IR 87", b"\x1b$B" + "頭部".encode("iso2022_jp")[3:-3] + b"\x1b(B", "頭部"),
        ("ISO_IR 999", b"plain", "plain"),
    ],
)
def test_texts_are_read_in_their_character_set(terms, encoded, expected):
    def element(tag, vr, value):
        value += b" " * (len(value) % 2)
        return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value

    content = element(0x00080005, b"CS", terms.encode()) + element(0x0008103E, b"LO", encoded)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert facts(content)["SeriesDescription"] == expected


@pytest.mark.parametrize(
    ("overrides", "keyword", "expected"),
    [
        ({"ImagesInAcquisition": "24"}, "ImagesInAcquisition", 24),
        ({"AcquisitionNumber": "2147483647"}, "AcquisitionNumber", 2**31 - 1),
        ({"ContrastBolusAgent": ""}, "ContrastBolusAgent", None),
        ({"TriggerTime": "350.5"}, "TriggerTime", 350.5),
        ({"NominalPercentageOfCardiacPhase": 75.0}, "NominalPercentageOfCardiacPhase", 75.0),
        ({"InConcatenationTotalNumber": 3}, "InConcatenationTotalNumber", 3),
        ({"kernel": ["I41f", "3"]}, "ConvolutionKernel", ["I41f", "3"]),
    ],
)
def test_values_have_the_type_of_their_meaning(overrides, keyword, expected):
    _, encoded = split(data.file_bytes(ct(**overrides)))
    assert facts(encoded).get(keyword) == expected


@pytest.mark.parametrize("value", [b"12345678901", b"abc ", b"1.5 ", b"nan ", b"inf ", b"    "])
def test_a_number_that_is_none_is_left_out(value):
    content = struct.pack("<HH2sH", 0x0020, 0x0013, b"IS", len(value)) + value
    assert "InstanceNumber" not in facts(content)


def test_a_nul_within_a_uid_does_not_make_another_uid_of_it():
    _, encoded = split(data.file_bytes(ct(series_uid="1.2.9.34")))
    found = facts(encoded.replace(b"1.2.9.34", b"1.2\x009.34"))
    assert found["SeriesInstanceUID"] == "1.2\N{REPLACEMENT CHARACTER}9.34"


def test_a_header_that_is_cut_gives_what_came_before():
    _, encoded = split(data.file_bytes(ct()))
    whole = facts(encoded)
    for size in range(0, len(encoded), 7):
        found = facts(encoded[:size])
        assert {key: value for key, value in found.items() if key != UNREADABLE}.items() <= whole.items()
        assert ("SeriesInstanceUID" in found) != (UNREADABLE in found)


@pytest.mark.parametrize("content", [b"", b"x", b"no dicom at all, by no means", bytes(5000), b"\xff" * 5000])
def test_what_is_no_header_is_unreadable_with_a_reason(content):
    assert facts(content)[UNREADABLE].startswith("no StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID")


def test_a_deflated_header_is_inflated_no_further_than_is_looked_at():
    bomb = zlib.compressobj(wbits=-15)
    content = bomb.compress(bytes(200_000_000)) + bomb.flush()
    assert UNREADABLE in facts(content, transfer_syntax_uid=DeflatedExplicitVRLittleEndian)


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"]
)
def test_every_deflated_syntax_is_inflated(syntax):
    """Deflated Explicit VR, JPIP Referenced Deflate, JPIP HTJ2K Referenced Deflate (PS3.6 annex A)."""
    _, encoded = split(data.file_bytes(ct()))
    deflate = zlib.compressobj(wbits=-15)
    content = deflate.compress(encoded) + deflate.flush()
    assert facts(content, transfer_syntax_uid=syntax)["SOPInstanceUID"] == ct().SOPInstanceUID


def test_a_claimed_length_is_not_believed():
    content = struct.pack("<HH2s2xI", 0x0009, 0x0010, b"OB", 0xFFFFFFF0) + bytes(100)
    assert UNREADABLE in facts(content)


@given(content=st.binary(max_size=2000), syntax=st.sampled_from(["", *SYNTAXES]))
def test_no_bytes_make_it_raise(content, syntax):
    facts(content, transfer_syntax_uid=syntax)


@given(changes=st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255)), max_size=20))
def test_no_damage_to_a_real_header_makes_it_raise(changes):
    _, encoded = split(data.file_bytes(ct()))
    damaged = bytearray(encoded)
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    facts(damaged)


@pytest.mark.slow
def test_real_files_say_what_pydicom_reads_in_them(shared_data):
    """Both are right about 522 files, but for values that break the standard."""
    broken = {
        ("bits_packed_12", "InstanceNumber"),
        ("bad_truncated_3gb", "Rows"),
        ("bad_truncated_3gb", "Columns"),
    }
    broken |= {("ct_dose_and_screens", "AcquisitionTime"), ("pydicom_test_files", "NumberOfFrames")}
    differing = set()
    for path in sorted(shared_data.rglob("*")):
        if not path.is_file() or path.suffix in (".csv", ".md"):
            continue
        found, expected = facts(path), _read(path)
        for keyword in () if expected is None else (keyword for keyword, _ in WANTED.values()):
            if _plain(found.get(keyword)) != _plain(_value(expected, keyword)):
                differing.add((path.parent.name, keyword))
    assert differing <= broken


def _read(path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pydicom.dcmread(path, stop_before_pixels=True, force=True)
        except (RecursionError, OSError):
            return None


def _value(dataset, keyword):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return dataset.get(keyword)
        except ValueError:
            return None


def _plain(value):
    """Return a value as a list of texts and floats, whatever type it has; None when there is none."""
    if value is None:
        return None
    values = [value] if isinstance(value, (str, int, float)) else list(value)
    texts = [
        part for each in values for part in (each.split("\\") if isinstance(each, str) else [float(each)])
    ]
    texts = [each.strip() if isinstance(each, str) else each for each in texts]
    return texts if any(each != "" for each in texts) else None


def test_the_identity_is_that_of_the_facts_for_real_files(shared_data):
    keywords = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    n = 0
    for path in sorted(shared_data.rglob("*")):
        content = path.read_bytes()[: 1 << 17] if path.is_file() else b""
        meta = read_file_meta(content)
        if not meta.dataset_offset or not meta.transfer_syntax_uid:
            continue
        head = content[meta.dataset_offset :][:65536]
        found = facts(head, transfer_syntax_uid=meta.transfer_syntax_uid)
        quick = identity(head, meta.transfer_syntax_uid)
        assert [quick.get(key) for key in keywords] == [found.get(key) for key in keywords], path
        assert (UNREADABLE in quick) == (UNREADABLE in found), path
        n += 1
    assert n > 100


def test_a_head_that_ends_too_early_is_told_apart():
    content = data.file_bytes(data.ct_series(slices=1, rows=4, columns=4)[0])
    meta = read_file_meta(content)
    data_set = content[meta.dataset_offset :]
    whole = facts(data_set, transfer_syntax_uid=meta.transfer_syntax_uid)
    assert facts_of_head(data_set, meta.transfer_syntax_uid) == whole
    cut = data_set.index(b"\x28\x00\x11\x00")
    assert facts_of_head(data_set[:cut], meta.transfer_syntax_uid) is None
