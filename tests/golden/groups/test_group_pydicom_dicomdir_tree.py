"""A small archive: projections, scouts, a gated scan, pilots, and a scan with a gap."""

from __future__ import annotations

from real_groups import group_of, real


def test_pydicom_dicomdir_tree_scouts():
    assert "TRI-LOC-001" in real("pydicom_dicomdir_tree", "6302.0.2").codes


def test_pydicom_dicomdir_tree_gated():
    series = real("pydicom_dicomdir_tree", "6302.0.6")
    assert series.shapes == {(16, 16, 5): 1}
    assert "GAT-001" in series.codes


def test_pydicom_dicomdir_tree_gap():
    series = real("pydicom_dicomdir_tree", "8319.0.2")
    assert series.verdict == "QUARANTINE"
    assert "GEO-005" in series.codes


def test_pydicom_dicomdir_tree_pilots():
    judged, _ = group_of("pydicom_dicomdir_tree")
    pilots = [each for each in judged.values() if "MR" in each.modalities]
    assert len(pilots) == 7
    assert {each.verdict for each in pilots} == {"REJECT"}


def test_pydicom_dicomdir_tree_projections():
    judged, _ = group_of("pydicom_dicomdir_tree")
    projections = [each for each in judged.values() if "CR" in each.modalities]
    assert len(projections) == 3
    assert all("POL-001" in each.codes for each in projections)
