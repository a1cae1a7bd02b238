"""Files grouped into series: order, siblings, repeated and conflicting instances, strays."""

from __future__ import annotations

import struct
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian, RLELossless

import data
from handlers.model import Severity
from handlers.reading import series_from_files


def saved(folder: Path, content: bytes, name: str = "file") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    return path


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


def test_digests_in_place_of_uids_are_used_and_told(tmp_path: Path) -> None:
    content = element(0x8, 0x18, b"UI", b"dccc95990871") + element(0x20, 0xD, b"UI", b"1.2.4\0")
    saved(tmp_path, content + element(0x20, 0xE, b"UI", b"dbf60361"))
    (series,), _ = series_from_files(tmp_path.iterdir())
    assert series.series_instance_uid == "dbf60361"
    (finding,) = series.findings
    assert (finding.code, finding.evidence["keywords"]) == (
        "ING-013",
        ["SeriesInstanceUID", "SOPInstanceUID"],
    )


def test_files_are_grouped_sorted_and_counted(tmp_path: Path) -> None:
    first, second = data.ct_series(slices=4, rows=4, columns=4), data.mr_series(slices=3, rows=4, columns=4)
    data.write([*second[::-1], *first], tmp_path)
    saved(tmp_path, b"no DICOM at all", "notes.txt")
    counts: list[int] = []
    series, unreadable = series_from_files(sorted(tmp_path.iterdir(), reverse=True), progress=counts.append)
    assert counts == list(range(1, 9))
    assert [path.name for path, _ in unreadable] == ["notes.txt"]
    assert [len(each.instances) for each in series] == [
        4 if each.instances[0].header.Modality == "CT" else 3 for each in series
    ]
    assert [each.series_instance_uid for each in series] == sorted(
        {first[0].SeriesInstanceUID, second[0].SeriesInstanceUID}
    )
    for each in series:
        uids = [instance.sop_instance_uid for instance in each.instances]
        assert uids == sorted(uids)


def test_each_series_knows_its_siblings(tmp_path: Path) -> None:
    data.write(data.ct_series(slices=2, rows=4, columns=4, SeriesDescription="THORAX ART"), tmp_path)
    data.write(data.ct_series(slices=2, rows=4, columns=4, name="other", SeriesNumber=7), tmp_path)
    data.write(data.ct_series(slices=2, rows=4, columns=4, name="elsewhere", study_uid="2.25.5"), tmp_path)
    series, _ = series_from_files(tmp_path.iterdir())
    by_uid = {each.series_instance_uid: each for each in series}
    arterial = data.uid("series", "ct", "")
    (sibling,) = by_uid[arterial].study
    assert sibling.series_instance_uid == data.uid("series", "ct", "other")
    assert sibling.facts["SeriesNumber"] == 7
    assert sibling.facts["ImageType"] == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert by_uid[data.uid("series", "ct", "elsewhere")].study == ()


def test_repeated_file_is_one_instance(tmp_path: Path) -> None:
    images = data.ct_series(slices=2, rows=4, columns=4)
    data.write([*images, images[0]], tmp_path)
    (series,), _ = series_from_files(tmp_path.iterdir())
    assert len(series.instances) == 2
    (finding,) = series.findings
    assert (finding.code, finding.severity, finding.target) == (
        "ING-003",
        Severity.INFO,
        images[0].SOPInstanceUID,
    )


def test_one_uid_with_other_content_is_a_conflict_settled_by_content(tmp_path: Path) -> None:
    native = data.ct_series(slices=1, rows=8, columns=8)
    packed = data.ct_series(slices=1, rows=8, columns=8, transfer_syntax=RLELossless)
    data.write([*packed, *native], tmp_path / "a")
    data.write([*native, *packed], tmp_path / "b")
    for folder in ("a", "b"):
        (series,), _ = series_from_files((tmp_path / folder).iterdir())
        assert [instance.transfer_syntax_uid for instance in series.instances] == [ExplicitVRLittleEndian]
        (finding,) = series.findings
        assert (finding.code, finding.severity) == ("ING-002", Severity.REVIEW)
        assert finding.evidence["TransferSyntaxUID"] == [ExplicitVRLittleEndian, RLELossless]


def test_broken_file_is_listed_with_the_series_that_its_header_names(tmp_path: Path) -> None:
    images = data.ct_series(slices=2, rows=4, columns=4)
    data.write(images, tmp_path)
    content = data.file_bytes(data.ct_series(slices=3, rows=4, columns=4)[2])
    cut = saved(tmp_path, content[: content.rindex(b"\x28\0\x10\0") + 9], "cut.dcm")
    (series,), unreadable = series_from_files(tmp_path.iterdir())
    assert unreadable == []
    assert [path for path, _ in series.unreadable] == [cut]
    assert len(series.instances) == 2


def directory() -> bytes:
    content = data.file_bytes(data.projection())
    return content[:132] + (
        element(2, 2, b"UI", b"1.2.840.10008.1.3.10") + element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1\0")
    )


def test_dicomdir_is_passed_over_unless_it_is_alone(tmp_path: Path) -> None:
    alone = saved(tmp_path / "alone", directory(), "DICOMDIR")
    series, unreadable = series_from_files([alone])
    assert (series, [path for path, _ in unreadable]) == ([], [alone])
    data.write([data.projection()], tmp_path / "study")
    saved(tmp_path / "study", directory(), "DICOMDIR")
    series, unreadable = series_from_files((tmp_path / "study").iterdir())
    assert (len(series), unreadable) == (1, [])
