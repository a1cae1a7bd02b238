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
