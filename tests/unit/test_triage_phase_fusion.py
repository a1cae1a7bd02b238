"""Evidence of contrast pooled into a phase, and what the order of a study leaves possible."""

from __future__ import annotations

import pytest

from handlers.triage import phase_fusion, phase_study
from handlers.triage.phase_fusion import Evidence, likelihood_of
from triage_cases import series, sibling, volume

NOON = {"AcquisitionDate": "20260102", "AcquisitionTime": "120100"}


def timed(**attributes):
    return volume("CT", slices=2, **{**NOON, **attributes})


def statement(source, *supports, weight=1.0):
    return Evidence(source, source, supports, weight, likelihood_of(supports))


def ct(words, time="120100", index=0, **attributes):
    return volume(
        "CT", index=index, **{**NOON, "AcquisitionTime": time, "SeriesDescription": words, **attributes}
    )


def other(words, time="120500", **facts):
    return sibling(**{**NOON, "AcquisitionTime": time, "SeriesDescription": words, "Modality": "CT", **facts})


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


@pytest.mark.parametrize("delay_s", [8, 30, 47, 49.5, 50, 52, 120, 130, 132, 134, 140, 149, 3600, 5400, 7200])
def test_no_time_after_an_injection_speaks_for_a_scan_without_contrast(delay_s):
    found = phase_fusion.likelihood_of_delay(delay_s)
    assert found["NC"] <= max(found.values()) / 10
    assert "NC" not in phase_fusion.supported_by(found)


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
