"""The aorta of phantoms whose Hounsfield units are known: what it says, and when it says nothing."""

from __future__ import annotations

from dataclasses import replace

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


# ---- what is looked at before the pixels, at its limits


def reason(monkeypatch, made, findings=SMOOTH):
    """Why nothing is said of a volume; "" when its pixels are looked at."""
    monkeypatch.setattr(aorta_evidence.coarse_grid, "coarse", lambda *_: None)
    (line,) = aorta_evidence.aorta_evidence(made, findings)
    assert (line.supports, line.weight) == ((), 0.0)
    assert set(line.likelihood.values()) == {1.0}
    why = line.raw.removeprefix("abstained: ")
    return "" if why == "no values" else why


def empty(slices=40, size=200, **attributes):
    """A stack of no content that takes no memory."""
    return ct(np.broadcast_to(np.int16(0), (slices, size, size)), **attributes)


def placed(made=None, **geometry):
    made = made or empty()
    return replace(made, geometry=replace(made.geometry, **geometry))


def doubt(code, severity):
    return (*SMOOTH, Finding(code, severity, "", Scope.VOLUME, "v0"))


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        (doubt("HU-003", Severity.INFO), ""),
        (doubt("HU-003", Severity.WARN), "Hounsfield units are in doubt (HU-003)"),
        (doubt("KER-003", Severity.REVIEW), ""),
        ((), ""),
    ],
)
def test_doubts_about_hounsfield_units_alone_count(monkeypatch, findings, expected):
    assert reason(monkeypatch, empty(), findings) == expected


@pytest.mark.parametrize(
    ("geometry", "expected"),
    [
        ({}, ""),
        ({"is_uniform": False}, "slices are uneven or tilted"),
        ({"shear_deg": 1.0}, ""),
        ({"shear_deg": 1.01}, "slices are uneven or tilted"),
        ({"spacing_mm": (2.0, 2.0, 5.0)}, ""),
        ({"spacing_mm": (2.0, 2.0, 5.01)}, "voxels of 2.0 x 2.0 x 5.0 mm are too coarse"),
        ({"spacing_mm": (2.01, 1.0, 2.5)}, "voxels of 2.0 x 1.0 x 2.5 mm are too coarse"),
        ({"spacing_mm": (1.0, 2.01, 2.5)}, "voxels of 1.0 x 2.0 x 2.5 mm are too coarse"),
        ({"spacing_mm": (2.0, 2.0, 1.5)}, ""),  # 60 mm along the body
        ({"spacing_mm": (2.0, 2.0, 1.475)}, "only 59 mm along the body"),
        ({"row_cosine": (0.9, 0.4, 0.0)}, "no axial stack"),
    ],
)
def test_a_stack_has_to_be_even_fine_long_and_axial(monkeypatch, geometry, expected):
    assert reason(monkeypatch, placed(**geometry)) == expected


@pytest.mark.parametrize(
    "lacking", [{"geometry": None}, {"values": None}, {"values": np.zeros((40, 9, 9, 3))}]
)
def test_without_grey_values_in_space_nothing_is_said(monkeypatch, lacking):
    assert reason(monkeypatch, replace(empty(), **lacking)) == "no axial stack"


@pytest.mark.parametrize(
    ("shape", "spacing_mm", "expected"),
    [
        ((375, 400, 400), (2.0, 2.0, 2.0), ""),  # 60 million cells of 2 mm
        ((376, 400, 400), (2.0, 2.0, 2.0), "too large"),
        ((375, 800, 800), (1.0, 1.0, 2.0), ""),  # the same cells, of more voxels
        ((376, 800, 800), (1.0, 1.0, 2.0), "too large"),
        ((375, 400, 400), (2.0, 2.0, 4.0), ""),  # coarser than a cell
    ],
)
def test_the_size_counts_in_cells(monkeypatch, shape, spacing_mm, expected):
    made = placed(replace(empty(), values=np.broadcast_to(np.int16(0), shape)), spacing_mm=spacing_mm)
    assert reason(monkeypatch, made) == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"BodyPartExamined": lambda k: "HEAD" if k == 0 else None}, "not of the trunk (head)"),
        ({"SeriesDescription": "KNEE LEFT"}, "not of the trunk (knee)"),
        ({"BodyPartExamined": "HEAD", "SeriesDescription": "CHEST"}, ""),
    ],
)
def test_a_text_that_names_trunk_and_head_is_left_to_the_search(monkeypatch, attributes, expected):
    assert reason(monkeypatch, empty(**attributes)) == expected


@pytest.mark.parametrize(("share", "supports"), [(0.01, ("NC", "PA")), (0.0101, ())])
def test_enhanced_tissue_speaks_against_an_unenhanced_scan_beyond_a_percent(share, supports):
    assert aorta_evidence.judged(measured(38, share)).supports == supports


@pytest.mark.parametrize(("kvp", "supports"), [(90, ("CE",)), (91, ("PA", "ART"))])
def test_arterial_is_not_favoured_at_low_voltage(kvp, supports):
    assert aorta_evidence.judged(measured(300), kvp=kvp).supports == supports


def test_the_first_image_states_the_voltage():
    assert seen(trunk(aorta_hu=300), KVP=lambda k: 80 if k == 0 else None).supports == ("CE",)


def test_only_noise_of_a_kernel_that_is_not_gentle_is_smoothed():
    def sigma(findings):
        return int(seen(findings=findings).raw.split("sigma ")[1].split()[0])

    assert sigma(SMOOTH) == 12  # the noise that the phantom was given
    assert sigma(()) < 11  # spread over neighbours
