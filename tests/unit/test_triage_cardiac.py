"""Cardiac and respiratory phases: which source wins, what contradicts, and what is no phase at all."""

from __future__ import annotations

import pytest

from handlers.model import Severity
from handlers.triage import cardiac_gating, cardiac_text, respiratory_gating
from triage_cases import codes, multi_frame, only, series, volume

HEART = {"BodyPartExamined": "HEART"}


def judged(made):
    return cardiac_gating.cardiac_phase(series(made))


def fact(made):
    return only([f for f in judged(made) if "cardiac" in f.evidence]).evidence["cardiac"]


def test_the_nominal_percentage_of_enhanced_ct_is_the_phase():
    made = multi_frame(volume("CT"), NominalPercentageOfCardiacPhase=75.0)
    assert fact(made)["phase_percent"] == 75.0
    assert codes(judged(made)) == ["GAT-001"]


def test_the_percentage_at_the_top_level_counts_too():
    assert (
        fact(volume("CT", NominalPercentageOfCardiacPhase=40.0))["source"]
        == "NominalPercentageOfCardiacPhase"
    )


@pytest.mark.parametrize("option", ["TP70PC300", "TP70PC", "tp70pc0"])
def test_siemens_writes_the_phase_into_the_scan_options(option):
    assert fact(volume("CT", ScanOptions=option))["phase_percent"] == 70.0


def test_trigger_time_and_beat_give_a_computed_phase():
    finding = only(judged(volume("CT", TriggerTime=450, NominalInterval=900)))
    assert (finding.code, finding.severity) == ("GAT-002", Severity.WARN)
    assert finding.evidence["cardiac"]["phase_percent"] == 50.0
    assert finding.evidence["cardiac"]["time_ms"] == 450


def test_a_computed_phase_is_as_sure_as_the_beats_are_even():
    # 450 ms of 900 ms is 50 %; of 750 ms 60 %, of 1000 ms 45 %
    finding = only(
        judged(volume("CT", TriggerTime=450, NominalInterval=900, LowRRValue=750, HighRRValue=1000)),
        "GAT-002",
    )
    assert finding.evidence["error_percent"] == 7.5
    assert "± 7.5 %" in finding.message
    assert only(judged(volume("CT", TriggerTime=450, NominalInterval=900))).evidence["error_percent"] is None


def test_the_heart_rate_stands_in_for_the_interval():
    assert fact(volume("CT", TriggerTime=500, HeartRate=60))["phase_percent"] == 50.0


@pytest.mark.parametrize(
    "beat", [{"NominalInterval": 50}, {"NominalInterval": 20000}, {"HeartRate": 400}, {}]
)
def test_an_impossible_beat_gives_no_phase(beat):
    # Philips fMRI writes the time of the dynamic into TriggerTime
    assert judged(volume("CT", TriggerTime=450, **beat)) == []


def test_the_tag_that_guides_call_cardiac_phase_is_not_read():
    # (0018,9152) is MR Metabolite Map Sequence (E1)
    assert "9152" not in cardiac_gating.cardiac_phase.__doc__


def _private(group, creator, elements):
    made = volume("CT", slices=1)
    block = made.frames[0].instance.header.private_block(group, creator, create=True)
    for offset, vr, value in elements:
        block.add_new(offset, vr, value)
    return made


def test_private_elements_are_found_in_a_second_block_of_their_creator():
    made = _private(0x0045, "GEMS_HELIOS_01", [(0x30, "LO", "SEG")])
    head = made.frames[0].instance.header
    head.add_new(0x00450011, "LO", "GEMS_HELIOS_01")
    head.add_new(0x00451133, "FL", 70.0)
    assert fact(made)["phase_percent"] == 70.0


def test_private_elements_are_found_through_their_creator():
    made = _private(0x0045, "GEMS_HELIOS_01", [(0x33, "FL", 70.0), (0x31, "IS", "62")])
    assert fact(made)["phase_percent"] == 70.0
    assert fact(made)["heart_rate_bpm"] == 62.0
    assert judged(_private(0x0045, "SOMEBODY ELSE", [(0x33, "FL", 70.0)])) == []


@pytest.mark.parametrize(
    ("words", "percent"),
    [
        ("CTA 0.6 B26f 75 %", 75),
        ("BestDiast 72 %", 72),
        ("Best Syst 35%", 35),
        ("DS_CorCTA 0.75 Br36 70%", 70),
        ("CTA 0% A", 0),
        ("Heart gated 75 %", 75),
        ("CORONARY CTA W CONTRAST 75%", 75),
        ("COR CTA 120 kV 75%", 75),
    ],
)
def test_a_description_of_a_heart_scan_may_name_the_phase(words, percent):
    assert fact(volume("CT", SeriesDescription=words, **HEART))["phase_percent"] == percent


@pytest.mark.parametrize(
    "words",
    [
        "CTA 85 % ASIR", "CTA ASIR 50%", "ASiR-V 40%", "60% dose", "SAFIRE 30%", "iDose 4 50 %", "CTA 0.6", "75% ASiR-V 40%", "40% ASIR 75%", "40% Ex", "Gated, 0.0%A",
        "35% 75%", "150 %",
    ],
)  # fmt: skip
def test_other_percentages_are_no_cardiac_phase(words):
    assert cardiac_text.read(words).percent is None


def test_a_percentage_without_a_heart_is_no_cardiac_phase():
    assert judged(volume("CT", SeriesDescription="LIVER 50 %")) == []


@pytest.mark.parametrize("words", ["% 0 - 90", "0% - 90%", "0-90 %"])
def test_a_range_is_several_phases(words):
    assert cardiac_text.read(words).is_range
    finding = only(cardiac_gating.several_phases(series(volume("CT", SeriesDescription=f"CorCTA {words}"))))
    assert (finding.code, finding.severity) == ("GAT-009", Severity.INFO)


def test_milliseconds_are_kept():
    assert fact(volume("CT", SeriesDescription="CorCTA 280 ms"))["time_ms"] == 280


def test_sources_that_disagree_are_held():
    made = volume("CT", NominalPercentageOfCardiacPhase=75.0, ScanOptions="TP40PC300")
    finding = only(judged(made), "GAT-003")
    assert finding.severity is Severity.REVIEW
    assert fact(made)["phase_percent"] == 75.0


def test_the_cycle_is_a_circle():
    # 98 % and 1 % are three apart, not ninety-seven (E35)
    assert "GAT-003" not in codes(
        judged(volume("CT", NominalPercentageOfCardiacPhase=98.0, ScanOptions="TP1PC300"))
    )


def test_two_phases_in_a_series_are_noted():
    pair = [volume("CT", index=k, NominalPercentageOfCardiacPhase=p) for k, p in enumerate((40.0, 75.0))]
    assert only(cardiac_gating.several_phases(series(*pair))).evidence["phases_percent"] == [40.0, 75.0]
    assert cardiac_gating.several_phases(series(pair[0])) == []


@pytest.mark.parametrize(
    "words", ["Heart CTA", "CaScore", "TAVI", "Herz nativ", "coeur", "cuore", "serce", "Calcium Scoring"]
)
def test_a_heart_scan_without_gating_is_marked(words):
    finding = only(cardiac_gating.UngatedHeart()(series(volume("CT", SeriesDescription=words))))
    assert (finding.code, finding.severity) == ("GAT-004", Severity.WARN)


@pytest.mark.parametrize("words", ["COR MPR", "CALCANEUS", "CORONAL", "RECORDED", "Thorax"])
def test_words_that_only_sound_like_the_heart_are_none(words):
    assert cardiac_gating.UngatedHeart()(series(volume("CT", SeriesDescription=words))) == []


@pytest.mark.parametrize(
    "attributes",
    [
        {"ScanOptions": "GATED"},
        {"CardiacSynchronizationTechnique": "PROSPECTIVE"},
        {"NominalPercentageOfCardiacPhase": 70.0},
    ],
)
def test_a_gated_heart_scan_is_as_it_should_be(attributes):
    assert cardiac_gating.UngatedHeart()(series(volume("CT", SeriesDescription="Heart", **attributes))) == []


def test_gated_without_a_phase_says_so():
    made = volume("CT", CardiacSynchronizationTechnique="RETROSPECTIVE")
    assert fact(made)["phase_percent"] is None
    assert codes(judged(made)) == ["GAT-001"]


def test_technique_none_against_a_named_phase_is_held():
    made = volume("CT", CardiacSynchronizationTechnique="NONE", SeriesDescription="Heart 75 %")
    finding = only(cardiac_gating.UngatedHeart()(series(made)))
    assert (finding.code, finding.severity) == ("GAT-005", Severity.REVIEW)


@pytest.mark.parametrize(
    "beat", [{"HeartRate": 95}, {"HeartRate": 60, "LowRRValue": 700, "HighRRValue": 1100}]
)
def test_fast_or_irregular_beats_are_marked(beat):
    finding = only(judged(volume("CT", NominalPercentageOfCardiacPhase=70.0, **beat)), "GAT-008")
    assert finding.severity is Severity.WARN


def test_the_rate_of_a_scan_is_the_median_of_its_slices():
    made = volume(
        "CT", slices=5, NominalPercentageOfCardiacPhase=70.0, HeartRate=lambda k: (68, 68, 76, 76, 76)[k]
    )
    assert fact(made)["heart_rate_bpm"] == 76.0
    assert codes(judged(made)) == ["GAT-001"]  # 789 to 882 ms are 11 % apart


def test_rates_that_differ_much_between_the_slices_are_irregular():
    made = volume(
        "CT", slices=5, NominalPercentageOfCardiacPhase=70.0, HeartRate=lambda k: (60, 60, 60, 72, 72)[k]
    )
    assert "beats of 833" in only(judged(made), "GAT-008").message


def test_a_calm_regular_beat_is_not_marked():
    made = volume("CT", NominalPercentageOfCardiacPhase=70.0, HeartRate=62, LowRRValue=940, HighRRValue=990)
    assert codes(judged(made)) == ["GAT-001"]


def test_an_ordinary_scan_has_no_cardiac_phase():
    assert judged(volume("CT", SeriesDescription="THORAX")) == []


def breathing(made):
    return respiratory_gating.respiratory_phase(series(made))


@pytest.mark.parametrize(
    ("attributes", "percent"),
    [
        ({"SeriesDescription": "Gated, 0.0%A"}, 0), ({"ImageComments": "P4^P101^S300^I00003, Gated, 50.0%A"}, 50),
        ({"SeriesDescription": "Thorax 30% Ex"}, 30), ({"SeriesDescription": "T=60%"}, 60),
        ({"NominalPercentageOfRespiratoryPhase": 20.0}, 20),
    ],
)  # fmt: skip
def test_a_respiratory_bin_is_read(attributes, percent):
    finding = only(breathing(volume("CT", **attributes)))
    assert (finding.code, finding.severity) == ("RSP-001", Severity.INFO)
    assert finding.evidence["respiratory"]["phase_percent"] == percent


@pytest.mark.parametrize(
    ("words", "name"),
    [("THORAX INSP", "INSPIRATION"), ("Lung Expiration", "EXPIRATION"), ("wydech", "EXPIRATION")],
)
def test_breath_holds_are_named(words, name):
    assert only(breathing(volume("CT", SeriesDescription=words))).evidence["respiratory"]["phase"] == name


@pytest.mark.parametrize("words", ["THORAX", "EXPERT LUNG", "INSP/EXP", "CorCTA 75 %", "INSPECTION"])
def test_other_descriptions_name_no_breathing(words):
    assert breathing(volume("CT", SeriesDescription=words)) == []


@pytest.mark.parametrize("words", ["AVE 4D", "MIP 4D", "4D CT Average", "4D-MIP"])
def test_averages_over_breathing_are_refused(words):
    finding = only(respiratory_gating.combined_breathing(series(volume("CT", SeriesDescription=words))))
    assert (finding.code, finding.severity) == ("RSP-002", Severity.ERROR)


@pytest.mark.parametrize("words", ["4D Thorax 30% Ex", "MIP 10mm", "WAVE 4D"])
def test_single_bins_and_other_projections_are_not_averages_over_breathing(words):
    assert respiratory_gating.combined_breathing(series(volume("CT", SeriesDescription=words))) == []


def sources(made):
    return [(each["source"], each["phase_percent"], each["time_ms"]) for each in fact(made)["sources"]]


def test_every_source_is_recorded_in_the_order_of_trust():
    made = multi_frame(
        volume(
            "CT", slices=3, TriggerTime=690, HeartRate=62, ScanOptions="TP70PC100", SeriesDescription="CorCTA 70 %", **HEART
        ),
        NominalPercentageOfCardiacPhase=71.0, NominalCardiacTriggerDelayTime=700.0, ActualCardiacTriggerDelayTime=710.0,
        RRIntervalTimeNominal=1000.0,
    )  # fmt: skip
    # 690 ms of 60000/62 ms is 71.3 %
    assert sources(made) == [
        ("NominalPercentageOfCardiacPhase", 71.0, None), ("NominalCardiacTriggerDelayTime", 70.0, 700.0),
        ("ActualCardiacTriggerDelayTime", 71.0, 710.0), ("TriggerTime", 71.3, 690.0), ("ScanOptions", 70.0, None),
        ("SeriesDescription", 70.0, None),
    ]  # fmt: skip
    assert (fact(made)["phase_percent"], fact(made)["time_ms"]) == (71.0, 700.0)
    assert codes(judged(made)) == ["GAT-001"]


def test_a_delay_per_frame_counts_by_its_median():
    delays = [300.0, 320.0, 310.0]
    made = multi_frame(
        volume("CT", slices=3),
        NominalCardiacTriggerDelayTime=lambda k: delays[k],
        RRIntervalTimeNominal=1000.0,
    )
    assert (fact(made)["phase_percent"], fact(made)["time_ms"]) == (31.0, 310.0)


def test_the_synchronization_is_recorded():
    made = volume(
        "CT", CardiacSynchronizationTechnique="RETROSPECTIVE", CardiacSignalSource="ECG", CardiacBeatRejectionTechnique="NONE",
        CardiacCyclePosition="END_DIASTOLE", NominalPercentageOfCardiacPhase=75.0,
    )  # fmt: skip
    found = fact(made)
    assert (found["technique"], found["signal_source"], found["cycle_position"]) == (
        "RETROSPECTIVE",
        "ECG",
        "END_DIASTOLE",
    )


def test_ge_states_what_was_asked_and_what_was_measured():
    made = _private(
        0x0045, "GEMS_HELIOS_01", [(0x33, "CS", "75"), (0x34, "CS", "68"), (0x3F, "IS", "720"), (0x44, "IS", "650"), (0x31, "CS", "63")]
    )  # fmt: skip
    assert sources(made) == [
        ("GEMS_HELIOS_01 (0045,xx33)", 75.0, 720.0),
        ("GEMS_HELIOS_01 (0045,xx34), actual", 68.0, 650.0),
    ]
    assert "GAT-003" not in codes(judged(made))  # the scanner says itself that the beats differed


@pytest.mark.parametrize(
    ("value", "percent", "time_ms"),
    [("75.0%", 75.0, None), ("40", 40.0, None), ("300 ms", None, 300.0), ("350", None, 350.0)],
)
def test_philips_states_a_gating_delay(value, percent, time_ms):
    found = fact(_private(0x01F1, "ELSCINT1", [(0x41, "LO", value), (0x45, "IS", "70")]))
    assert (found["phase_percent"], found["time_ms"], found["heart_rate_bpm"]) == (percent, time_ms, 70.0)


def test_canon_states_percent_milliseconds_and_the_mean_beat():
    made = _private(
        0x7005,
        "TOSHIBA_MEC_CT3",
        [(0x03, "SH", "950"), (0x04, "SH", "75"), (0x05, "SH", "712"), (0x06, "SH", "HALF")],
    )
    found = fact(made)
    assert (found["phase_percent"], found["time_ms"], found["rr_ms"], found["algorithm"]) == (
        75.0,
        712.0,
        950.0,
        "HALF",
    )


def test_a_private_element_of_another_kind_is_no_phase():
    assert judged(_private(0x01F1, "ELSCINT1", [(0x41, "LO", "NOT GATED")])) == []


def test_comments_may_name_the_phase():
    made = volume("CT", SeriesDescription="Heart", ImageComments="BestDiast 74 %")
    assert (fact(made)["phase_percent"], fact(made)["source"]) == (74.0, "ImageComments")


def test_the_time_of_a_philips_dynamic_is_no_trigger_time():
    made = volume("MR", slices=1, TriggerTime=500, HeartRate=60)
    assert fact(made)["phase_percent"] == 50.0
    block = made.frames[0].instance.header.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    block.add_new(0xA0, "FL", 0.5)
    assert judged(made) == []
