"""Files that are read, and files that are refused without harm."""

from __future__ import annotations

import os
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

import data
from handlers import attributes
from handlers.errors import UnreadableInstanceError
from handlers.part10 import HEADER_LIMIT
from handlers.reading import read_instance, series_from_files
from handlers.triage import identity

NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
UIDS = b"".join(
    struct.pack("<HH2sH", group, element, b"UI", len(value)) + value
    for group, element, value in (
        (0x8, 0x18, b"1.2.3."[:5] + b"\0"),
        (0x20, 0xD, b"1.2.4\0"),
        (0x20, 0xE, b"1.2.5\0"),
    )
)


def one(**options):
    return data.ct_series(slices=1, rows=8, columns=8, **options)[0]


def saved(folder: Path, content: bytes, name: str = "file") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    return path


def bare(dataset) -> bytes:
    """The data set without preamble and file meta."""
    content = data.file_bytes(dataset)
    return content[144 + int.from_bytes(content[140:144], "little") :]


def refused(path: Path) -> str:
    with pytest.raises(UnreadableInstanceError) as raised:
        read_instance(path)
    return str(raised.value)


def element(group: int, number: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    if vr in (b"SQ", b"UN", b"OB", b"OW"):
        return struct.pack("<HH2s2xL", group, number, vr, size) + value
    return struct.pack("<HH2sH", group, number, vr, size) + value


@pytest.mark.parametrize(
    "syntax",
    [*NATIVE, DeflatedExplicitVRLittleEndian, RLELossless, JPEG2000Lossless],
    ids=lambda syntax: syntax.name,
)
def test_identity_and_header_are_read_in_every_encoding(tmp_path: Path, syntax) -> None:
    original = data.ct_series(slices=1, rows=32, columns=32, transfer_syntax=syntax)[0]
    path = data.write([original], tmp_path)[0]
    instance = read_instance(path)
    assert instance.sop_instance_uid == original.SOPInstanceUID
    assert instance.sop_class_uid == original.SOPClassUID
    assert instance.transfer_syntax_uid == syntax
    assert (instance.path, instance.size_bytes) == (path, path.stat().st_size)
    assert instance.pixel_keyword == "PixelData"
    assert "PixelData" not in instance.header
    assert attributes.numbers(instance, "ImagePositionPatient") == pytest.approx((-7.75, -7.75, 0))
    assert instance.header.file_meta.MediaStorageSOPInstanceUID == original.SOPInstanceUID


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.name)
def test_data_set_without_preamble_shows_its_own_encoding(tmp_path: Path, syntax) -> None:
    instance = read_instance(saved(tmp_path, bare(one(transfer_syntax=syntax))))
    assert instance.transfer_syntax_uid == syntax
    assert attributes.integer(instance, "Rows") == 8


def test_bytes_win_over_a_transfer_syntax_that_contradicts_them(tmp_path: Path) -> None:
    implicit = bare(one(transfer_syntax=ImplicitVRLittleEndian))
    explicit_file = data.file_bytes(one())
    content = explicit_file[: len(explicit_file) - len(bare(one()))] + implicit
    instance = read_instance(saved(tmp_path, content))
    assert instance.transfer_syntax_uid == ImplicitVRLittleEndian
    assert attributes.text(instance, "Modality") == "CT"


def test_letters_dicm_inside_a_bare_data_set_are_no_prefix(tmp_path: Path) -> None:
    content = element(0x8, 0x5, b"CS", b"ISO_IR 100")
    content += element(0x8, 0x1010, b"SH", b"x" * (128 - len(content) - 8) + b"DICM") + UIDS
    assert content[128:132] == b"DICM"
    assert read_instance(saved(tmp_path, content)).sop_instance_uid == "1.2.3"


def test_attributes_after_the_pixel_data_are_ignored(tmp_path: Path) -> None:
    trailing = struct.pack("<HH2s2xL", 0xFFFC, 0xFFFC, b"OB", 4) + b"tail"
    instance = read_instance(saved(tmp_path, data.file_bytes(one()) + trailing))
    assert 0xFFFCFFFC not in instance.header


def test_header_longer_than_the_first_piece_is_read_whole(tmp_path: Path) -> None:
    long = one()
    long.private_block(0x0029, "LONG", create=True).add_new(0x10, "OB", b"x" * 3_000_000)
    instance = read_instance(data.write([long], tmp_path)[0])
    assert attributes.integer(instance, "Rows") == 8
    assert instance.pixel_keyword == "PixelData"


def test_value_beyond_the_limit_ends_the_header(tmp_path: Path) -> None:
    content = data.file_bytes(data.secondary_capture())
    content = content[: content.rindex(b"\xe0\x7f\x10\x00")]
    path = saved(tmp_path, content + struct.pack("<HH2s2xL", 0x0042, 0x0011, b"OB", HEADER_LIMIT + 2))
    with path.open("r+b") as file:
        file.truncate(len(content) + 12 + HEADER_LIMIT + 2)  # sparse: an encapsulated document of 64 MiB
    instance = read_instance(path)
    assert instance.pixel_keyword == ""
    assert "EncapsulatedDocument" not in instance.header


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_missing_identity_is_named(tmp_path: Path, keyword: str) -> None:
    assert keyword in refused(saved(tmp_path, _without(data.file_bytes(one()), keyword)))


def _without(content: bytes, keyword: str) -> bytes:
    """Blank the value of a UID in the encoded data set."""
    tag = {
        "StudyInstanceUID": b"\x20\0\x0d\0",
        "SeriesInstanceUID": b"\x20\0\x0e\0",
        "SOPInstanceUID": b"\x08\0\x18\0",
    }
    at = content.rindex(tag[keyword] + b"UI")
    length = int.from_bytes(content[at + 6 : at + 8], "little")
    return content[: at + 8] + b"\0" * length + content[at + 8 + length :]


@pytest.mark.parametrize("uid", ["../../etc/passwd", "..", ".", "a b", "1/2", "1.2\\3", "1" * 65])
def test_uid_that_cannot_name_anything_is_refused(tmp_path: Path, uid: str) -> None:
    value = uid.encode() + b"\0" * (len(uid) % 2)
    content = element(0x8, 0x18, b"UI", b"1.2.3\0") + element(0x20, 0xD, b"UI", b"1.2.4\0")
    assert "SeriesInstanceUID" in refused(saved(tmp_path, content + element(0x20, 0xE, b"UI", value)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"DICM",
        b"\0" * 132,
        b"# a text file\n" * 40,
        b"\x08\0",
        b"\x89PNG\r\n\x1a\n" + b"\0" * 300,
        b"\0" * 5000,
    ],
)
def test_what_is_not_dicom_is_refused(tmp_path: Path, content: bytes) -> None:
    assert refused(saved(tmp_path, content))


def test_every_truncation_of_a_header_is_refused_or_read(tmp_path: Path) -> None:
    content = data.file_bytes(one())
    end = content.rindex(b"\xe0\x7f\x10\x00")
    path = tmp_path / "cut"
    for length in range(0, end, 7):
        path.write_bytes(content[:length])
        try:
            instance = read_instance(path)
        except UnreadableInstanceError:
            continue
        assert instance.pixel_keyword == ""


def test_claimed_length_is_never_allocated(tmp_path: Path) -> None:
    path = saved(tmp_path, UIDS + element(0x28, 0x1201, b"OW", b"abcd", length=0xFFFFFFF0))
    tracemalloc.start()
    message = refused(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "claims 4294967280 bytes, 4 are left" in message
    assert peak < 1_000_000


def nested(depth: int, *, defined: bool) -> bytes:
    value = b""
    for _ in range(depth):
        item = struct.pack("<HHL", 0xFFFE, 0xE000, len(value) if defined else 0xFFFFFFFF) + value
        item += (
            b""
            if defined
            else struct.pack("<HHL", 0xFFFE, 0xE00D, 0) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
        )
        value = element(0x40, 0xA730, b"SQ", item, None if defined else 0xFFFFFFFF)
    return UIDS + value


@pytest.mark.parametrize("defined", [True, False])
def test_sequences_nested_64_deep_are_read_and_65_refused(tmp_path: Path, *, defined: bool) -> None:
    instance = read_instance(saved(tmp_path, nested(64, defined=defined)))
    level, depth = instance.header, 0
    while "ContentSequence" in level:
        level, depth = level.ContentSequence[0], depth + 1
    assert depth == 64
    assert "nested deeper than 64" in refused(saved(tmp_path, nested(65, defined=defined)))


@pytest.mark.parametrize("defined", [True, False])
def test_bottomless_nesting_is_refused_at_once(tmp_path: Path, *, defined: bool) -> None:
    depth = 3_000 if defined else 100_000
    content = (
        nested(depth, defined=defined)
        if defined
        else UIDS
        + 100_000
        * (
            struct.pack("<HH2s2xL", 0x40, 0xA730, b"SQ", 0xFFFFFFFF)
            + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
        )
    )
    path = saved(tmp_path, content)
    started = time.process_time()
    assert "nested deeper" in refused(path)
    assert time.process_time() - started < 5


def test_nesting_hidden_in_unknown_vr_is_found(tmp_path: Path) -> None:
    value = b""
    for _ in range(70):
        item = struct.pack("<HHL", 0xFFFE, 0xE000, len(value)) + value
        value = struct.pack("<HHL", 0x40, 0xA730, len(item)) + item
    content = UIDS + element(0x40, 0xA730, b"UN", value[8:])
    assert "nested deeper" in refused(saved(tmp_path, content))


def deflated(content: bytes) -> bytes:
    template = data.file_bytes(one(transfer_syntax=DeflatedExplicitVRLittleEndian))
    length = int.from_bytes(template[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return template[: 144 + length] + packer.compress(content) + packer.flush()


def test_deflate_bomb_in_the_header_is_refused_within_bounds(tmp_path: Path) -> None:
    bomb = deflated(UIDS + element(0x28, 0x1201, b"OW", b"\0" * 100_000_000))
    path = saved(tmp_path, bomb)
    tracemalloc.start()
    assert "inflates beyond" in refused(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * HEADER_LIMIT


def test_deflate_bomb_in_the_pixels_is_refused_by_its_claim(tmp_path: Path) -> None:
    bomb = deflated(UIDS + element(0x7FE0, 0x10, b"OW", b"\0" * 100_000_000))
    assert "inflate to" in refused(saved(tmp_path, bomb))


def test_damaged_deflate_stream_is_refused(tmp_path: Path) -> None:
    content = deflated(UIDS)
    assert "damaged" in refused(
        saved(tmp_path, content[: content.rindex(b"PYDICOM")] + b"PYDICOM 3.0.2 " + b"\xff" * 20)
    )


def test_folder_and_named_pipe_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe") == "not a regular file"
    assert refused(tmp_path) == "not a regular file"
    assert "cannot be opened" in refused(tmp_path / "absent")


@pytest.mark.parametrize("terms", ["ISO 2022 IR 999", "latin1", "ISO_IR_100", "\\ISO 2022 IR 87", ""])
def test_character_set_that_nobody_knows_does_not_stop_the_reading(tmp_path: Path, terms: str) -> None:
    value = terms.encode() + b" " * (len(terms) % 2)
    instance = read_instance(saved(tmp_path, element(0x8, 0x5, b"CS", value) + UIDS))
    assert instance.sop_instance_uid == "1.2.3"


def test_text_is_decoded_by_its_character_set(tmp_path: Path) -> None:
    image = one(SpecificCharacterSet="ISO_IR 192", SeriesDescription="Schädel nativ")
    assert (
        attributes.text(read_instance(data.write([image], tmp_path)[0]), "SeriesDescription")
        == "Schädel nativ"
    )


def test_hostile_values_cost_no_exception_but_the_declared_one(tmp_path: Path) -> None:
    """Every byte of a small header set to a few hostile values, one after the other."""
    content = bytearray(bare(one()))
    end = content.rindex(b"\xe0\x7f\x10\x00")
    path = tmp_path / "fuzzed"
    for at in range(0, end, 3):
        for value in (0x00, 0xFF):
            kept, content[at] = content[at], value
            path.write_bytes(bytes(content))
            content[at] = kept
            try:
                read_instance(path)
            except UnreadableInstanceError:
                continue


def test_headers_are_read_without_looking_at_all_that_they_hold(tmp_path: Path) -> None:
    paths = data.write(data.ct_series(slices=250, rows=4, columns=4), tmp_path)
    started = time.process_time()
    for path in paths:
        read_instance(path)
    assert time.process_time() - started < 2  # 0.2 s on a quiet core; the rest is for a busy machine


def test_hostile_real_files_are_refused_or_read(shared_data: Path) -> None:
    folders = (
        "bad_files_fodicom",
        "bad_files_orthanc",
        "bad_truncated_3gb",
        "bits_packed_12",
        "charset",
        "pydicom_test_files",
    )
    for folder in folders:
        for path in sorted((shared_data / folder).rglob("*")):
            if not path.is_file():
                continue
            started = time.process_time()
            try:
                instance = read_instance(path)
            except UnreadableInstanceError:
                continue
            assert instance.sop_instance_uid
            assert time.process_time() - started < 5


@pytest.mark.parametrize("element", [2, 3])
def test_a_damaged_file_meta_information_hides_no_instance(tmp_path, element):
    (dataset,) = data.ct_series(slices=1, rows=16, columns=16)
    content = bytearray(data.file_bytes(dataset))
    at = content.index(bytes((2, 0, element, 0))) + 4
    content[at : at + 2] = b"QI"  # no value representation
    (tmp_path / "0.dcm").write_bytes(content)
    (series,), unreadable = series_from_files([tmp_path / "0.dcm"])
    assert unreadable == []
    assert identity.file_meta_against_data_set(series) == []
