"""Heart beats and cardiac phases exactly at their limits."""

from __future__ import annotations

import pytest

from handlers.model import Severity
from handlers.triage import cardiac_beat, cardiac_gating, cardiac_series, cardiac_text
from handlers.triage.cardiac_beat import HeartBeat
from triage_cases import codes, multi_frame, only, series, volume

HEART = {"BodyPartExamined": "HEART"}


def beat(**attributes):
    return cardiac_beat.heart_beat(volume("CT", slices=2, **attributes).frames)


def judged(*volumes):
    return cardiac_gating.cardiac_phase(series(*volumes))


def with_private(group, creator, elements, **attributes):
    made = volume("CT", slices=1, **attributes)
    block = made.frames[0].instance.header.private_block(group, creator, create=True)
    for offset, vr, value in elements:
        block.add_new(offset, vr, value)
    return made


# ---- the beat


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"HeartRate": 60}, HeartBeat(60.0, 1000.0, None, None)),
        ({"NominalInterval": 800}, HeartBeat(75.0, 800.0, None, None)),
        ({"NominalInterval": 900.23}, HeartBeat(66.6, 900.23, None, None)),  # 66.6496
        ({"HeartRate": lambda k: (60, 75)[k]}, HeartBeat(67.5, 60000 / 67.5, 800.0, 1000.0)),
        ({"HeartRate": lambda k: (60, 75)[k], "LowRRValue": 700}, HeartBeat(67.5, 60000 / 67.5, 700.0, None)),
        ({"HeartRate": 60, "LowRRValue": 700, "HighRRValue": 900}, HeartBeat(60.0, 1000.0, 700.0, 900.0)),
        (
            {"HeartRate": 60, "LowRRValue": lambda k: 700 + k, "HighRRValue": lambda k: 900 + k},
            HeartBeat(60.0, 1000.0, 700.0, 901.0),  # the shortest and the longest of all slices
        ),
    ],
)
def test_the_beat_is_what_is_stated_and_its_range_what_the_slices_show(attributes, expected):
    assert beat(**attributes) == expected


@pytest.mark.parametrize(
    ("interval", "expected"), [(299.9, None), (300, 300.0), (2000, 2000.0), (2000.1, None)]
)
def test_beats_beyond_30_and_200_a_minute_are_none(interval, expected):
    assert beat(NominalInterval=interval).rr_ms == expected


@pytest.mark.parametrize(
    ("time_ms", "interval_ms", "expected"),
    [
        (0.0, 800.0, 0.0),
        (0.5, 800.0, 0.0625),
        (-0.5, 800.0, None),
        (400.0, 800.0, 50.0),
        (400.0, 100.0, None),
    ],
)
def test_a_delay_is_a_share_of_the_beat(time_ms, interval_ms, expected):
    assert cardiac_beat.share(time_ms, interval_ms) == expected


@pytest.mark.parametrize(
    ("group", "creator", "element"), [(0x0045, "GEMS_HELIOS_01", 0x30), (0x7005, "TOSHIBA_MEC_CT3", 0x06)]
)
def test_the_algorithm_of_the_synchronization_is_recorded(group, creator, element):
    made = with_private(group, creator, [(element, "LO", "SNAPSHOT")])
    assert cardiac_beat.synchronization(made.frames[0]) == {"algorithm": "SNAPSHOT"}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"HeartRate": 80}, []),
        ({"HeartRate": 80.1}, ["GAT-008"]),
        ({"LowRRValue": 925, "HighRRValue": 1075}, []),  # 15 % of their mean
        ({"LowRRValue": 924, "HighRRValue": 1076}, ["GAT-008"]),
        ({"LowRRValue": 400}, []),
        ({"HighRRValue": 1900}, []),
    ],
)
def test_fast_and_irregular_at_their_limits(attributes, expected):
    found = judged(volume("CT", NominalPercentageOfCardiacPhase=75, **attributes))
    assert [each.code for each in found if each.code == "GAT-008"] == expected


# ---- the phase of a volume


@pytest.mark.parametrize(
    ("stated", "expected"), [(0, 0.0), (33.33, 33.3), (99.94, 99.9), (99.96, 0.0), (100, 0.0), (100.1, None)]
)
def test_a_phase_lies_on_the_circle(stated, expected):
    found = judged(volume("CT", NominalPercentageOfCardiacPhase=stated))
    told = [each.evidence["cardiac"]["phase_percent"] for each in found]
    assert told == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("stated", "expected"), [("100", (0.0, None)), ("101", (None, 101.0)), ("99.9", (99.9, None))]
)
def test_a_bare_number_above_a_hundred_is_milliseconds(stated, expected):
    made = with_private(0x01F1, "ELSCINT1", [(0x41, "LO", stated)])
    told = only(judged(made)).evidence["cardiac"]
    assert (told["phase_percent"], told["time_ms"]) == expected


@pytest.mark.parametrize(
    ("begins_s", "expected"),
    [(0.4995, []), (0.499, ["GAT-002"]), (0.4985, ["GAT-002"]), (0.5015, ["GAT-002"])],
)
def test_a_trigger_time_within_a_millisecond_of_the_dynamic_is_its_time(begins_s, expected):
    made = with_private(
        0x2005, "Philips MR Imaging DD 001", [(0xA0, "FL", begins_s)], TriggerTime=500, NominalInterval=1000
    )
    made.frames[0].instance.header.private_block(0x2005, "Philips MR Imaging DD 001")[0xA0].value = begins_s
    assert codes(judged(made)) == expected


def test_a_percentage_is_preferred_to_a_time_that_is_trusted_more():
    made = multi_frame(volume("CT", ScanOptions="TP70PC300"), NominalCardiacTriggerDelayTime=300.0)
    told = only(judged(made)).evidence["cardiac"]
    assert (told["phase_percent"], told["source"]) == (70.0, "ScanOptions")


def test_a_time_alone_is_told_as_such():
    finding = only(judged(multi_frame(volume("CT"), NominalCardiacTriggerDelayTime=300.0)))
    assert (finding.code, finding.severity) == ("GAT-001", Severity.INFO)
    assert finding.message == "cardiac phase 300 ms, by NominalCardiacTriggerDelayTime"


def test_a_volume_without_a_phase_hides_no_other():
    found = judged(volume("CT"), volume("CT", index=1, NominalPercentageOfCardiacPhase=75))
    assert [(each.code, each.target) for each in found] == [("GAT-001", "v1")]


def test_the_uncertainty_of_a_computed_phase_has_one_digit():
    made = volume("CT", TriggerTime=450, NominalInterval=900, LowRRValue=700, HighRRValue=1000)
    assert only(judged(made), "GAT-002").evidence["error_percent"] == 9.6  # 64.29 and 45 %


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (70, "75", []),
        (70, "76", ["GAT-003"]),
        (97, "2", []),
        (97, "3", ["GAT-003"]),
        (2, "97", []),
        (0, "5", []),
        (0, "6", ["GAT-003"]),
        (6, "0", ["GAT-003"]),
    ],
)
def test_statements_may_differ_by_five_percent_of_the_circle(first, second, expected):
    made = volume("CT", NominalPercentageOfCardiacPhase=first, ScanOptions=f"TP{second}PC")
    assert [each.code for each in judged(made) if each.code == "GAT-003"] == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("HEART", "GAT-004"),
        ("HEART 75%", "GAT-005"),
        ("HEART 300ms", "GAT-005"),
        ("HEART 0-90%", "GAT-005"),
        ("Herz ECG gated", "GAT-005"),
        ("HEART RETROSPECTIVE", "GAT-005"),
        ("HEART NON-GATED", "GAT-004"),
        ("HEART W/O ECG", "GAT-004"),
    ],
)
def test_technique_none_contradicts_every_way_to_name_a_phase(words, expected):
    made = volume("CT", SeriesDescription=words, CardiacSynchronizationTechnique="NONE", **HEART)
    assert only(cardiac_gating.UngatedHeart()(series(made))).code == expected


@pytest.mark.parametrize(
    ("descriptions", "expected"),
    [
        (("HEART 0-90%", "HEART"), ["GAT-009"]),  # one of them is enough
        (("CTDI 0-90%", "CTDI"), []),  # of no heart
        (("HEART", "CARDIAC"), []),
    ],
)
def test_a_range_of_phases_in_one_description_of_the_heart(descriptions, expected):
    made = [volume("CT", index=k, SeriesDescription=words) for k, words in enumerate(descriptions)]
    assert codes(cardiac_gating.several_phases(series(*made))) == expected


@pytest.mark.parametrize(
    ("words", "limits"),
    [("heart 0-100%", (0.0, 100.0)), ("heart 90 - 10 %", (10.0, 90.0)), ("heart 0-101%", None)],
)
def test_a_range_has_limits_within_the_cycle(words, limits):
    told = cardiac_text.read(words)
    assert (told.is_range, told.limits) == (True, limits)


@pytest.mark.parametrize(("words", "percent"), [("heart 99%", 99.0), ("heart 100%", None), ("heart 0%", 0.0)])
def test_a_hundred_percent_in_words_is_no_phase(words, percent):
    assert cardiac_text.read(words).percent == percent


# ---- the phases of a series


def phases(*percents, words=None, slices=5):
    made = [
        volume("CT", index=k, slices=slices, NominalPercentageOfCardiacPhase=each, SeriesDescription=words)
        for k, each in enumerate(percents)
    ]
    return cardiac_series.unequal_phases(series(*made))


@pytest.mark.parametrize(
    ("percents", "missing"),
    [
        ((0, 10, 20, 40), [30.0]),  # four are enough to see a step
        ((0, 10, 30), None),
        ((0, 10, 20, 31, 40, 50, 70), [60.0]),  # rounded by the scanner
        ((0, 10, 20, 32.5, 40, 50, 70), [60.0]),  # a quarter of a step off its place, the most
        ((0, 10, 20, 32.6, 40, 50, 70), None),  # no regular sequence
        ((0, 10, 20, 30), None),
    ],
)
def test_a_hole_in_a_regular_sequence_is_told(percents, missing):
    found = phases(*percents)
    assert (only(found).evidence["missing_percent"] if found else None) == missing


def test_the_description_names_the_ends_of_the_sequence():
    assert only(phases(0, 10, 20, 30, words="HEART 0-50%")).evidence["missing_percent"] == [40.0, 50.0]
    assert phases(*range(0, 100, 10), words="HEART 0-100%") == []  # a hundred is the next beat


def test_gated_volumes_without_a_phase_are_not_compared():
    made = [
        volume("CT", index=k, slices=n, CardiacSynchronizationTechnique="RETROSPECTIVE")
        for k, n in enumerate((20, 10))
    ]
    assert cardiac_series.unequal_phases(series(*made)) == []


def test_the_first_image_names_the_ends_of_the_sequence():
    def words(k):
        return "HEART 0-50%" if k == 0 else "HEART"

    assert only(phases(0, 10, 20, 30, words=words)).evidence["missing_percent"] == [40.0, 50.0]
