"""Mammograms: side, view and kind by the header, and the whole examination."""

from __future__ import annotations

import pytest
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping

from handlers import breast_views
from handlers.model import Scope, Severity
from handlers.triage import mammography, mammography_exam
from mammograms import CODE, ROOT, coded, mammogram
from triage_cases import codes, multi_frame, only, series, sibling, volume

FROM_SRT, FROM_SCT = mapping["SRT"], mapping["SCT"]


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


@pytest.mark.parametrize("lacking", ["ViewPosition", "ImageLaterality"])
def test_an_own_image_of_unknown_side_or_view_could_be_what_is_missing(lacking):
    attributes = {"ViewCodeSequence": None, lacking: None}
    unknown = mammogram("R", "MLO", index=3, **attributes)
    assert mammography_exam.incomplete_exam(series(*exam(*FOUR[:3]).volumes, unknown)) == []


def test_one_view_of_a_sibling_that_is_not_processed_leaves_its_other_view_missing():
    unprocessed = sibling(Modality="MG", ImageLaterality="R", ViewPosition="CC")
    found = mammography_exam.incomplete_exam(series(*exam(*FOUR[:2]).volumes, study=(unprocessed,)))
    assert only(found).evidence["missing"] == ["R MLO"]


@pytest.mark.parametrize("views", ["CC", ["CC"], [{"ImageLaterality": "R", "view": "CC"}, "MLO"]])
def test_views_in_another_shape_are_not_read(views):
    """The facts of the first image count instead."""
    strange = sibling(Modality="MG", breast_views=views, ImageLaterality="R", ViewPosition="MLO")
    found = mammography_exam.incomplete_exam(series(*exam(*FOUR[:2]).volumes, study=(strange,)))
    assert only(found).evidence["missing"] == ["R CC"]


def test_every_sibling_is_looked_at():
    others = (sibling(Modality="US"), sibling(Modality="MG", ImageLaterality="R", ViewPosition="MLO"))
    assert mammography_exam.incomplete_exam(series(*exam(*FOUR[:3]).volumes, study=others)) == []


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
