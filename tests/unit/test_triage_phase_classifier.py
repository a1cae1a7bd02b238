"""A site's own classifier of contrast phases: its answer counts, its failure is told and costs nothing else."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from handlers.api import ContrastOptions
from handlers.model import Severity
from handlers.triage import contrast_phase, phase_classifier
from triage_cases import codes, only, series
from trunks import ct

SMALL = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)


def script(tmp_path, body, timeout_s=20.0):
    path = tmp_path / "classifier.py"
    path.write_text(f"import json, sys\nquestion = json.load(sys.stdin)\n{body}\n", encoding="utf-8")
    return ContrastOptions(classifier=(sys.executable, str(path)), classifier_timeout_s=timeout_s)


def answering(tmp_path, **answer):
    return script(tmp_path, f"print({json.dumps(json.dumps(answer))})")


def test_the_answer_is_a_line_of_evidence(tmp_path):
    answer = phase_classifier.ask(
        ct(SMALL), answering(tmp_path, model="m 1", likelihoods={"ART": 0.9, "PV": 0.1})
    )
    (line,) = answer.evidence
    assert (line.source, line.raw, line.supports) == ("classifier", "m 1", ("ART",))
    assert all(value > 0 for value in line.likelihood.values())


def test_it_gets_the_values_and_a_few_attributes(tmp_path):
    body = (
        "import nibabel, numpy\n"
        "image = nibabel.load(question['volume'])\n"
        "same = image.shape == (5, 4, 3) and int(image.get_fdata()[4, 3, 2]) == 59\n"
        "same = same and numpy.allclose(numpy.diag(image.affine), [-2, -2, 2.5, 1])\n"
        "same = same and question['header']['KVP'] == 120 and 'PatientName' not in question['header']\n"
        "print(json.dumps({'likelihoods': {'PV' if same else 'NC': 1}}))"
    )
    answer = phase_classifier.ask(ct(SMALL, PatientName="A^B"), script(tmp_path, body))
    assert answer.evidence[0].supports == ("PV",)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("sys.exit(3)", "ended with 3"), ("print('no')", "no JSON"), ("print('{}')", "likelihoods"),
        ("print('{\"likelihoods\": {\"X\": 1}}')", "no class"), ("print('{\"likelihoods\": {\"NC\": NaN}}')", "no number"),
        ("print('{\"likelihoods\": {\"NC\": 0}}')", "all are 0"), ("print(' ' * (1 << 21))", "too long"),
    ],
)  # fmt: skip
def test_a_useless_answer_is_told(tmp_path, body, reason):
    answer = phase_classifier.ask(ct(SMALL), script(tmp_path, body))
    assert answer.evidence == ()
    assert reason in answer.failure


def test_a_command_that_hangs_is_ended(tmp_path):
    options = script(tmp_path, "import time; time.sleep(600)", timeout_s=0.5)
    assert "longer than 0.5 s" in phase_classifier.ask(ct(SMALL), options).failure


def test_a_command_that_does_not_exist_is_told():
    options = ContrastOptions(classifier=("/does/not/exist",))
    assert "could not be started" in phase_classifier.ask(ct(SMALL), options).failure


def judged(options, **attributes):
    decoded = ct(SMALL, **attributes)
    return contrast_phase.ContrastPhase(False, options, series(decoded))(series(decoded))


def test_a_failure_is_a_finding_beside_the_label_of_the_headers(tmp_path):
    found = judged(script(tmp_path, "sys.exit(1)"), SeriesDescription="ARTERIAL", ContrastBolusAgent="X")
    assert codes(found) == ["CON-001", "CON-011"]
    assert only(found, "CON-011").severity is Severity.WARN


def test_an_answer_against_the_description_is_held(tmp_path):
    options = answering(tmp_path, likelihoods={"DEL": 1.0})
    found = judged(options, SeriesDescription="ARTERIAL", ContrastBolusAgent="X")
    assert "CON-004" in codes(found)
    assert "CON-011" not in codes(found)


def understood(**likelihoods):
    return phase_classifier._understood(json.dumps({"likelihoods": likelihoods}).encode(), 0.7)


@pytest.mark.parametrize(
    ("likelihoods", "is_taken"),
    [
        ({"ART": 1}, True), ({"ART": 1.0001}, False), ({"ART": 0, "PV": 0.2}, True), ({"ART": -0.1, "PV": 0.2}, False),
        ({"ART": 0.9, "PV": "much"}, False), ({"ART": 0.9, "PV": True}, False), ({"ART": 0, "PV": 0}, False),
        ({}, False),
    ],
)  # fmt: skip
def test_a_likelihood_lies_between_0_and_1(likelihoods, is_taken):
    assert (understood(**likelihoods).failure == "") is is_taken


def test_likelihoods_count_against_the_largest_and_none_is_ever_nothing():
    (line,) = understood(ART=0.5, PV=0.3, NC=0.001).evidence
    assert line.likelihood["ART"] == 1.0
    assert line.likelihood["PV"] == pytest.approx(0.6)
    assert line.likelihood["NC"] == line.likelihood["EXC"] == 0.005
    assert line.supports == ("ART", "PV")
    assert line.weight == 0.7


@pytest.mark.parametrize("likelihoods", [[], "x", None, {}])
def test_an_answer_without_likelihoods_is_told(likelihoods):
    answer = phase_classifier._understood(json.dumps({"likelihoods": likelihoods}).encode(), 1.0)
    assert answer.failure == 'its answer has no "likelihoods"'


@pytest.mark.parametrize(("size", "failure"), [(1 << 20, ""), ((1 << 20) + 1, "its answer is too long")])
def test_an_answer_may_be_a_mebibyte_long(size, failure):
    text = b'{"likelihoods": {"ART": 1}}'
    assert phase_classifier._understood(text + b" " * (size - len(text)), 1.0).failure == failure


@pytest.mark.parametrize(
    ("dtype", "written"), [(np.int16, "int16"), (np.uint8, "int16"), (np.float64, "float32")]
)
def test_values_are_written_whole_or_as_single_precision(tmp_path, dtype, written):
    import nibabel

    made = ct(SMALL.astype(dtype), ImageOrientationPatient=[1, 0, 0, 0, 0.6, 0.8])
    path = tmp_path / "volume.nii"
    phase_classifier._write(made, path)
    image = nibabel.load(path)
    assert str(image.get_data_dtype()) == written
    assert np.array_equal(np.asanyarray(image.dataobj), SMALL.transpose(2, 1, 0))
    assert image.affine == pytest.approx(np.diag([-1.0, -1.0, 1.0, 1.0]) @ made.geometry.affine, abs=1e-5)


@pytest.mark.parametrize("lacking", ["values", "geometry"])
def test_a_volume_without_values_in_space_is_not_asked_about(lacking):
    from dataclasses import replace

    answer = phase_classifier.ask(
        replace(ct(SMALL), **{lacking: None}), ContrastOptions(classifier=("false",))
    )
    assert answer.failure == "the volume has no values"
