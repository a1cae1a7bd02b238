"""The first bytes of codestreams: where they lie in a file, and which of them say that information was lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from handlers.triage import codestream
from triage_cases import header, instance

J2K, JLS = "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.81"
TAG = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff"
SOC_SIZ = b"\xff\x4f\xff\x51\x00\x04\x00\x00"
SOI = b"\xff\xd8"
WINDOW, LARGEST = 1 << 18, 1 << 25  # bytes of a file that are read at first, and at most


def cod(transformation: int) -> bytes:
    """ISO 15444-1 A.6.1: Lcod 12, and the transformation last; 0 is the irreversible 9-7."""
    return b"\xff\x52\x00\x0c" + bytes([0, 0, 0, 1, 0, 5, 4, 4, 0, transformation])


def comment(size: int, marker: bytes = b"\xff\x64") -> bytes:
    """A segment whose length, of so many bytes, counts itself."""
    return marker + size.to_bytes(2, "big") + b"\x00" * (size - 2)


def scan(near: int, components: int = 1) -> bytes:
    """ISO 14495-1 C.2.3: SOS, its length, the components with two bytes each, and NEAR."""
    selectors = b"".join(bytes([9 - k, 0]) for k in range(components))
    return (
        b"\xff\xda"
        + (6 + 2 * components).to_bytes(2, "big")
        + bytes([components])
        + selectors
        + bytes([near, 0, 0])
    )


def loses(folder: Path, content: bytes, syntax: str = J2K, **attributes):
    path = folder / "file"
    path.write_bytes(content)
    return codestream.is_irreversible(instance(path=path, syntax=syntax, **attributes))


def in_file(stream: bytes, *, table: bool = False) -> bytes:
    return bytes(300) + TAG + encapsulate([stream], has_bot=table)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (SOC_SIZ + cod(0), True),
        (SOC_SIZ + cod(1), False),  # the last byte of the stream
        (SOC_SIZ + cod(0)[:-1], None),
        (SOC_SIZ + comment(300) + cod(0), True),
        (SOC_SIZ + comment(300) + cod(1), False),
        (SOC_SIZ + comment(2) + cod(0), True),  # a segment of nothing but its length
        (SOC_SIZ + b"\xff\x64\x00\x01" + cod(0), None),
        (SOC_SIZ + b"\x00\x64\x00\x02" + cod(0), None),
        (SOC_SIZ + comment(10, b"\xff\x90") + cod(0), None),  # a tile-part begins: the main header is over
        (b"jp2 box " + SOC_SIZ + cod(0), True),
        (cod(0) + bytes(20), None),
    ],
)
def test_the_wavelet_is_in_the_coding_style_of_the_main_header(stream, expected):
    assert codestream._wavelet_is_irreversible(stream) is expected


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (SOI + scan(0), False),
        (SOI + scan(1), True),
        (SOI + scan(3, components=3), True),
        (SOI + scan(0, components=3), False),
        (SOI + comment(300, b"\xff\xfe") + scan(2), True),
        (SOI + comment(2, b"\xff\xfe") + scan(2), True),
        (SOI + b"\xff\xfe\x00\x01" + scan(2), None),
        (SOI + b"\x00\xfe\x00\x02" + scan(2), None),
        (SOI + scan(2)[:7], None),
        (SOI + scan(2)[:8], True),
        (SOI + scan(2)[:4], None),
        (b"\xff\xd9" + scan(2), None),
    ],
)
def test_the_error_of_jpeg_ls_is_in_its_first_scan(stream, expected):
    assert codestream._near_is_set(stream) is expected


@pytest.mark.parametrize("table", [False, True], ids=["empty offset table", "offset table"])
@pytest.mark.parametrize("transformation", [0, 1])
def test_the_offset_table_is_passed_over(tmp_path, table, transformation):
    stream = SOC_SIZ + cod(transformation)
    assert loses(tmp_path, in_file(stream, table=table)) is (transformation == 0)


def test_only_the_first_fragment_is_read(tmp_path):
    parts = encapsulate([SOC_SIZ, cod(0) + b"\xff\x90"], has_bot=False)
    assert loses(tmp_path, bytes(8) + TAG + parts) is None


@pytest.mark.parametrize(("size", "expected"), [(4070, True), (4076, None)])
def test_the_main_header_lies_in_the_first_4096_bytes(tmp_path, size, expected):
    """8 bytes before the comment, 2 of its marker, and 14 of the coding style behind it."""
    stream = SOC_SIZ + comment(size) + cod(0) + bytes(200)
    assert loses(tmp_path, in_file(stream)) is expected


def test_the_coding_style_may_end_with_the_last_of_them(tmp_path):
    stream = SOC_SIZ + comment(4096 - 8 - 2 - 14) + cod(0)
    assert len(stream) == 4096
    assert loses(tmp_path, in_file(stream + bytes(100))) is True
    later = SOC_SIZ + comment(4096 - 8 - 2 - 14 + 2) + cod(0)
    assert loses(tmp_path, in_file(later + bytes(100))) is None


@pytest.mark.parametrize("before", [0, WINDOW - 5, WINDOW + 100, 3 * WINDOW, LARGEST - 5000])
def test_the_header_may_be_long(tmp_path, before):
    assert loses(tmp_path, bytes(before) + TAG + encapsulate([SOC_SIZ + cod(0)])) is True


def test_behind_32_megabytes_nothing_is_looked_for(tmp_path):
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.seek(LARGEST + 100)
        file.write(TAG + encapsulate([SOC_SIZ + cod(0)]))
        file.write(bytes(100))
    assert codestream.is_irreversible(instance(path=path, syntax=J2K)) is None


@pytest.mark.parametrize(
    "content",
    [b"", bytes(300), TAG, TAG + b"\x00" * 20, TAG + b"\xfe\xff\x00\xe0\x00\x00\x00\x00" + bytes(30)],
)
def test_without_pixel_data_in_items_nothing_is_known(tmp_path, content):
    assert loses(tmp_path, content) is None


def icon(*, is_compressed: bool | None):
    made = Dataset()
    if is_compressed is not None:
        made.add_new("PixelData", "OB", b"\x00\x00")
        made["PixelData"].is_undefined_length = is_compressed
    return made


@pytest.mark.parametrize(
    ("icons", "streams", "expected"),
    [
        ([True], [cod(1), cod(0)], True),  # the first stream of the file is that of the icon
        ([False], [cod(0)], True),
        ([None], [cod(0)], True),
        ([True, True], [cod(1), cod(1), cod(0)], True),
        ([True, True, True], [cod(0)], None),  # fewer streams than icons: none is that of the image
        ([True], [cod(0)], None),
    ],
)
def test_streams_of_icons_are_passed_over(tmp_path, icons, streams, expected):
    content = b"".join(TAG + encapsulate([SOC_SIZ + each]) for each in streams)
    sequence = [icon(is_compressed=each) for each in icons]
    assert loses(tmp_path, bytes(40) + content, IconImageSequence=sequence) is expected


def test_the_stream_of_an_icon_may_lie_at_the_very_front(tmp_path):
    content = b"".join(TAG + encapsulate([SOC_SIZ + cod(each)]) for each in (1, 0))
    sequence = [icon(is_compressed=True)]
    assert loses(tmp_path, content, IconImageSequence=sequence) is True


def test_other_transfer_syntaxes_and_lost_files_say_nothing(tmp_path):
    assert loses(tmp_path, in_file(SOC_SIZ + cod(0)), "1.2.840.10008.1.2.4.50") is None
    lost = instance(path=tmp_path / "none", syntax=J2K, IconImageSequence=[header({})])
    assert codestream.is_irreversible(lost) is None
    assert loses(tmp_path, in_file(SOI + scan(2)), JLS) is True
