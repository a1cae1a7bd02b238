"""Contrast rules exactly at their limits, and in the words in which they tell it."""

from __future__ import annotations

from datetime import datetime

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
    phase_fusion,
    phase_study,
    phase_times,
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


# ---- times


def timed(**attributes):
    plain = {"AcquisitionDate": "20260102", "AcquisitionTime": "120100"}
    return volume("CT", slices=2, **{**plain, **attributes})


@pytest.mark.parametrize(
    ("start", "delay"),
    [
        ("120000", 60.0),
        ("120000.5", 59.5),
        ("1200", 60.0),
        ("12", 60.0),
        ("120130", -30.0),
        ("noon", None),
        ("", None),
    ],
)
def test_the_delay_counts_from_the_start_of_injection(start, delay):
    assert phase_times.injection(timed(ContrastBolusStartTime=start)).delay_s == delay


@pytest.mark.parametrize(
    ("start", "delay", "objection"),
    [
        ("121100", -600.0, ""),
        ("121101", None, "it would be 601 s after the acquisition"),
        ("110100", 3600.0, ""),
        ("110059", None, "it would be 3601 s before the acquisition"),
        ("000101", None, "it would be 43199 s before the acquisition"),
    ],
)
def test_a_delay_beyond_what_can_be_is_told(start, delay, objection):
    assert phase_times.injection(timed(ContrastBolusStartTime=start)) == phase_times.Injection(
        delay, objection
    )


def test_fractions_of_a_second_count():
    made = timed(AcquisitionTime="120100.25", ContrastBolusStartTime="120000.125")
    assert phase_times.injection(made).delay_s == 60.125
    finest = timed(AcquisitionTime="120100.1234567")
    assert phase_times.volume_time(finest).microsecond == 123456


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, phase_times.Injection(60.0)),
        ({"ContrastBolusStartTime": None}, phase_times.Injection()),
        ({"AcquisitionTime": None}, phase_times.Injection()),
        (
            {"StudyTime": "120000"},
            phase_times.Injection(None, "it merely repeats the time of the series or study"),
        ),
        (
            {"SeriesTime": "120000"},
            phase_times.Injection(None, "it merely repeats the time of the series or study"),
        ),
    ],
)
def test_the_delay_of_another_series_comes_from_its_facts(facts, expected):
    told = sibling(**{"ContrastBolusStartTime": "120000", **NOON, **facts})
    assert phase_times.sibling_injection(told) == expected


@pytest.mark.parametrize(
    ("acquired", "start", "delay"), [("000030", "235930", 60.0), ("235930", "000030", -60.0)]
)
def test_midnight_may_lie_between(acquired, start, delay):
    made = timed(AcquisitionTime=acquired, ContrastBolusStartTime=start)
    assert phase_times.injection(made).delay_s == delay


@pytest.mark.parametrize(
    ("keyword", "repeated", "expected"),
    [
        ("SeriesTime", "120000.2", "it merely repeats the time of the series or study"),
        ("StudyTime", "120000.9", "it merely repeats the time of the series or study"),
        ("SeriesTime", "120001", ""),
    ],
)
def test_a_start_within_the_second_of_another_time_was_filled_in(keyword, repeated, expected):
    found = phase_times.injection(timed(ContrastBolusStartTime="120000.5", **{keyword: repeated}))
    assert found.objection == expected


@pytest.mark.parametrize(
    ("delta_ms", "times", "expected_s"),
    [
        (5000, ("120100", "120100"), 65.0),
        (0, ("120100", "120100"), 60.0),
        (3_600_000, ("120100", "120100"), 3660.0),
        (3_600_001, ("120100", "120100"), 60.0),
        (5000, ("120100", "120102"), 60.0),  # each slice has its own time already
    ],
)
def test_ge_adds_milliseconds_to_the_time_of_the_first_pass(delta_ms, times, expected_s):
    made = timed(AcquisitionTime=lambda k: times[k])
    for frame in made.frames:
        block = frame.instance.header.private_block(0x0043, "GEMS_PARM_01", create=True)
        block.add_new(0x1E, "DS", str(delta_ms))
    found = phase_times.volume_time(made)
    assert (found - datetime(2026, 1, 2, 12)).total_seconds() == expected_s  # noqa: DTZ001 - DICOM times are local


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("20260102120130.25", datetime(2026, 1, 2, 12, 1, 30, 250000)),  # noqa: DTZ001
        ("20260102120130.25+0100", datetime(2026, 1, 2, 12, 1, 30, 250000)),  # noqa: DTZ001
        ("20260102120130-0500", datetime(2026, 1, 2, 12, 1, 30)),  # noqa: DTZ001
        ("20260102", None),
    ],
)
def test_a_date_with_time_is_preferred(stated, expected):
    assert phase_times.acquisition_time(timed(AcquisitionDateTime=stated).frames[0]) == expected


# ---- fusion and order


@pytest.mark.parametrize(
    ("delay_s", "phase", "expected"),
    [
        (-1, "NC", 0.9),
        (0, "NC", 1.0),  # too early to say anything
        (35, "ART", 0.9),
        (35, "NC", 0.05),
        (10_000, "ART", 0.005),
    ],
)
def test_the_likelihood_of_a_delay(delay_s, phase, expected):
    assert phase_fusion.likelihood_of_delay(delay_s)[phase] == pytest.approx(expected)


def test_a_phase_loses_likelihood_over_a_tenth_of_its_bounds():
    from handlers.tables import table

    low, high = table("phases")["delay"]["PV"]
    assert phase_fusion.likelihood_of_delay(low * 0.95)["PV"] == pytest.approx(0.45)
    assert phase_fusion.likelihood_of_delay(high * 1.05)["PV"] == pytest.approx(0.45)
    assert phase_fusion.likelihood_of_delay(high)["PV"] == phase_fusion.likelihood_of_delay(low)["PV"] == 0.9
    early = table("phases")["delay"]["too_early"]
    assert set(phase_fusion.likelihood_of_delay(early - 0.1).values()) == {1.0}
    assert phase_fusion.likelihood_of_delay(early)["NC"] == 0.05


@pytest.mark.parametrize(
    ("likelihood", "expected"),
    [({"NC": 1.0, "PA": 0.5, "ART": 0.49}, ("NC", "PA")), ({"NC": 1.0, "PA": 0.5}, ())],
)
def test_what_is_half_as_likely_as_the_best_is_supported(likelihood, expected):
    assert phase_fusion.supported_by(likelihood) == expected


@pytest.mark.parametrize(
    ("supported", "expected"),
    [
        (("ART",), {"NC": 0.005, "PA": 0.05, "ART": 0.9, "PV": 0.05, "NEPH": 0.005}),
        (("CE",), {"NC": 0.05, "PA": 1.0, "EXC": 1.0}),
        (("CE", "ART"), {"NC": 0.005, "ART": 0.9}),
        (("PA", "NEPH"), {"NC": 0.05, "ART": 0.05, "PV": 0.05, "DEL": 0.05, "EXC": 0.005}),
    ],
)
def test_a_named_phase_makes_its_neighbours_possible(supported, expected):
    found = phase_fusion.likelihood_of(supported)
    assert {each: found[each] for each in expected} == expected


def chances(**values):
    import math

    rest = (1 - sum(values.values())) / (7 - len(values))
    return {each: math.log(values.get(each, rest)) for each in phase_fusion.classes()}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"ART": 0.9}, ("ART", 0.9, True)),
        ({"ART": 0.8499, "PV": 0.01}, ("ART", 0.85, False)),
        ({"ART": 0.6001}, ("ART", 0.6, False)),
        ({"ART": 0.5999, "NC": 0.05}, ("CE", 0.95, True)),
        ({"ART": 0.5, "NC": 0.0999}, ("CE", 0.9, True)),
        ({"ART": 0.5, "NC": 0.1001}, ("UNKNOWN", 0.5, False)),
        ({"NC": 0.7}, ("NC", 0.7, False)),
    ],
)
def test_the_label_that_the_chances_are_good_for(values, expected):
    found = phase_fusion.decide(chances(**values))
    assert (found.code, found.confidence, found.is_sure) == expected


def test_a_temperature_softens_the_chances():
    scores = {"NC": 0.0, "ART": -2.0}
    assert phase_fusion.posterior(scores)["NC"] == pytest.approx(1 / (1 + 2.718281828**-2))
    assert phase_fusion.posterior(scores, temperature=2.0)["NC"] == pytest.approx(1 / (1 + 2.718281828**-1))


def test_without_evidence_nothing_is_known():
    found = phase_fusion.fuse([])
    assert (found.code, found.is_sure) == ("UNKNOWN", False)
    assert phase_fusion.fuse([statement("agent", "CE", weight=3.0)]).code == "CE"


def test_scores_have_four_digits_and_texts_sixty_four_letters():
    found = phase_fusion.fuse([statement("a", "ART")])
    assert found.scores["ART"] == -0.1054  # the logarithm of 0.9
    assert len(Evidence("s", "x" * 99, ("ART", "PV"), 1.0, {}).line["raw"]) == 64


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (("NC",), ("CE",), True), (("CE",), ("ART",), False), (("ART",), ("ART", "PV"), False), ((), ("NC",), False),
        (("PA",), ("ART",), False), (("PA",), ("PV",), True), (("PV",), ("PA",), True), (("ART", "PV"), ("DEL",), True),
        (("NC",), (), False),
    ],
)  # fmt: skip
def test_two_statements_contradict_each_other(first, second, expected):
    assert phase_fusion.contradict(first, second) is expected


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        ("NC", "ART", True),
        ("ART", "NC", False),
        ("ART", "ART", True),
        ("NEPH", "PV", True),
        ("PV", "NEPH", True),
        ("DEL", "NEPH", False),
    ],
)
def test_contrast_flows_one_way(earlier, later, expected):
    assert phase_study.can_follow(earlier, later) is expected


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ({"IrradiationEventUID": "1.2"}, {"IrradiationEventUID": "1.2"}, True),
        ({"IrradiationEventUID": "1.2"}, {"IrradiationEventUID": "1.3"}, False),
        ({"IrradiationEventUID": "1.2"}, {}, True),  # time and place decide
        ({}, {"AcquisitionTime": "120100.9"}, True),
        ({}, {"AcquisitionTime": "120101"}, False),
        ({}, {"AcquisitionTime": None}, False),
        ({"AcquisitionTime": None}, {}, False),
        ({}, {"FrameOfReferenceUID": "1.2.4"}, False),
        ({"FrameOfReferenceUID": None}, {"FrameOfReferenceUID": None}, False),
    ],
)
def test_reconstructions_of_one_acquisition(one, two, expected):
    first, second = (phase_study.of_volume(timed(**each)) for each in (one, two))
    assert phase_study.is_same(first, second) is expected


def of(*likelihoods):
    """Acquisitions of which one phase each is certain, but for a rest."""
    return [
        phase_study.Acquisition(str(k), None, "", "", (statement("SeriesDescription", each),))
        for k, each in enumerate(likelihoods)
    ]


def test_the_likelihood_of_an_acquisition_is_pooled_and_its_best_is_one():
    twice = phase_study.Acquisition(
        "a", None, "", "", (statement("a", "ART"), statement("b", "ART", weight=2.0))
    )
    found = twice.likelihood
    assert found["ART"] == 1.0
    assert found["PV"] == pytest.approx((0.05 / 0.9) ** 3)


def test_what_came_before_and_after_leaves_phases_possible():
    after_arterial = phase_study.best_before(of("NC", "ART"))
    assert after_arterial["PV"] == after_arterial["ART"] == 1.0
    assert after_arterial["NC"] == pytest.approx(0.02)  # out of order
    before_portal = phase_study.best_after(of("PV", "DEL"))
    assert before_portal["NC"] == before_portal["NEPH"] == 1.0
    assert before_portal["DEL"] == pytest.approx(0.02)  # out of order: a portal venous scan follows


def test_without_others_everything_is_possible():
    assert set(phase_study.best_before([]).values()) == {1.0}


def study(own, *others, time="120100"):
    """What the study says of a volume without a word of its own."""
    made = ct(own, time)
    return phase_study.study_evidence(series(made, study=others), made)


@pytest.mark.parametrize(
    ("facts", "is_used"),
    [
        ({}, True),
        ({"Modality": None}, True),
        ({"Modality": "MR"}, False),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, False),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}, True),
        ({"ContrastBolusAgent": "SMART PREP SERIES"}, False),
    ],
)
def test_only_ct_scans_of_the_study_have_a_place_in_the_order(facts, is_used):
    told = sibling(**{
        "SeriesDescription": "ARTERIAL", "AcquisitionDate": "20260102", "AcquisitionTime": "120000", "Modality": "CT",
        **facts,
    })  # fmt: skip
    assert bool(study("THORAX", told)) is is_used


def test_the_order_is_told_with_its_numbers():
    found = study(
        "THORAX", other("ARTERIAL", "120000"), other("DELAYED", "120500"), other("EXCRETORY", "121500")
    )
    (line,) = found
    assert (line.source, line.raw) == ("study order", "1 earlier, 2 later")
    assert set(line.supports) == {"ART", "PV", "NEPH", "DEL"}
    assert max(line.likelihood.values()) == 1.0


def test_acquisitions_of_the_same_moment_are_neither_earlier_nor_later():
    assert study("THORAX", other("ARTERIAL", "120100", FrameOfReferenceUID="1.9")) == []


def test_another_reconstruction_shares_its_word_with_a_factor():
    from handlers.tables import table

    weight = table("phases")["weight"]
    here = {"IrradiationEventUID": "1.7"}
    made = ct("LUNG", **here)
    told = (other("ARTERIAL", "120100", **here), other("PORTAL VENOUS", "120100", **here))
    found = phase_study.study_evidence(series(made, study=told), made)
    assert [(each.source, each.supports) for each in found] == [
        ("same acquisition: SeriesDescription", ("ART",))
    ]
    assert found[0].weight == weight["SeriesDescription"] * weight["same_acquisition"]


@pytest.mark.parametrize(("index", "modality", "expected"), [(1, "CT", True), (1, "MR", False)])
def test_other_volumes_of_the_series_count_as_other_acquisitions(index, modality, expected):
    made = ct("THORAX")
    second = volume(
        modality,
        index=index,
        SeriesDescription="ARTERIAL",
        AcquisitionDate="20260102",
        AcquisitionTime="120000",
    )
    found = phase_study.study_evidence(series(made, second), made)
    assert bool(found) is expected


def test_the_first_of_several_values_is_the_fact():
    acquisition = phase_study.of_sibling(
        other("ARTERIAL", FrameOfReferenceUID=["1.5", "1.6"], IrradiationEventUID=[])
    )
    assert (acquisition.place, acquisition.event) == ("1.5", "")
