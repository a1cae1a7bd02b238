"""Files of every kind and defect: nothing fails, and what is no image is refused."""

from __future__ import annotations

from real_groups import group_of, real


def test_pydicom_test_files():
    judged, unread = group_of("pydicom_test_files")
    assert not any("TRI-ERR-001" in each.codes for each in judged.values())
    assert not any("NRM-ERR-001" in each.codes for each in judged.values())
    assert all(
        "UID" in reason or "not a DICOM file" in reason or "claims" in reason for reason in unread.values()
    )


def test_pydicom_test_files_ultrasound_loop():
    series = real("pydicom_test_files", "850.2171")
    assert series.shapes == {(320, 240, 30): 1}
    assert {"LOS-001", "USX-001"} <= series.codes
