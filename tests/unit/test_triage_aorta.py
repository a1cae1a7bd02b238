"""The aorta of phantoms whose Hounsfield units are known: what it says, and when it says nothing."""

from __future__ import annotations

import numpy as np
import pytest

from handlers.api import ContrastOptions
from handlers.model import Finding, Scope, Severity
from handlers.triage import aorta_evidence, contrast_phase
from handlers.triage.aorta_search import Aorta
from triage_cases import codes, only, series, volume
from trunks import ct, trunk

SMOOTH = (Finding("KER-001", Severity.INFO, "", Scope.VOLUME, "v0", {"kernel": {"class": "smooth"}}),)


def seen(values=None, findings=SMOOTH, **attributes):
    (line,) = aorta_evidence.aorta_evidence(
        ct(trunk(aorta_hu=150) if values is None else values, **attributes), findings
    )
    return line


def measured(median, share=0.0):
    return Aorta(median, 12.0, 100.0, 0.9, 10.0, share)


@pytest.mark.parametrize(
    ("hu", "supports"), [(38, ("NC", "PA")), (80, ()), (150, ("CE",)), (320, ("PA", "ART"))]
)
def test_the_aorta_is_found_and_measured(hu, supports):
    line = seen(trunk(aorta_hu=hu, organ_hu=110 if hu == 150 else 55))
    assert line.supports == supports
    told = float(line.raw.split("median ")[1].split()[0])
    assert abs(told - hu) <= 2  # 12 HU of noise over thousands of voxels


def test_flipped_axes_give_the_same_answer():
    values = trunk(aorta_hu=150)
    turned = ct(values[:, ::-1, ::-1], ImageOrientationPatient=[-1, 0, 0, 0, -1, 0])
    (line,) = aorta_evidence.aorta_evidence(turned, SMOOTH)
    assert line == seen(values)


@pytest.mark.parametrize(
    "values",
    [
        trunk(aorta_hu=None), trunk(aorta_hu=150, half_axes_mm=(75, 95)), trunk(aorta_hu=150, length=15),
        trunk(aorta_hu=150, sigma_hu=60), trunk(aorta_hu=38, organ_hu=120), np.full((40, 200, 200), -1000, np.int16),
    ],
    ids=["no aorta", "head", "short", "texture", "enhanced liver", "air"],
)  # fmt: skip
def test_what_is_not_clear_is_no_evidence(values):
    line = seen(values)
    assert (line.supports, line.weight) == ((), 0.0)
    assert line.raw.startswith("abstained: ")


@pytest.mark.parametrize(
    ("findings", "attributes"),
    [
        ((*SMOOTH, Finding("HU-002", Severity.REVIEW, "", Scope.VOLUME, "v0")), {}),
        ((*SMOOTH, Finding("CON-009", Severity.WARN, "", Scope.VOLUME, "v0")), {}),
        (SMOOTH, {"BodyPartExamined": "HEAD"}), (SMOOTH, {"slice_mm": 6.0}), (SMOOTH, {"slice_mm": 1.0}),
    ],
    ids=["units in doubt", "spectral", "head", "thick", "short"],
)  # fmt: skip
def test_preconditions_are_looked_at_before_the_pixels(findings, attributes):
    assert seen(findings=findings, **attributes).supports == ()


def test_doubts_about_another_volume_do_not_count():
    other = Finding("HU-002", Severity.REVIEW, "", Scope.VOLUME, "v1")
    assert seen(findings=(*SMOOTH, other)).supports == ("CE",)


@pytest.mark.parametrize("hu", range(0, 500, 20))
def test_pixels_never_tell_venous_from_later_phases(hu):
    likelihood = aorta_evidence.judged(measured(hu)).likelihood
    assert likelihood["PV"] == likelihood["NEPH"] == likelihood["DEL"] == likelihood["EXC"]


@pytest.mark.parametrize(
    ("hu", "kvp", "supports"),
    [(64, None, ("NC", "PA")), (65, None, ()), (89, None, ()), (90, None, ("CE",)), (199, 120, ("CE",)),
     (200, 120, ("PA", "ART")), (300, 80, ("CE",))],
)  # fmt: skip
def test_the_limits_of_the_rule(hu, kvp, supports):
    assert aorta_evidence.judged(measured(hu), kvp=kvp).supports == supports


def judged(values, **attributes):
    decoded = ct(values, **attributes)
    whole = series(decoded)
    rule = contrast_phase.ContrastPhase(False, ContrastOptions(image_evidence=True), whole)
    return rule(series(decoded, findings=SMOOTH))


def test_a_description_without_contrast_against_a_bright_aorta_is_held():
    finding = only(judged(trunk(aorta_hu=150), SeriesDescription="CHEST W/O CONTRAST"), "CON-004")
    assert finding.severity is Severity.REVIEW


def test_a_description_that_the_aorta_agrees_with_is_not_held():
    found = judged(trunk(aorta_hu=38), SeriesDescription="CHEST W/O CONTRAST")
    assert codes(found) == ["CON-001"]
    found = judged(trunk(aorta_hu=320), SeriesDescription="ARTERIAL", ContrastBolusAgent="X")
    assert codes(found) == ["CON-001"]


def test_a_bright_aorta_alone_is_contrast_of_unknown_phase():
    found = judged(trunk(aorta_hu=150))
    assert only(found, "CON-002").evidence["contrast"]["code"] == "CE"
    assert "CON-005" in codes(found)


def test_magnetic_resonance_has_no_rule_of_hounsfield_units():
    found = contrast_phase.ContrastPhase(False, ContrastOptions(image_evidence=True), series(volume("MR")))
    assert found(series(volume("MR", values=trunk()))) == []
