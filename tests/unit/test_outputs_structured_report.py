"""The report as DICOM: a valid object, the same every time, that says who found what."""

import shutil
import subprocess

import pydicom
import pytest
from pydicom.uid import EnhancedSRStorage

import data
from handlers.api import Recipe
from handlers.model import Finding, Scope, Severity, Verdict
from handlers.outputs import structured_report
from handlers.preprocess import preprocess
from handlers.reading import series_from_files
from outcomes import ct_volume, kernel_finding, outcome_of

FINDINGS = (
    kernel_finding(),
    Finding(
        "GEO-005",
        Severity.REVIEW,
        "1 slice is missing after 4° of tilt",
        Scope.VOLUME,
        "v0",
        {"gaps_mm": [2, 4]},
    ),
)


def written(tmp_path, datasets=None, **changes):
    outcome = outcome_of(ct_volume(datasets), findings=FINDINGS, verdicts=(Verdict.QUARANTINE,), **changes)
    tmp_path.mkdir(exist_ok=True)
    (product,) = structured_report.write(outcome, tmp_path)
    return tmp_path / product.path


def texts(item):
    """Every code and text in a content tree."""
    found = []
    if "ConceptCodeSequence" in item:
        found.append(item.ConceptCodeSequence[0].CodeValue)
    if "TextValue" in item:
        found.append(item.TextValue)
    for child in item.get("ContentSequence", ()):
        found += texts(child)
    return found


def test_it_refers_to_its_study_and_says_what_was_found(tmp_path):
    datasets = data.ct_series(slices=3, rows=8, columns=8)
    document = pydicom.dcmread(written(tmp_path, datasets))
    assert document.SOPClassUID == EnhancedSRStorage
    assert document.Modality == "SR"
    assert document.StudyInstanceUID == datasets[0].StudyInstanceUID
    assert document.SeriesInstanceUID != datasets[0].SeriesInstanceUID
    assert (document.PatientID, document.PatientName) == ("PHANTOM", "Phantom^Water")
    assert (document.VerificationFlag, document.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    told = texts(document)
    assert {"QUARANTINE", "KER-001", "GEO-005"} <= set(told)
    assert any("4° of tilt" in text for text in told)


def test_a_second_run_makes_the_same_object(tmp_path):
    assert written(tmp_path / "a").read_bytes() == written(tmp_path / "b").read_bytes()


def test_another_revision_is_another_object(tmp_path):
    from dataclasses import replace

    outcome = outcome_of(ct_volume(), findings=FINDINGS)
    again = replace(outcome, series=replace(outcome.series, revision=2))
    uids = set()
    for number, each in enumerate((outcome, again)):
        folder = tmp_path / str(number)
        folder.mkdir()
        structured_report.write(each, folder)
        uids.add(pydicom.dcmread(folder / structured_report.FILE_NAME).SOPInstanceUID)
    assert len(uids) == 2


@pytest.mark.parametrize(
    "header",
    [
        {},
        {
            "PatientName": None,
            "PatientID": None,
            "PatientBirthDate": None,
            "StudyDate": None,
            "StudyID": None,
        },
        {"PatientSex": "OTHER", "SeriesNumber": None},
        {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jörg"},
    ],
)
def test_dciodvfy_finds_no_error(tmp_path, header):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    path = written(tmp_path, data.ct_series(slices=3, rows=8, columns=8, **header))
    checked = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False, timeout=60)
    errors = [line for line in (checked.stdout + checked.stderr).splitlines() if line.startswith("Error")]
    assert errors == []


def test_a_series_without_a_readable_instance_has_none(tmp_path):
    from dataclasses import replace

    outcome = outcome_of(ct_volume())
    empty = replace(outcome, series=replace(outcome.series, instances=()), volumes=(), volume_verdicts=())
    assert structured_report.write(empty, tmp_path) == []


def test_a_malformed_header_is_quoted_nowhere(tmp_path, recwarn):
    datasets = data.ct_series(slices=3, rows=8, columns=8)
    datasets[0].add_new("StudyDate", "LO", "not a date")
    datasets[0].add_new("PatientID", "LT", "x" * 80)
    document = pydicom.dcmread(written(tmp_path, datasets))
    assert not recwarn.list
    assert document.SOPClassUID == EnhancedSRStorage


def test_a_report_that_the_library_refuses_is_told_and_the_other_outputs_stay(tmp_path, monkeypatch):
    def refusing(*_):
        raise ValueError("a value that nobody foresaw")

    monkeypatch.setattr(structured_report, "_document", refusing)
    data.write(data.ct_series(slices=12), tmp_path / "in")
    (series,), _ = series_from_files((tmp_path / "in").iterdir())
    outcome = preprocess(series, tmp_path / "out", Recipe(writers=("structured-report",)))
    assert "NRM-SR-001" in {finding.code for finding in outcome.findings}
    assert outcome.verdict is Verdict.ACCEPT_WARN
    assert (tmp_path / "out" / "v0.nii.gz").exists()
    assert not list((tmp_path / "out").rglob("*.dcm"))
