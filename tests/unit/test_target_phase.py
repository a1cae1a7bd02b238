"""The cardiac phase that a profile wants: which volume is taken, which are passed over, and when none is near."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import data
from handlers.api import Recipe
from handlers.model import Severity, Verdict, volume_facts
from handlers.preprocess import preprocess
from handlers.reading import series_from_files
from handlers.triage import cardiac_gating, cardiac_series
from handlers.triage.phase_target import PhaseTarget
from handlers.triage.target_phase import TargetPhase
from handlers.triage.verdict import series_verdict, volume_verdict
from triage_cases import codes, multi_frame, only, series, sibling, volume


def phase(percent, index=0, **more):
    return volume("CT", index=index, NominalPercentageOfCardiacPhase=float(percent), **more)


def phases(*percents, **more):
    return [phase(percent, index, **more) for index, percent in enumerate(percents)]


def taken(target, *volumes, **more):
    """The name of the volume taken for a target, or None."""
    found = TargetPhase(target)(series(*volumes, **more))
    names = [finding.target for finding in found if finding.code == "GAT-010"]
    assert len(names) < 2
    return names[0] if names else None


def test_without_a_target_all_volumes_are_taken():
    assert TargetPhase()(series(*phases(40, 75))) == []


@pytest.mark.parametrize(("target", "name"), [("75%", "v1"), ("40 %", "v0"), ("38%", "v0"), ("78.5%", "v1")])
def test_the_nearest_volume_is_taken(target, name):
    assert taken(target, *phases(40, 75)) == name


def test_the_cycle_is_a_circle_for_a_target_too():
    # 95 % is 5 from 0 %, not 95 (E35)
    assert taken("0%", *phases(95, 10)) == "v0"
    assert taken("100%", *phases(95, 10)) == "v0"


def test_the_choice_and_its_distance_are_facts_of_the_volume():
    volumes = phases(40, 73)
    found = TargetPhase("75%")(series(*volumes))
    chosen, other = (volume_facts(found, each)["cardiac"] for each in reversed(volumes))
    assert (chosen["target_phase"], chosen["distance_percent"], chosen["selected"]) == ("75%", 2.0, True)
    assert chosen["phase_percent"] == 73.0
    assert (other["distance_percent"], other["selected"]) == (35.0, False)


def test_the_others_are_passed_over_with_a_reason():
    found = TargetPhase("75%")(series(*phases(40, 73, 10)))
    passed = [finding for finding in found if finding.code == "GAT-011"]
    assert [finding.target for finding in passed] == ["v0", "v2"]
    assert all(finding.severity is Severity.ERROR for finding in passed)
    assert "v1 is taken (73 %)" in passed[0].message


def test_a_volume_of_unknown_phase_is_passed_over_too():
    found = TargetPhase("75%")(series(phase(75), volume("CT", index=1)))
    assert only(found, "GAT-011").target == "v1"


@pytest.mark.parametrize(
    ("percent", "expected"), [(80, ["GAT-010"]), (81, ["GAT-010", "GAT-006"]), (85, ["GAT-010", "GAT-006"])]
)
def test_within_five_percent_is_accepted_and_within_ten_marked(percent, expected):
    found = TargetPhase("75%")(series(phase(percent)))
    assert codes(found) == expected
    assert all(finding.severity <= Severity.WARN for finding in found)


@pytest.mark.parametrize("percents", [(86,), (40, 60), (0,)])
def test_no_volume_within_ten_percent_holds_the_series(percents):
    finding = only(TargetPhase("75%")(series(*phases(*percents))))
    assert (finding.code, finding.severity, finding.target) == ("GAT-006", Severity.REVIEW, "")


def test_a_scan_without_any_phase_is_held():
    finding = only(TargetPhase("75%")(series(volume("CT"))))
    assert (finding.code, finding.severity) == ("GAT-006", Severity.REVIEW)
    assert "no volume states" in finding.message


def test_an_incomplete_volume_is_never_taken():
    whole, part = phase(70, 0), phase(75, 1, slices=12)
    assert taken("75%", whole, part) == "v0"
    passed = only(TargetPhase("75%")(series(whole, part)), "GAT-011")
    assert "12 of 20 slices" in passed.message


def test_a_volume_with_a_hole_is_never_taken():
    places = [(0.0, 0.0, 2.0 * k) for k in range(20) if k != 9]
    finding = only(TargetPhase("75%")(series(phase(75, positions=places))))
    assert (finding.code, finding.severity) == ("GAT-006", Severity.REVIEW)
    assert finding.evidence["incomplete"] == {"v0": "1 slices are missing"}


@pytest.mark.parametrize(
    ("target", "percents", "name"),
    [("40%", (37, 43), "v1"), ("40%", (43, 37), "v0"), ("90%", (93, 87), "v1")],
)
def test_of_two_equally_near_the_diastolic_side_wins(target, percents, name):
    # mid-diastole is at 75 %: 43 is nearer to it than 37, and 87 than 93
    assert taken(target, *phases(*percents)) == name


def test_then_the_smoother_kernel_wins():
    sharp, smooth = phase(75, 0, ConvolutionKernel="B70f"), phase(75, 1, ConvolutionKernel="B26f")
    assert taken("75%", sharp, smooth) == "v1"


def test_then_the_thinner_slices_win():
    thick, thin = phase(75, 0, SliceThickness=3), phase(75, 1, SliceThickness=0.75)
    assert taken("75%", thick, thin) == "v1"


def test_then_the_first_wins():
    assert taken("75%", *phases(75, 75)) == "v0"


def test_a_derived_volume_is_not_taken_beside_an_original_one():
    mip = phase(75, 0, ImageType=["DERIVED", "SECONDARY", "AXIAL", "MIP"])
    assert taken("75%", mip, phase(73, 1)) == "v1"


@pytest.mark.parametrize(("target", "name"), [("300ms", "v0"), ("760 ms", "v1")])
def test_a_target_in_milliseconds_is_compared_with_times(target, name):
    volumes = [
        volume("CT", index=k, TriggerTime=time, NominalInterval=1000) for k, time in enumerate((310, 750))
    ]
    assert taken(target, *volumes) == name


def test_a_percentage_becomes_a_time_by_the_beat():
    # 40 % of 800 ms is 320 ms: 20 ms from 300 ms, which is 2.5 % of the beat
    found = TargetPhase("300ms")(series(phase(40, HeartRate=75)))
    assert only(found, "GAT-010").evidence["cardiac"]["distance_percent"] == pytest.approx(2.5)


def test_a_percentage_without_a_beat_is_no_time():
    assert PhaseTarget.of("300ms").distance({"phase_percent": 30.0, "time_ms": None, "rr_ms": None}) is None


def test_a_time_without_a_beat_is_measured_by_a_nominal_one():
    # 30 ms of 1000 ms
    assert PhaseTarget.of("300ms").distance({"phase_percent": None, "time_ms": 330.0}) == pytest.approx(3.0)


@pytest.mark.parametrize("text", ["", "75", "diastole", "101%", "75 % 40 %", "-5%"])
def test_a_target_is_a_percentage_or_a_time(text):
    with pytest.raises(ValueError, match="target_phase"):
        PhaseTarget.of(text)


NEAR = {"Modality": "CT", "FrameOfReferenceUID": "1.2.3", "SeriesDescription": "CorCTA 75 %"}


def test_a_nearer_series_of_the_study_passes_this_one_over():
    found = TargetPhase("75%")(series(*phases(40, 30), study=(sibling(**NEAR),)))
    assert codes(found) == ["GAT-011", "GAT-011"]
    assert "series 1.2.10" in found[0].message


@pytest.mark.parametrize("facts", [{"NominalPercentageOfCardiacPhase": 75}, {"ScanOptions": ["TP74PC600"]}])
def test_a_series_of_the_study_states_its_phase_in_its_first_header(facts):
    found = TargetPhase("75%")(
        series(phase(40), study=(sibling(**{**NEAR, "SeriesDescription": "x", **facts}),))
    )
    assert codes(found) == ["GAT-011"]


@pytest.mark.parametrize(
    "facts",
    [
        {"FrameOfReferenceUID": "9.9"},
        {"SeriesDescription": "CorCTA 50 %"},
        {"Modality": "SR"},
        {"SeriesDescription": "LIVER 75 %"},
    ],
)
def test_other_series_of_the_study_do_not(facts):
    found = TargetPhase("75%")(series(phase(40), study=(sibling(**NEAR | facts),)))
    assert codes(found) == ["GAT-006"]


def test_a_volume_that_is_near_is_taken_whatever_other_series_state():
    assert taken("75%", phase(72), study=(sibling(**NEAR),)) == "v0"


def test_what_was_passed_over_does_not_count_for_the_verdict_of_the_series():
    volumes = phases(40, 75)
    recipe = Recipe(target_phase="75%")
    found = TargetPhase("75%")(series(*volumes))
    verdicts = [volume_verdict(found, each, recipe) for each in volumes]
    assert verdicts == [Verdict.REJECT, Verdict.ACCEPT]
    assert series_verdict(found, volumes, verdicts, recipe) is Verdict.ACCEPT


def test_a_series_passed_over_as_a_whole_is_refused():
    volumes = phases(40)
    found = TargetPhase("75%")(series(*volumes, study=(sibling(**NEAR),)))
    assert series_verdict(found, volumes, [Verdict.REJECT], Recipe()) is Verdict.REJECT


def test_a_policy_can_keep_all_phases():
    found = TargetPhase("75%")(series(*phases(40, 75)))
    recipe = Recipe(policy={"GAT-011": Verdict.ACCEPT})
    assert volume_verdict(found, phase(40), recipe) is Verdict.ACCEPT


def test_an_ungated_heart_is_held_where_a_phase_is_needed():
    made = series(volume("CT", SeriesDescription="Heart CTA"))
    assert only(cardiac_gating.UngatedHeart(need_phase=True)(made)).severity is Severity.REVIEW
    assert only(cardiac_gating.UngatedHeart()(made)).severity is Severity.WARN


def unequal(*volumes):
    return cardiac_series.unequal_phases(series(*volumes))


def test_phases_of_different_length_are_told():
    finding = only(unequal(phase(40, 0), phase(75, 1, slices=17)))
    assert (finding.code, finding.severity) == ("GAT-007", Severity.WARN)
    assert finding.evidence["slices"] == {"v0": 20, "v1": 17}
    assert finding.evidence["incomplete"] == {"v1": "17 of 20 slices"}


def test_phases_at_other_places_are_told():
    moved = [(0.0, 0.0, 2.0 * k + 3.0) for k in range(20)]
    assert codes(unequal(phase(40, 0), phase(75, 1, positions=moved))) == ["GAT-007"]


def test_equal_phases_are_not_told():
    assert unequal(*phases(40, 75)) == []
    assert unequal(phase(40)) == []


def test_other_reconstructions_are_not_compared():
    assert unequal(phase(40, 0), phase(75, 1, slices=40, SliceThickness=1)) == []


def test_a_hole_in_the_sequence_of_phases_is_told():
    finding = only(unequal(*phases(0, 10, 20, 40, 50, 60, 70, 80, 90)))
    assert finding.evidence["missing_percent"] == [30.0]


@pytest.mark.parametrize(
    "percents", [(0, 10, 20, 30, 40, 50, 60, 70, 80, 90), (30, 35, 40, 45), (40, 75), (10, 33, 40, 78)]
)
def test_whole_or_irregular_sequences_have_no_hole(percents):
    assert unequal(*phases(*percents)) == []


def test_the_description_may_name_the_ends_of_the_sequence():
    found = unequal(*phases(0, 10, 20, 30, 40, 50, 60, 70, 80, SeriesDescription="CorCTA 0% - 90%"))
    assert only(found).evidence["missing_percent"] == [90.0]
    assert unequal(*phases(0, 20, 40, 60, 80, SeriesDescription="CorCTA 0 - 100 %")) == []


@pytest.fixture
def gated(tmp_path):
    """Three phases of a heart in one series, as files."""
    made = [
        each
        for percent in (40.0, 70.0, 75.0)
        for each in data.ct_series(
            slices=12, rows=32, columns=24, name=f"phase {percent}", series_uid="1.2.826.0.1.40",
            NominalPercentageOfCardiacPhase=percent, HeartRate=62,
        )
    ]  # fmt: skip
    (found,), unreadable = series_from_files(data.write(made, tmp_path / "in"))
    assert unreadable == []
    return found


def test_only_the_target_phase_is_written_and_the_others_are_reported(gated, tmp_path):
    outcome = preprocess(gated, tmp_path / "out", Recipe(target_phase="75%"))
    assert outcome.verdict in (Verdict.ACCEPT, Verdict.ACCEPT_WARN)
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    by_phase = {each["cardiac"]["phase_percent"]: each for each in report["volumes"]}
    assert sorted(by_phase) == [40.0, 70.0, 75.0]
    assert {percent for percent, each in by_phase.items() if "file" in each} == {75.0}
    assert by_phase[40.0]["verdict"] == by_phase[70.0]["verdict"] == "REJECT"
    written = by_phase[75.0]["file"].replace(".nii.gz", ".json")
    sidecar = json.loads((tmp_path / "out" / written).read_text("utf-8"))
    assert sidecar["node"]["cardiac"]["selected"] is True
    assert sidecar["node"]["cardiac"]["target_phase"] == "75%"


def test_a_phase_of_an_enhanced_object_is_chosen_like_any_other(tmp_path):
    phases_of_frames = tuple({"NominalPercentageOfCardiacPhase": percent} for percent in (40.0, 75.0))
    made = [data.enhanced_ct(slices=10, rows=16, columns=16, volumes=phases_of_frames)]
    (found,), _ = series_from_files(data.write(made, tmp_path / "in"))
    outcome = preprocess(found, tmp_path / "out", Recipe(target_phase="38%"))
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert [each["cardiac"]["selected"] for each in report["volumes"] if "file" in each] == [True]
    assert {each["cardiac"]["phase_percent"]: each["verdict"] for each in report["volumes"]}[75.0] == "REJECT"
    assert outcome.verdict in (Verdict.ACCEPT, Verdict.ACCEPT_WARN)


def test_without_a_target_all_three_are_written(gated, tmp_path):
    preprocess(gated, tmp_path / "out", Recipe())
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 3


def test_times_lie_on_the_circle_of_the_beat_too():
    # 950 ms of a beat of 1000 ms is 70 ms before 20 ms
    assert PhaseTarget.of("20ms").distance(
        {"phase_percent": 95.0, "time_ms": 950.0, "rr_ms": 1000.0}
    ) == pytest.approx(7.0)
    assert PhaseTarget.of("300ms").distance(
        {"phase_percent": None, "time_ms": 1400.0, "rr_ms": 1000.0}
    ) == pytest.approx(110.0)


@pytest.mark.parametrize(("shift_mm", "is_told"), [(0.9, False), (1.1, True)])
def test_phases_may_differ_by_half_a_slice(shift_mm, is_told):
    moved = [(0.0, 0.0, 2.0 * k + shift_mm) for k in range(20)]
    assert bool(unequal(phase(40, 0), phase(75, 1, positions=moved))) == is_told


def test_phases_that_end_elsewhere_are_told():
    wider = [(0.0, 0.0, 2.1 * k) for k in range(20)]
    assert codes(unequal(phase(40, 0), phase(75, 1, positions=wider))) == ["GAT-007"]


@pytest.mark.parametrize(("slices", "name"), [(19, "v1"), (18, "v0")])
def test_one_slice_less_is_still_complete(slices, name):
    assert taken("75%", phase(72, 0), phase(75, 1, slices=slices)) == name


@pytest.mark.parametrize(("slices", "name"), [(3, "v0"), (2, None)])
def test_a_stack_of_less_than_three_slices_is_no_volume_to_choose(slices, name):
    assert taken("75%", phase(75, slices=slices)) == name


def test_stacks_of_other_planes_are_not_compared():
    coronal = {
        "ImageOrientationPatient": [1, 0, 0, 0, 0, -1],
        "positions": [(0.0, 2.0 * k, 0.0) for k in range(8)],
    }
    assert unequal(phase(40, 0), phase(75, 1, **coronal)) == []
    assert taken("75%", phase(40, 0), phase(75, 1, **coronal)) == "v1"


def test_slices_at_one_place_count_once():
    twice = [(0.0, 0.0, 2.0 * (k // 2)) for k in range(40)]
    assert unequal(phase(40, 0), phase(75, 1, positions=twice)) == []


def test_a_hundred_percent_is_the_next_beat_and_a_whole_beat_later_too():
    assert PhaseTarget.of("100%") == PhaseTarget.of("0%")
    assert PhaseTarget.of("0ms").distance({"phase_percent": None, "time_ms": 1000.0, "rr_ms": 1000.0}) == 0
    assert PhaseTarget.of("0ms").distance({"phase_percent": 100.0, "time_ms": None, "rr_ms": 800.0}) == 0


def test_mid_diastole_itself_is_the_diastolic_side():
    # both are 0.4 % away, and one of them is mid-diastole
    assert taken("74.6%", *phases(74.2, 75)) == "v1"


def test_of_two_times_equally_near_the_later_one_wins():
    times = [
        multi_frame(volume("CT", index=k), NominalCardiacTriggerDelayTime=float(time))
        for k, time in enumerate((480, 520))
    ]
    assert taken("500ms", *times) == "v1"


def test_a_volume_that_cannot_be_compared_is_passed_over():
    # a percentage without a beat is no time
    timed = volume("CT", index=1, TriggerTime=310, NominalInterval=1000)
    found = TargetPhase("300ms")(series(phase(30, 0), timed))
    assert only(found, "GAT-010").target == "v1"
    assert "no phase that can be compared" in only(found, "GAT-011").message


def test_a_volume_farther_than_is_accepted_is_taken_with_a_warning():
    finding = only(TargetPhase("75%")(series(phase(80.1))), "GAT-006")
    assert (finding.severity, finding.target) == (Severity.WARN, "v0")
    assert finding.evidence == {"target_phase": "75%", "distance_percent": 5.1}


@pytest.mark.parametrize(("percent", "name"), [(80, "v0"), (80.1, None)])
def test_a_nearer_series_counts_only_beyond_what_is_accepted(percent, name):
    assert taken("75%", phase(percent), study=(sibling(**NEAR),)) == name


@pytest.mark.parametrize(("words", "code"), [("CorCTA 80 %", "GAT-011"), ("CorCTA 81 %", "GAT-006")])
def test_a_nearer_series_is_as_near_as_is_accepted(words, code):
    found = TargetPhase("75%")(series(phase(40), study=(sibling(**NEAR | {"SeriesDescription": words}),)))
    assert codes(found) == [code]


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"ScanOptions": "TP74PC600"}, "GAT-011"),  # one value alone may be no list
        ({"ScanOptions": ["HELIX", "TP74PC600"]}, "GAT-011"),
        ({"ScanOptions": "TP20PC", "NominalPercentageOfCardiacPhase": 75}, "GAT-011"),  # the percentage first
        ({"ScanOptions": "TP75PC", "NominalPercentageOfCardiacPhase": 20}, "GAT-006"),
        ({"ScanOptions": "HELIX"}, "GAT-006"),
    ],
)
def test_the_scan_options_of_another_series_are_read(facts, code):
    other = sibling(**NEAR | {"SeriesDescription": "x"} | facts)
    assert codes(TargetPhase("75%")(series(phase(40), study=(other,)))) == [code]


def of_first(value, rest):
    return lambda k: value if k == 0 else rest


def test_the_first_image_speaks_for_its_volume():
    derived, original = ["DERIVED", "SECONDARY"], ["ORIGINAL", "PRIMARY"]
    made = phase(75, 0, ImageType=of_first(derived, original)), phase(73, 1)
    assert taken("75%", *made) == "v1"
    thick, thin = (
        phase(75, k, SliceThickness=of_first(first, rest)) for k, (first, rest) in enumerate(((3, 1), (2, 2)))
    )
    assert taken("75%", thick, thin) == "v1"
    placed = phase(40, FrameOfReferenceUID=of_first("1.2.3", "1.2.4"))
    assert codes(TargetPhase("75%")(series(placed, study=(sibling(**NEAR),)))) == ["GAT-011"]


def test_without_a_stated_thickness_the_spacing_tells_the_thinner_slices():
    made = (phase(75, k, SliceThickness=None, step=(0.0, 0.0, step)) for k, step in enumerate((2.0, 1.0)))
    loose, dense = (replace(each, spacing_mm=each.geometry.spacing_mm) for each in made)
    assert taken("75%", loose, dense) == "v1"
