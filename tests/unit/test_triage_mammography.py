"""Mammograms: side, view and kind by the header, the whole examination, and what the picture contradicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping

from handlers import breast_views
from handlers.model import Scope, Severity
from handlers.triage import mammography, mammography_exam, mammography_picture
from pictures import craniocaudal, mediolateral_oblique
from triage_cases import codes, header, multi_frame, only, series, sibling, volume

ROOT = "1.2.840.10008.5.1.4.1.1."
CODE = {"CC": "399162004", "MLO": "399368009", "ML": "399260004"}
FROM_SRT, FROM_SCT = mapping["SRT"], mapping["SCT"]


def coded(value, **more):
    return header({"CodeValue": value, "CodingSchemeDesignator": "SCT", "CodeMeaning": "view", **more})


def mammogram(side="L", view="CC", *, picture=None, sop_class=ROOT + "1.2", **attributes):
    plain = {
        "ImageLaterality": side,
        "ViewPosition": view,
        "ViewCodeSequence": [coded(CODE[view])] if view in CODE else None,
        "PatientOrientation": ["A", "R"] if side == "L" else ["P", "L"],
        "ImageOrientationPatient": None,
        "PixelSpacing": None,
    }
    values = None if picture is None else np.asarray(picture)[None]
    index = attributes.pop("index", 0)
    return volume("MG", index=index, slices=1, sop_class=sop_class, values=values, **{**plain, **attributes})


# -- what the header says ------------------------------------------------------------------------


def test_every_view_of_the_standard_is_known_by_its_new_and_its_old_code():
    # CID 4014, from the standard's tables as pydicom carries them
    listed = {code for name in cid_concepts[4014]["SCT"] for code in concepts["SCT"][name]}
    assert listed == {code for code in breast_views.VIEWS if code.isdigit()} | {"127457009"}
    for code, view in breast_views.VIEWS.items():
        other = FROM_SCT[code] if code.isdigit() else FROM_SRT[code]
        assert breast_views.VIEWS[other] == view


def test_every_modifier_of_the_standard_is_known_by_its_new_and_its_old_code():
    listed = {code for name in cid_concepts[4015]["SCT"] for code in concepts["SCT"][name]}
    assert listed == {code for code in breast_views.MODIFIERS if code.isdigit()}
    for code, modifier in breast_views.MODIFIERS.items():
        other = FROM_SCT.get(code) if code.isdigit() else FROM_SRT[code]
        assert other not in breast_views.MODIFIERS or breast_views.MODIFIERS[other] == modifier


def seen(made):
    return breast_views.breast_view(made.frames[0])


@pytest.mark.parametrize(
    ("attributes", "view", "source"),
    [
        ({}, "CC", "ViewCodeSequence"),
        ({"ViewCodeSequence": None}, "CC", "ViewPosition"),
        ({"ViewCodeSequence": None, "ViewPosition": None, "SeriesDescription": "L MLO"}, "MLO", "SeriesDescription"),
        ({"ViewCodeSequence": None, "ViewPosition": None, "SeriesDescription": "RCC Routine"}, "CC", "SeriesDescription"),
        ({"ViewCodeSequence": None, "ViewPosition": "AP", "SeriesDescription": "accessory 50 ml"}, "", ""),
    ],
)  # fmt: skip
def test_the_view_is_read_from_code_position_and_description_in_this_order(attributes, view, source):
    shown = seen(mammogram(**attributes))
    assert (shown.view, shown.source) == (view, source)


def test_side_and_view_of_tomosynthesis_lie_in_its_functional_groups():
    tomo = multi_frame(
        volume("MG", slices=3, sop_class=ROOT + "13.1.3"),
        FrameLaterality="R",
        ViewCodeSequence=[coded(CODE["MLO"])],
    )
    shown = seen(tomo)
    assert (shown.side, shown.view, shown.kind) == ("R", "MLO", "tomosynthesis volume")


@pytest.mark.parametrize(
    ("sop_class", "image_type", "kind"),
    [
        (ROOT + "13.1.3", ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE"], "tomosynthesis volume"),
        (ROOT + "13.1.4", ["ORIGINAL", "PRIMARY"], "tomosynthesis projections"),
        (ROOT + "13.1.5", ["ORIGINAL", "PRIMARY"], "tomosynthesis projections"),
        (ROOT + "1.2", ["ORIGINAL", "PRIMARY", "TOMO_PROJ", "RIGHT"], "tomosynthesis projections"),
        (ROOT + "1.2", ["DERIVED", "PRIMARY", "TOMO", "GENERATED_2D"], "2-D image synthesized from tomosynthesis"),
        (ROOT + "1.2", ["DERIVED", "PRIMARY", "TOMO_2D", "LEFT"], "2-D"),
        (ROOT + "1.2", ["DERIVED", "PRIMARY"], "2-D"),
        (ROOT + "1.2", ["ORIGINAL", "PRIMARY", "STEREO_MINUS"], "stereotactic image"),
    ],
)  # fmt: skip
def test_the_kinds_of_mammograms_are_told_apart(sop_class, image_type, kind):
    made = mammogram(sop_class=sop_class, ImageType=image_type)
    assert seen(made).kind == kind
    assert codes(mammography.tomosynthesis(series(made))) == (["MAM-009"] if "tomosynthesis" in kind else [])


def test_a_specimen_is_refused():
    finding = only(
        mammography.view(series(mammogram(ViewCodeSequence=[coded("127457009")], ViewPosition=None)))
    )
    assert (finding.code, finding.severity) == ("MAM-002", Severity.ERROR)


def test_a_view_that_only_the_description_names_is_marked_without_quoting_it():
    made = mammogram(ViewCodeSequence=None, ViewPosition=None, SeriesDescription="Zebra L MLO")
    finding = only(mammography.view(series(made)))
    assert (finding.code, finding.severity) == ("MAM-002", Severity.WARN)
    assert "Zebra" not in f"{finding.message}{finding.evidence}"


@pytest.mark.parametrize(
    ("code", "position", "conflict"),
    [
        ("ML", "MLO", True),  # one begins with the other, yet they are two views
        ("CC", "CCID", False),
        ("MLO", "MLOID", False),
        ("CC", "XCC", True),
    ],
)
def test_code_and_position_are_compared_as_views_not_as_letters(code, position, conflict):
    made = mammogram(ViewCodeSequence=[coded(CODE[code])], ViewPosition=position)
    assert codes(mammography.view(series(made))) == (["MAM-003"] if conflict else [])


def test_an_exaggerated_view_fits_the_general_term_for_it():
    made = mammogram(ViewCodeSequence=[coded("399192008")], ViewPosition="XCC")
    assert mammography.view(series(made)) == []


def test_an_old_position_for_implants_is_a_special_view():
    made = mammogram(ViewCodeSequence=None, ViewPosition="CCID")
    assert only(mammography.special_view(series(made))).evidence["modifiers"] == ["implant displaced"]


def test_a_rolled_view_is_no_special_view():
    made = mammogram(ViewModifierCodeSequence=[coded("399197002")])
    assert seen(made).modifiers == ("rolled lateral",)
    assert mammography.special_view(series(made)) == []


@pytest.mark.parametrize(
    ("sop_class", "stated", "wanted", "expected"),
    [
        (ROOT + "1.2.1", None, "FOR PRESENTATION", ["MAM-005"]),  # the class says it
        (ROOT + "1.2", None, "FOR PRESENTATION", []),
        (ROOT + "1.2", "FOR PROCESSING", "FOR PRESENTATION", ["MAM-005"]),
        (ROOT + "1.2", "FOR PRESENTATION", "FOR PROCESSING", ["MAM-005"]),
        (ROOT + "1.2.1", "FOR PROCESSING", "", []),
    ],
)
def test_images_for_another_use_are_refused(sop_class, stated, wanted, expected):
    made = mammogram(sop_class=sop_class, PresentationIntentType=stated)
    findings = mammography.PresentationIntent(wanted)(series(made))
    assert codes(findings) == expected
    assert all(finding.severity is Severity.ERROR for finding in findings)


# -- the whole examination -------------------------------------------------------------------------


def exam(*views, **attributes):
    return series(*(mammogram(*each.split(), index=k, **attributes) for k, each in enumerate(views)))


FOUR = ("L CC", "L MLO", "R CC", "R MLO")


def test_four_views_are_a_whole_examination():
    assert mammography_exam.incomplete_exam(exam(*FOUR)) == []


@pytest.mark.parametrize("missing", FOUR)
def test_each_view_counts_for_its_own_side(missing):
    finding = only(mammography_exam.incomplete_exam(exam(*(each for each in FOUR if each != missing))))
    assert (finding.code, finding.severity, finding.scope) == ("MAM-004", Severity.WARN, Scope.STUDY)
    assert finding.evidence["missing"] == [missing]


def test_two_views_of_different_sides_are_no_examination():
    assert only(mammography_exam.incomplete_exam(exam("L CC", "R MLO"))).evidence["missing"] == [
        "L MLO",
        "R CC",
    ]


def test_views_of_sibling_series_count():
    told = [breast_views.views_of(exam(each).instances) for each in FOUR[1:]]
    siblings = tuple(sibling(Modality="MG", breast_views=each) for each in told)
    one = exam("L CC")
    assert mammography_exam.incomplete_exam(series(*one.volumes, study=siblings)) == []
    missing = only(mammography_exam.incomplete_exam(series(*one.volumes, study=siblings[:2])))
    assert missing.evidence["missing"] == ["R MLO"]


def test_before_they_are_processed_siblings_count_by_their_first_image():
    siblings = tuple(
        sibling(Modality="MG", ImageLaterality=each.split()[0], ViewPosition=each.split()[1])
        for each in FOUR[1:]
    )
    assert mammography_exam.incomplete_exam(series(*exam("L CC").volumes, study=siblings)) == []


def test_nothing_is_said_while_siblings_of_unknown_view_could_be_what_is_missing():
    unknown = sibling(Modality="MG", ImageLaterality="R")
    three = exam(*FOUR[:3]).volumes
    assert mammography_exam.incomplete_exam(series(*three, study=(unknown,))) == []
    two = exam(*FOUR[:2]).volumes
    assert codes(mammography_exam.incomplete_exam(series(*two, study=(unknown,)))) == ["MAM-004"]


def test_other_modalities_are_no_views():
    ultrasound = sibling(Modality="US", ImageLaterality="R", ViewPosition="CC")
    found = mammography_exam.incomplete_exam(series(*exam(*FOUR[:3]).volumes, study=(ultrasound,)))
    assert only(found).evidence["missing"] == ["R MLO"]


@pytest.mark.parametrize("text", ["Mammografie bei Z.n. Mastektomie rechts", "MG UNILATERAL LEFT"])
def test_a_breast_that_is_not_there_is_not_asked_for(text):
    assert mammography_exam.incomplete_exam(exam("L CC", "L MLO", StudyDescription=text)) == []
    only_half = mammography_exam.incomplete_exam(exam("L CC", StudyDescription=text))
    assert only(only_half).evidence["missing"] == ["L MLO"]


def test_a_side_in_partial_views_is_not_judged():
    partial = mammogram("R", "CC", index=2, PartialView="YES")
    assert mammography_exam.incomplete_exam(series(*exam("L CC", "L MLO").volumes, partial)) == []


def test_spot_views_make_no_examination_and_complete_none():
    spot = mammogram("R", "MLO", index=3, ViewModifierCodeSequence=[coded("399055006")])
    assert mammography_exam.incomplete_exam(series(spot)) == []
    found = mammography_exam.incomplete_exam(series(*exam(*FOUR[:3]).volumes, spot))
    assert only(found).evidence["missing"] == ["R MLO"]


def test_stereotactic_images_are_special_and_no_views_of_an_examination():
    images = [mammogram(index=k, ImageType=["ORIGINAL", "PRIMARY", "STEREO", "LEFT"]) for k in range(2)]
    assert only(mammography.special_view(series(images[0]))).evidence["modifiers"] == ["stereotactic image"]
    assert mammography_exam.incomplete_exam(series(*images)) == []
    assert mammography_exam.repeated_view(series(*images)) == []


def test_a_repeated_view_is_noted_on_each_of_its_images():
    twice = mammography_exam.repeated_view(exam("L CC", "R CC", "L CC"))
    assert [(each.code, each.target, each.severity) for each in twice] == [
        ("MAM-010", "v0", Severity.INFO),
        ("MAM-010", "v2", Severity.INFO),
    ]
    assert twice[0].evidence["images"] == 2


def test_a_repeated_view_in_a_sibling_series_is_noted():
    again = sibling(Modality="MG", breast_views=breast_views.views_of(exam("L CC").instances))
    assert codes(mammography_exam.repeated_view(series(*exam("L CC").volumes, study=(again,)))) == ["MAM-010"]


@pytest.mark.parametrize(
    "other",
    [
        {"side": "R"},
        {"view": "MLO"},
        {"ImageType": ["DERIVED", "PRIMARY", "TOMO", "GENERATED_2D"]},
        {"sop_class": ROOT + "1.2.1"},  # for processing, of the same exposure
        {"ViewModifierCodeSequence": [coded("399055006")]},
    ],
)
def test_another_side_view_kind_purpose_or_modifier_is_no_repetition(other):
    assert mammography_exam.repeated_view(series(mammogram(), mammogram(index=1, **other))) == []


# -- what the picture shows ----------------------------------------------------------------------

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
