"""Respiratory bins: every source, contradictions, whole and broken 4-D scans, averages beside their bins."""

from __future__ import annotations

import pytest

from handlers.model import Severity
from handlers.triage import derived, respiratory_bins, respiratory_gating, respiratory_text
from triage_cases import codes, multi_frame, only, series, sibling, volume

PLACE = {"Modality": "CT", "FrameOfReferenceUID": "1.2.3"}  # as `triage_cases.volume` has it


def judged(made, **more):
    return respiratory_gating.respiratory_phase(series(made, **more))


def fact(made):
    return only(judged(made), "RSP-001").evidence["respiratory"]


def bins(*volumes, study=()):
    return respiratory_bins.incomplete_bins(series(*volumes, study=tuple(study)))


def one(text, index=0, **more):
    return volume("CT", index=index, SeriesDescription=text, **more)


def scan(*texts):
    """Series of the study, one for each description."""
    return [sibling(SeriesDescription=text, **PLACE) for text in texts]


def test_the_nominal_percentage_is_the_phase():
    made = multi_frame(
        volume("CT"), NominalPercentageOfRespiratoryPhase=30.0, StartingRespiratoryPhase="EXPIRATION"
    )
    assert (fact(made)["phase_percent"], fact(made)["phase"]) == (30.0, "EXPIRATION")


def test_a_delay_and_the_interval_give_a_phase():
    found = fact(
        multi_frame(volume("CT"), NominalRespiratoryTriggerDelayTime=1000.0, RespiratoryIntervalTime=4000.0)
    )
    assert (found["phase_percent"], found["interval_ms"]) == (25.0, 4000.0)


@pytest.mark.parametrize("interval", [10.0, 100000.0, None])
def test_an_impossible_interval_gives_no_phase(interval):
    functional = {"NominalRespiratoryTriggerDelayTime": 1000.0, "RespiratoryIntervalTime": interval}
    assert judged(multi_frame(volume("CT"), **{k: v for k, v in functional.items() if v is not None})) == []


def test_the_sources_are_recorded_in_the_order_of_trust():
    made = multi_frame(
        one("Thorax 50% Ex", ImageComments="T=50%"), NominalPercentageOfRespiratoryPhase=50.0, StartingRespiratoryPhase="EXPIRATION"
    )  # fmt: skip
    assert [each["source"] for each in fact(made)["sources"]] == [
        "NominalPercentageOfRespiratoryPhase", "StartingRespiratoryPhase", "SeriesDescription", "ImageComments",
    ]  # fmt: skip


def test_amplitudes_and_technique_are_recorded():
    made = multi_frame(volume("CT"), StartingRespiratoryPhase="MAXIMUM", StartingRespiratoryAmplitude=90.0)
    assert (fact(made)["starting_amplitude"], fact(made)["source"]) == (90.0, "StartingRespiratoryPhase")


def _private(group, creator, elements):
    made = volume("CT", slices=1)
    block = made.frames[0].instance.header.private_block(group, creator, create=True)
    for offset, vr, value in elements:
        block.add_new(offset, vr, value)
    return made


@pytest.mark.parametrize(
    ("value", "percent", "name"), [("40%", 40.0, ""), ("40", 40.0, ""), ("INSP", None, "INSPIRATION")]
)
def test_canon_states_the_respiration_phase(value, percent, name):
    found = fact(_private(0x7005, "TOSHIBA_MEC_CT3", [(0x48, "LO", "RESP"), (0x49, "SH", value)]))
    assert (found["phase_percent"], found["phase"], found["canon_gating"]) == (percent, name, "RESP")


def test_other_words_of_canon_are_no_phase():
    assert judged(_private(0x7005, "TOSHIBA_MEC_CT3", [(0x49, "SH", "OFF")])) == []


def test_the_depth_of_a_full_breath_is_not_its_beginning():
    # amplitude bins: 100 % In is the end of inspiration, 0 % Ex that of expiration
    assert respiratory_text.read("Thorax 100% In") == respiratory_text.BreathText(100.0, "IN", "")
    assert respiratory_text.read("T=100%").percent == 0.0


@pytest.mark.parametrize(
    ("attributes", "functional"),
    [
        ({"SeriesDescription": "Thorax Insp"}, {"StartingRespiratoryPhase": "EXPIRATION"}),
        ({"SeriesDescription": "Thorax Insp", "ImageComments": "Expiration"}, {}),
        ({"SeriesDescription": "4D 30% Ex"}, {"StartingRespiratoryPhase": "MAXIMUM"}),
        ({"SeriesDescription": "Thorax Insp", "ImageComments": "30% Ex"}, {}),
    ],
)
def test_labels_that_contradict_each_other_are_held(attributes, functional):
    finding = only(judged(multi_frame(volume("CT", **attributes), **functional)), "RSP-004")
    assert finding.severity is Severity.REVIEW


@pytest.mark.parametrize(
    ("attributes", "functional"),
    [
        ({"SeriesDescription": "Thorax Insp"}, {"StartingRespiratoryPhase": "MAXIMUM"}),
        ({"SeriesDescription": "Thorax Exp", "ImageComments": "Expiration"}, {}),
        ({"SeriesDescription": "Thorax Insp/Exp"}, {"StartingRespiratoryPhase": "EXPIRATION"}),
        (
            {"SeriesDescription": "Thorax Insp"},
            {"NominalPercentageOfRespiratoryPhase": 50.0},
        ),  # conventions differ
    ],
)
def test_labels_that_agree_are_not_held(attributes, functional):
    assert codes(judged(multi_frame(volume("CT", **attributes), **functional))) == ["RSP-001"]


TEN = [f"4D T={10 * k}%" for k in range(10)]


def test_ten_bins_in_one_series_are_complete():
    assert bins(*(one(text, k) for k, text in enumerate(TEN))) == []


def test_ten_bins_over_the_study_are_complete():
    assert bins(one(TEN[0]), study=scan(*TEN[1:])) == []


@pytest.mark.parametrize("rounded", [("12", "37", "62", "87"), ("13", "38", "63", "88")])
def test_eight_bins_are_complete_however_they_are_rounded(rounded):
    texts = [f"T={each}%" for each in ("0", "25", "50", "75", *rounded)]
    assert bins(one(texts[0]), study=scan(*texts[1:])) == []


def test_a_missing_bin_is_told():
    finding = only(bins(one(TEN[0]), study=scan(*(text for text in TEN[1:] if text != TEN[7]))))
    assert (finding.code, finding.severity) == ("RSP-003", Severity.WARN)
    assert finding.evidence["missing"] == ["70 %"]
    assert "9 of 10" in finding.message


def test_a_missing_bin_of_eight_is_told():
    texts = [f"T={each}%" for each in (0, 13, 25, 38, 50, 63, 75)]
    assert only(bins(one(texts[0]), study=scan(*texts[1:]))).evidence["missing"] == ["87.5 %"]


AMPLITUDES = (
    "0% Ex",
    "20% In",
    "40% In",
    "60% In",
    "80% In",
    "100% In",
    "80% Ex",
    "60% Ex",
    "40% Ex",
    "20% Ex",
)


def test_bins_by_depth_go_up_and_down():
    texts = [f"Thorax {each}" for each in AMPLITUDES]
    assert bins(one(texts[0]), study=scan(*texts[1:])) == []
    finding = only(bins(one(texts[0]), study=scan(*(each for each in texts[1:] if "40% Ex" not in each))))
    assert finding.evidence["missing"] == ["40 % EX"]


def test_uneven_bins_are_told():
    finding = only(bins(one("T=0%"), study=scan("T=33%", "T=66%")))
    assert finding.evidence["missing"] == []
    assert "not 8 or 10 even ones" in finding.message


def test_one_bin_alone_and_no_bin_are_not_incomplete():
    assert bins(one("T=50%")) == []
    assert bins(one("Thorax Insp"), study=scan(*TEN[:3])) == []


@pytest.mark.parametrize(
    "other", [{"FrameOfReferenceUID": "9.9"}, {"Modality": "SR"}, {"SeriesDescription": "Thorax"}]
)
def test_other_series_of_the_study_are_no_bins(other):
    assert bins(one("T=0%"), study=[sibling(**{**PLACE, "SeriesDescription": "T=50%", **other})]) == []


def combined(made, study=()):
    return respiratory_gating.combined_breathing(series(made, study=tuple(study)))


@pytest.mark.parametrize(
    "attributes", [{"SeriesDescription": "Average"}, {"ImageType": ["DERIVED", "SECONDARY", "MAX_IP"]}]
)
def test_an_average_beside_the_bins_of_its_study_is_one_over_them(attributes):
    made = volume("CT", **attributes)
    found = combined(made, scan(*TEN))
    assert codes(found) == ["RSP-002", "TRI-DER-003"]
    assert {finding.severity for finding in found} == {Severity.ERROR}
    assert combined(made) == []
    assert combined(made, [sibling(SeriesDescription=text, FrameOfReferenceUID="9.9") for text in TEN]) == []


def test_a_bin_and_a_plain_scan_beside_the_bins_are_no_averages():
    assert combined(one("T=50% mean"), scan(*TEN)) == []
    assert combined(one("Thorax"), scan(*TEN)) == []


@pytest.mark.parametrize("words", ["AVE 4D", "4D CT Average", "4D-MIP", "AVG_4D"])
def test_an_average_of_a_4d_scan_is_a_projection_too(words):
    assert codes(derived.projected(series(one(words)))) == ["TRI-DER-003"]


def test_a_bin_of_a_4d_scan_is_no_projection():
    assert derived.projected(series(one("4D Thorax 30% Ex"))) == []


def test_two_bins_are_part_of_the_division_that_lacks_fewest():
    # 0 and 50 % are bins of 8 and of 10
    assert "2 of 8" in only(bins(one("T=0%"), study=scan("T=50%"))).message


@pytest.mark.parametrize(("percent", "fits"), [(13, True), (11, False), (14, False)])
def test_a_bin_is_rounded_by_no_more_than_a_percent(percent, fits):
    finding = only(bins(one("T=0%"), study=scan(f"T={percent}%", "T=25%")))
    assert bool(finding.evidence["missing"]) == fits


def test_the_first_image_places_a_volume_in_its_study():
    made = one(TEN[0], FrameOfReferenceUID=lambda k: "1.2.3" if k == 0 else "1.2.4")
    assert bins(made, study=scan(*TEN[1:])) == []
    assert only(bins(made, study=scan(*TEN[1:9]))).evidence["missing"] == ["90 %"]
