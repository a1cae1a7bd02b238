"""What a delivery sends: the files behind outputs, report and originals."""

from pathlib import Path

import pytest

from node.errors import DeliveryError
from node.forwarding.package import Deadline, pack

SERIES = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3", "revision": 2}
NAMES = ["v0.nii.gz", "v0.json", "v0.png", "report.json", "report.html", "dicom/report.dcm", "dicom/mask.dcm"]
OUTPUTS = [
    {"path": f"1.2/1.2.3/r2/{name}", "kind": "k", "sha256": "a", "size_bytes": 10, "volume_index": 0}
    for name in NAMES
]
INSTANCES = [
    {
        "SOPInstanceUID": "1.2.3.1",
        "path": "/spool/a.dcm",
        "size_bytes": 100,
        "sha256": "b",
        "is_conflict": False,
    },
    {
        "SOPInstanceUID": "1.2.3.1",
        "path": "/spool/b.dcm",
        "size_bytes": 100,
        "sha256": "c",
        "is_conflict": True,
    },
]


def names(*send):
    package = pack(send, series=SERIES, outputs=OUTPUTS, instances=INSTANCES, outputs_dir=Path("/out"))
    return [item.name for item in package.items]


def test_outputs_report_and_originals_are_told_apart():
    assert names("report") == ["dicom/report.dcm", "report.html", "report.json"]
    assert names("outputs") == ["dicom/mask.dcm", "v0.json", "v0.nii.gz", "v0.png"]
    assert names("originals") == ["originals/1.2.3.1.dcm"]
    assert len(names("outputs", "report", "originals")) == 8


def test_of_two_objects_with_one_uid_only_the_first_is_sent():
    package = pack(["originals"], series=SERIES, outputs=(), instances=INSTANCES, outputs_dir=Path("/out"))
    assert [item.path for item in package.items] == [Path("/spool/a.dcm")]


def test_a_package_knows_where_its_bytes_lie_and_how_many_there_are():
    package = pack(["outputs"], series=SERIES, outputs=OUTPUTS, instances=(), outputs_dir=Path("/out"))
    assert package.items[0].path == Path("/out/1.2/1.2.3/r2/dicom/mask.dcm")
    assert package.size_bytes == 40


def test_an_attempt_has_its_base_time_and_a_second_for_each_megabyte():
    now = [0.0]
    deadline = Deadline(60, 120_000_000, clock=lambda: now[0])
    now[0] = 179.0
    deadline.check()
    now[0] = 180.0
    with pytest.raises(DeliveryError, match="given up after 180 s") as raised:
        deadline.check()
    assert raised.value.retryable
