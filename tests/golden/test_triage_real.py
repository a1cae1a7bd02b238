"""Triage of real files, judged by the facts that are known of them (SERIES.csv, MANIFEST.csv)."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pytest

from handlers.api import Recipe
from handlers.errors import HandlerError
from handlers.model import Series, Verdict
from handlers.reading import read_instance, series_from_files
from handlers.triage import lossy
from handlers.triage.rules import HEADER_RULES, judge
from handlers.triage.verdict import volume_verdict
from handlers.volumes import split

STACKS = ("CT", "MR", "PT")


@pytest.fixture(scope="module")
def facts(shared_data: Path) -> dict[tuple[str, str], dict[str, str]]:
    with (shared_data / "SERIES.csv").open(newline="") as file:
        return {(row["group"], row["series_uid"]): row for row in csv.DictReader(file) if row["series_uid"]}


@pytest.fixture(scope="module")
def judged(shared_data: Path, facts) -> dict[tuple[str, str], tuple[Series, list]]:
    """Every series of every group: split, and what the header rules found."""
    found = {}
    for group in sorted({group for group, _ in facts}):
        files = [path for path in sorted((shared_data / group).rglob("*")) if path.is_file()]
        for series in series_from_files(files)[0]:
            whole = split(series)
            found[group, series.series_instance_uid] = whole, judge(whole, HEADER_RULES)
    return found


def codes_of(findings, *targets: str) -> set[str]:
    return {finding.code for finding in findings if not targets or finding.target in targets}


def test_no_rule_fails_on_any_real_series(judged):
    failed = {
        key: f.message for key, (_, findings) in judged.items() for f in findings if f.code == "TRI-ERR-001"
    }
    assert failed == {}


def test_every_localizer_is_refused(judged, facts):
    localizers = [
        key
        for key, row in facts.items()
        if row["is_localizer"] == "True" and key in judged and judged[key][0].volumes
    ]
    assert len(localizers) >= 4
    for key in localizers:
        series, findings = judged[key]
        for volume in series.volumes:
            assert "TRI-LOC-001" in codes_of(findings, volume.name), key
            assert volume_verdict(findings, volume, Recipe()) is Verdict.REJECT, key


def test_every_secondary_capture_is_refused(judged, facts):
    screens = [key for key, row in facts.items() if row["all_secondary_capture"] == "True" and key in judged]
    assert len(screens) >= 10
    for key in screens:
        series, findings = judged[key]
        if not series.instances:
            continue
        assert "TRI-SC-001" in codes_of(findings), key
        assert all(
            volume_verdict(findings, volume, Recipe()) is Verdict.REJECT for volume in series.volumes
        ), key


def test_no_real_stack_is_called_a_localizer_or_a_screen(judged, facts):
    checked = 0
    for key, row in facts.items():
        is_stack = row["modality"] in STACKS and float(row["n_positions"] or 0) >= 3
        if (
            key not in judged
            or not is_stack
            or row["is_localizer"] == "True"
            or row["is_secondary_capture"] == "True"
        ):
            continue
        wrong = {
            "TRI-LOC-001",
            "TRI-LOC-002",
            "TRI-SC-001",
            "TRI-SC-003",
            "TRI-OBJ-001",
            "TRI-OBJ-002",
            "TRI-OBJ-003",
        }
        assert codes_of(judged[key][1]) & wrong == set(), key
        checked += 1
    assert checked >= 20


def test_lossy_is_said_of_exactly_the_lossy_files(shared_data):
    wrong, seen = [], defaultdict(int)
    with (shared_data / "MANIFEST.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["has_pixels"] == "True"]
    for row in rows:
        try:
            instance = read_instance(shared_data / row["path"])
        except HandlerError:
            continue
        if not instance.pixel_keyword:
            continue
        told = lossy.lossy_history(Series("1", "1", (instance,)))
        is_lossy = any(finding.code == "LOS-001" for finding in told)
        seen[is_lossy] += 1
        if is_lossy != (row["lossy"] == "True"):
            wrong.append((row["path"], row["lossy"], [finding.message for finding in told]))
    assert wrong == []
    assert seen[True] >= 20
    assert seen[False] >= 300


def test_measured_tilt_is_found_where_it_is_known(judged, facts):
    tilted = {
        key: float(row["shear_deg"])
        for key, row in facts.items()
        if row["shear_deg"] and float(row["shear_deg"]) > 0.5
    }
    assert len(tilted) >= 3
    for key, degrees in tilted.items():
        (finding,) = [f for f in judged[key][1] if f.code == "GEO-008"]
        assert finding.evidence["shear_deg"] == pytest.approx(degrees, abs=0.01)


@pytest.mark.parametrize(
    ("group", "expected", "absent"),
    [
        ("ct_ge_missing_slice", {"GEO-005"}, {"GEO-006"}),
        ("ct_siemens_tilt_missing_slice", {"GEO-005", "GEO-008"}, {"GEO-006"}),
        ("ct_philips_tilt_-18.5", {"GEO-008", "GEO-011", "KER-001"}, {"GEO-009", "GEO-012"}),
        ("ct_not_a_volume", {"TRI-DER-005"}, set()),
        ("ct_dcmqi_overlap", {"GEO-012"}, {"GEO-008"}),
        ("ct_philips_exam_summary", {"TRI-SC-001", "TRI-SC-003", "DEI-BIA-001"}, {"TRI-LOC-002"}),
        ("mr_genesis_HFP_cor", {"GEO-018"}, {"TRI-LOC-002"}),
        ("mr_siemens_HFDR_sag", {"GEO-018", "GEO-012"}, {"TRI-LOC-002"}),
        ("emr_siemens_xa10_multi", {"SPL-001"}, {"TRI-DER-002"}),
        ("ect_perfusion", {"TRI-DER-001", "TRI-DER-004"}, {"TRI-DER-003"}),
        ("seg_dcmqi", {"TRI-OBJ-001"}, set()),
        ("rt_objects", {"TRI-OBJ-001"}, set()),
        ("cr_mono1_fuji_nopreamble", {"SPC-001"}, {"TRI-DER-001"}),
        ("ct_torchio_ras", {"HU-008"}, {"GEO-008", "TRI-LOC-002"}),
    ],
)
def test_known_quirks_are_named(judged, group, expected, absent):
    found = {
        f.code
        for (name, _), (series, findings) in judged.items()
        if name == group
        for f in (*series.findings, *findings)
    }
    assert expected <= found
    assert found & absent == set()


def test_the_kernel_of_philips_is_classified(judged):
    findings = [f for (group, _), (_, all_) in judged.items() if group == "ct_philips_head_5mm" for f in all_]
    (kernel,) = [f.evidence["kernel"] for f in findings if f.code == "KER-001"]
    assert (kernel["raw"], kernel["class"], kernel["vendor"]) == ("UB", "medium", "philips")


def test_the_private_cardiac_phase_of_ge_is_found(judged):
    told = [
        f.evidence["cardiac"]
        for (group, _), (_, all_) in judged.items()
        if group == "pydicom_dicomdir_tree"
        for f in all_
        if f.code == "GAT-001"
    ]
    assert [each["phase_percent"] for each in told] == [70.0]


def test_no_finding_quotes_a_patient(judged):
    for series, findings in judged.values():
        for instance in series.instances[:1]:
            name = str(instance.header.get("PatientName", ""))
            if len(name) > 5:
                assert all(name not in f"{f.message}{f.evidence}" for f in findings)
