"""Contrast rules exactly at their limits, and in the words in which they tell it."""

from __future__ import annotations

import pytest

from handlers.api import ContrastOptions
from handlers.model import Severity
from handlers.triage import (
    agent_record,
    aorta_evidence,
    contrast_agent,
    contrast_mr,
    contrast_order,
    contrast_phase,
    phase_classifier,
)
from handlers.triage.phase_fusion import Evidence, likelihood_of
from triage_cases import codes, header, only, series, sibling, volume

NOON = {"AcquisitionDate": "20260102", "AcquisitionTime": "120100"}


# ---- the agent


def routes(**attributes):
    return contrast_agent.other_routes(series(volume("CT", **attributes)))


def test_contrast_outside_the_veins_is_told_with_its_reason():
    by_words = only(routes(SeriesDescription="ABD WITH ORAL CONTRAST"))
    assert (by_words.code, by_words.severity) == ("CON-008", Severity.INFO)
    assert "was given, by the description (" in by_words.message
    by_route = only(routes(ContrastBolusAgent="X", ContrastBolusRoute="ORAL"))
    assert by_route.message == "contrast medium was given by a route that does not enhance vessels"


@pytest.mark.parametrize(
    ("agents", "names", "expected"),
    [(0, (), []), (1, ("IV",), []), (2, (), ["CON-010"]), (0, ("INTRAVENOUS", "IV BOLUS"), ["CON-010"])],
)
def test_two_agents_or_two_routes_are_several(agents, names, expected):
    items = [header({"CodeMeaning": f"agent {k}"}) for k in range(agents)]
    ways = [header({"CodeMeaning": name}) for name in names]
    found = routes(ContrastBolusAgentSequence=items, ContrastBolusAdministrationRouteSequence=ways)
    assert codes(found) == expected
    assert all(each.severity is Severity.INFO for each in found)


@pytest.mark.parametrize(("value", "source"), [("IOHEXOL", "(7005,xx1C)"), ("", "ContrastBolusAgent")])
def test_canon_keeps_a_copy_of_the_agent(value, source):
    made = volume("CT", slices=1)
    block = made.frames[0].instance.header.private_block(0x7005, "TOSHIBA_MEC_CT3", create=True)
    block.add_new(0x1C, "LO", value)
    found = agent_record.agent(made.frames[0])
    assert (found.value, found.source) == (value, source)


@pytest.mark.parametrize(("amount", "expected"), [(0.0, ()), (0.5, ("ContrastBolusVolume", 0.5))])
def test_any_amount_above_nothing_counts(amount, expected):
    assert agent_record.agent(volume("CT", ContrastBolusVolume=amount).frames[0]).amount == expected


# ---- magnetic resonance


def dynamic(*times, start="120000", **attributes):
    """A dynamic series; each position begins at one of the times."""
    made = [
        volume("MR", index=k, TemporalPositionIdentifier=k + 1, ContrastBolusAgent="GADOVIST", AcquisitionDate="20260102",
               AcquisitionTime=time, ContrastBolusStartTime=start, **attributes)
        for k, time in enumerate(times)
    ]  # fmt: skip
    return contrast_mr.mr_contrast(series(*made))


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("115959", "NC"), ("120000", "CE"), ("120014", "CE"), ("120015", "ART"), ("120045", "ART"), ("120046", "CE"),
        ("120055", "PV"), ("120140", "PV"), ("120141", "CE"), ("120230", "DEL"),
    ],
)  # fmt: skip
def test_a_position_of_a_dynamic_series_lies_in_an_interval_or_between_two(time, expected):
    found = dynamic(time, "120500")
    assert found[0].evidence["contrast"]["code"] == expected


def test_one_position_is_no_dynamic_series():
    assert codes(dynamic("120020")) == ["CON-001"]
    assert dynamic("120020")[0].evidence["contrast"]["code"] == "CE"


def test_a_volume_without_a_position_is_no_part_of_the_dynamic_series():
    plain = volume("MR", index=5, ContrastBolusAgent="GADOVIST", ContrastBolusStartTime="120000", **NOON)
    parts = [volume("MR", index=k, TemporalPositionIdentifier=k + 1) for k in range(2)]
    found = only(contrast_mr.mr_contrast(series(*parts, plain)))
    assert found.evidence["contrast"]["code"] == "CE"


def test_mr_tells_its_label_source_and_confidence():
    (found,) = contrast_mr.mr_contrast(
        series(volume("MR", ContrastBolusAgent="GADOVIST", SeriesDescription="T1 POST CONTRAST"))
    )
    assert found.severity is Severity.INFO
    assert found.message == "contrast was given, by SeriesDescription; confidence 0.90 (not calibrated)"
    first = dynamic("120020", "120500")[0]
    assert first.message.startswith("contrast phase ARTERIAL, by ContrastBolusStartTime; confidence 0.85")


def test_a_phase_by_position_alone_is_uncertain_and_a_start_that_cannot_be_is_noted():
    found = dynamic("120020", "120500", start="060000")
    told = {each.code: each.severity for each in found}
    assert told == {"CON-001": Severity.INFO, "CON-003": Severity.WARN, "CON-006": Severity.INFO}


# ---- the order in the study


def order(*volumes, study):
    return contrast_order.phase_order(series(*volumes, study=study))


def ct(words, time="120100", index=0, **attributes):
    return volume(
        "CT",
        index=index,
        SeriesDescription=words,
        AcquisitionDate="20260102",
        AcquisitionTime=time,
        **attributes,
    )


def other(words, time="120500", **facts):
    return sibling(
        SeriesDescription=words, AcquisitionDate="20260102", AcquisitionTime=time, Modality="CT", **facts
    )


def test_every_volume_and_every_series_is_compared():
    found = order(ct("THORAX"), ct("PORTAL VENOUS", index=1), study=(other("THORAX"), other("W/O CONTRAST")))
    assert [each.target for each in found] == ["v1"]


def test_one_contradiction_is_enough():
    found = order(ct("PORTAL VENOUS"), study=(other("W/O CONTRAST"), other("W/O CONTRAST", "120600")))
    assert len(found) == 1


@pytest.mark.parametrize(
    ("own", "time", "others", "message"),
    [
        ("PORTAL VENOUS", "120500", "W/O CONTRAST", "PV here, but NC 240 s later in the study"),
        ("W/O CONTRAST", "115700", "PORTAL VENOUS", "NC here, but PV 240 s earlier in the study"),
        ("ARTERIAL", "120100", "DELAYED", "ART here, but DEL at the same time in the study"),
        ("ARTERIAL", "120100.9", "DELAYED", "ART here, but DEL at the same time in the study"),
        ("ARTERIAL", "120101", "DELAYED", None),  # a second later is later
        ("ARTERIAL", "120100", "ARTERIAL", None),
        ("NEPHROGRAPHIC", "120100", "PORTAL VENOUS", None),
        ("ARTERIAL", None, "W/O CONTRAST", None),
    ],
)
def test_the_order_in_words(own, time, others, message):
    found = order(ct(own), study=(other(others, time),))
    assert [each.message for each in found] == ([message] if message else [])


def test_without_its_own_time_a_volume_has_no_place_in_the_order():
    assert order(ct("PORTAL VENOUS", None), study=(other("W/O CONTRAST"),)) == []


# ---- the label of a CT volume


def judged(need_phase=False, options=None, whole=None, **attributes):
    made = volume("CT", **attributes)
    rule = contrast_phase.ContrastPhase(need_phase, options or ContrastOptions(), whole and series(made))
    return rule(series(made))


def test_virtual_images_have_a_sure_label_of_their_own():
    found = judged(ImageType=["DERIVED", "PRIMARY", "AXIAL", "VNC"])
    label = only(found, "CON-001")
    assert label.evidence["contrast"]["code"] == "VNC"
    assert label.evidence["contrast"]["confidence"] == 0.95
    assert "CON-003" not in codes(found)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "the contrast phase is not known"),
        ({"ContrastBolusAgent": "ULTRAVIST"}, "contrast was given, but its phase is not known"),
    ],
)
def test_what_is_not_known_is_told(attributes, message):
    found = only(judged(**attributes), "CON-002")
    assert (found.message, found.severity) == (message, Severity.WARN)


def test_a_label_says_whether_its_confidence_was_calibrated():
    plain = only(judged(SeriesDescription="ARTERIAL"), "CON-001")
    assert plain.message.endswith(" (not calibrated)")
    assert plain.evidence["contrast"]["calibration"] is None
    options = ContrastOptions(calibration={"version": 3})
    fitted = only(judged(options=options, SeriesDescription="ARTERIAL"), "CON-001")
    assert "calibrated" not in fitted.message
    assert fitted.evidence["contrast"]["calibration"] == {"version": 3}


@pytest.mark.parametrize(
    ("agent", "words"), [(None, "is empty or absent"), ("NONE", "says that none was given")]
)
def test_evident_contrast_against_the_record(agent, words):
    found = judged(SeriesDescription="ARTERIAL", ContrastBolusAgent=agent)
    assert only(found, "CON-005").message.endswith(words)


def test_values_are_looked_at_only_where_the_profile_asks(monkeypatch):
    monkeypatch.setattr(aorta_evidence, "aorta_evidence", lambda *_: pytest.fail("nobody asked"))
    monkeypatch.setattr(phase_classifier, "ask", lambda *_: pytest.fail("nobody asked"))
    assert codes(judged(whole=True)) == ["CON-002"]


def test_all_that_the_rule_may_say_is_listed(monkeypatch):
    """What is said of a volume is taken back by these codes when its values are known."""
    monkeypatch.setattr(
        phase_classifier, "ask", lambda *_: phase_classifier.Answer(failure="it ended with 1")
    )
    noon = {**NOON, "SeriesTime": "115500", "StudyTime": "115000"}
    cases = (
        {},
        {"SeriesDescription": "CTA CHEST"},
        {"SeriesDescription": "ARTERIAL DELAYED"},
        {"SeriesDescription": "ARTERIAL", "ContrastBolusStartTime": "060000", **noon},
    )
    options = ContrastOptions(classifier=("ask",))
    said = {code for case in cases for code in codes(judged(options=options, whole=True, **case))}
    assert said == contrast_phase.CODES


def test_the_classifier_that_fails_is_told(monkeypatch):
    monkeypatch.setattr(
        phase_classifier, "ask", lambda *_: phase_classifier.Answer(failure="it ended with 1")
    )
    found = only(judged(options=ContrastOptions(classifier=("ask",)), whole=True), "CON-011")
    assert (found.severity, found.message.endswith("it ended with 1")) == (Severity.WARN, True)


@pytest.mark.parametrize(
    ("attributes", "is_virtual", "types"),
    [
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "VNC"]}, True, ["VNC"]),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "MONO_70"]}, False, ["MONO_70"]),
        ({"MultienergyCTAcquisition": "YES"}, False, []),
        ({"SeriesDescription": "VNC 1.0"}, True, []),
    ],
)
def test_spectral_results_say_whether_they_are_virtual(attributes, is_virtual, types):
    found = only(contrast_phase.virtual_or_spectral(series(volume("CT", **attributes))))
    assert (found.code, found.severity) == ("CON-009", Severity.WARN)
    assert found.evidence == {"ImageType": types, "virtual": is_virtual}
    assert found.message.startswith("virtual non-contrast" if is_virtual else "images computed")


@pytest.mark.parametrize(
    "types", [["DERIVED", "PRIMARY", "AXIAL", "VNC"], ["DERIVED", "PRIMARY", "AXIAL", "MONO_70"]]
)
def test_the_first_image_says_whether_it_is_spectral(types):
    made = volume("CT", ImageType=lambda k: types if k else ["ORIGINAL", "PRIMARY", "AXIAL"])
    assert contrast_phase.virtual_or_spectral(series(made)) == []


def statement(source, *supports, weight=1.0):
    return Evidence(source, source, supports, weight, likelihood_of(supports))


@pytest.mark.parametrize(
    ("evidence", "is_contradiction"),
    [
        ([statement("SeriesDescription", "NC", "PV")], True),
        ([statement("SeriesDescription", "NC", "PV", weight=0.99)], False),
        ([statement(aorta_evidence.SOURCE, "NC", "PA")], False),  # alternatives
        ([statement(aorta_evidence.SOURCE, "NC", "PA"), statement("SeriesDescription", "NC", "PV")], True),
        ([statement(aorta_evidence.SOURCE, "CE"), statement("SeriesDescription", "NC")], True),
        ([statement("a", "ART"), statement("b", "PV")], False),  # neighbours
        ([statement("a", "ART"), statement("b", "NEPH")], True),
    ],
)
def test_strong_statements_that_cannot_both_hold(evidence, is_contradiction):
    assert (contrast_phase._contradiction(evidence) is not None) is is_contradiction
