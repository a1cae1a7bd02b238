"""What the picture of a mammogram contradicts: where the chest wall lies, and the muscle of an oblique view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from handlers.model import Severity
from handlers.triage import mammography_picture
from mammograms import ROOT, coded, mammogram
from pictures import craniocaudal, mediolateral_oblique
from triage_cases import codes, only, series

FLIPS = {
    # name of the edge at which the chest wall then lies: picture, PatientOrientation that says so
    "left": (lambda p: p, ["A", "R"]),
    "right": (lambda p: p[:, ::-1], ["P", "L"]),
    "top": (lambda p: p.T, ["R", "A"]),
    "bottom": (lambda p: p.T[::-1], ["R", "P"]),
}


@pytest.mark.parametrize("picture", [craniocaudal(), mediolateral_oblique()], ids=["CC", "MLO"])
@pytest.mark.parametrize("side", FLIPS)
def test_the_chest_wall_is_compared_with_the_orientation_on_all_four_sides(side, picture):
    turn, fitting = FLIPS[side]
    for other, (_, orientation) in FLIPS.items():
        found = mammography_picture.chest_wall(
            series(mammogram(picture=turn(picture), PatientOrientation=orientation))
        )
        if orientation == fitting:
            assert found == []
        else:
            finding = only(found)
            assert (finding.code, finding.severity) == ("MAM-007", Severity.REVIEW)
            assert (finding.evidence["seen"], finding.evidence["expected"]) == (side, other)


def test_a_horizontal_flip_is_in_the_evidence():
    flipped = mammogram(picture=craniocaudal()[:, ::-1], FieldOfViewHorizontalFlip="YES")
    assert (
        only(mammography_picture.chest_wall(series(flipped))).evidence["FieldOfViewHorizontalFlip"] == "YES"
    )


def test_an_oblique_view_names_several_directions():
    made = mammogram(view="MLO", picture=mediolateral_oblique()[:, ::-1], PatientOrientation=["PL", "FR"])
    assert mammography_picture.chest_wall(series(made)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientOrientation": None},
        {"PatientOrientation": ["L", "F"]},  # the front is in neither axis
        {"PatientOrientation": ["A"]},
        {"AnatomicalOrientationType": "QUADRUPED"},
        {"sop_class": ROOT + "1.2.1"},  # raw: air may be bright
        {"sop_class": ROOT + "13.1.4"},
        {"picture": None},
    ],
)
def test_nothing_is_said_of_the_chest_wall_where_header_or_kind_do_not_settle_it(changes):
    made = mammogram(**{"picture": craniocaudal()[:, ::-1], **changes})
    assert mammography_picture.chest_wall(series(made)) == []


@pytest.mark.parametrize("name", ["all tissue", "all air", "tissue in the middle", "noise", "tiny"])
def test_nothing_is_said_of_a_picture_without_a_chest_wall(name):
    i, j = np.indices((240, 180))
    rng = np.random.default_rng(5)
    pictures = {
        "all tissue": 1500 + i + j,
        "all air": np.full((240, 180), 100),
        "tissue in the middle": np.where(np.hypot(i - 120, j - 90) < 60, 1500, 100),
        "noise": rng.integers(0, 4000, (240, 180)),
        "tiny": craniocaudal()[::12, ::12],
    }
    for orientation in (["A", "R"], ["P", "L"]):
        made = mammogram(picture=pictures[name], PatientOrientation=orientation)
        assert mammography_picture.chest_wall(series(made)) == []
        assert mammography_picture.pectoral_muscle(series(made)) == []


def test_padding_is_no_tissue():
    breast = craniocaudal() > 1000
    picture = np.where(breast, 1500 + np.arange(180), 4095)
    for orientation, expected in ((["A", "R"], []), (["P", "L"], ["MAM-007"])):
        made = replace(mammogram(picture=picture, PatientOrientation=orientation), padding=~breast[None])
        assert codes(mammography_picture.chest_wall(series(made))) == expected


def muscle(view, picture, **attributes):
    return mammography_picture.pectoral_muscle(series(mammogram(view=view, picture=picture, **attributes)))


@pytest.mark.parametrize("turn", [each for each, _ in FLIPS.values()], ids=list(FLIPS))
@pytest.mark.parametrize("upside_down", [False, True])
def test_a_pectoral_triangle_contradicts_a_cc_view(turn, upside_down):
    picture = craniocaudal(muscle=True)
    finding = only(muscle("CC", turn(picture[::-1] if upside_down else picture)))
    assert (finding.code, finding.severity) == ("MAM-008", Severity.WARN)
    # 140 of 240 rows, 70 of 180 columns: the border leans by atan(70 / 140)
    assert finding.evidence["angle_deg"] == pytest.approx(26.6, abs=1.5)
    assert finding.evidence["height"] == pytest.approx(140 / 240, abs=0.03)
    assert finding.evidence["width"] == pytest.approx(70 / 180, abs=0.03)


def test_a_breast_that_ends_within_the_picture_contradicts_an_mlo_view():
    finding = only(muscle("MLO", craniocaudal()))
    assert (finding.code, finding.severity) == ("MAM-008", Severity.WARN)


def test_views_that_look_like_themselves_give_no_finding():
    assert muscle("CC", craniocaudal()) == []
    assert muscle("MLO", mediolateral_oblique()) == []


def test_an_mlo_without_a_visible_muscle_is_no_finding():
    assert muscle("MLO", mediolateral_oblique(muscle=False)) == []


def test_a_bright_strip_or_block_in_a_cc_is_no_muscle():
    i, j = np.indices((240, 180))
    for bright in ((j < 12) & (np.abs(i - 120) < 60), (i < 100) & (j < 50)):
        assert muscle("CC", np.where(bright, 3000, craniocaudal(muscle=False))) == []


@pytest.mark.parametrize(
    "attributes",
    [
        {"ViewModifierCodeSequence": [coded("399055006")]},
        {"PartialView": "YES"},
        {"BreastImplantPresent": "YES"},
        {"sop_class": ROOT + "1.2.1"},
    ],
)
def test_special_partial_raw_views_and_implants_are_not_judged_by_their_muscle(attributes):
    assert muscle("CC", craniocaudal(muscle=True), **attributes) == []


def test_other_views_have_no_expected_shape():
    assert muscle("ML", craniocaudal(muscle=True)) == []
