"""The loop over the rules, and how findings become verdicts."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlers.api import Recipe
from handlers.model import Finding, Scope, Series, Severity, Verdict
from handlers.triage.rules import HEADER_RULES, VALUE_RULES, header_rules, judge
from handlers.triage.verdict import finding_verdict, series_verdict, volume_verdict
from triage_cases import codes, instance, only, series, volume

PLAIN = Recipe()


def about(code, severity, target="", scope=Scope.VOLUME, **evidence):
    return Finding(code, severity, "said", scope if target else Scope.SERIES, target, evidence)


def broken(_):
    raise ValueError("no such luck")


def test_a_rule_that_raises_holds_the_series_and_the_next_rule_runs():
    found = judge(
        series(volume("CT")), [("broken", broken), ("after", lambda _: [about("X-001", Severity.INFO)])]
    )
    assert codes(found) == ["TRI-ERR-001", "X-001"]
    assert found[0].severity is Severity.REVIEW
    assert "no such luck" in found[0].message
    assert "Traceback" not in found[0].message


def test_running_out_of_memory_is_no_finding():
    def hungry(_):
        raise MemoryError

    with pytest.raises(MemoryError):
        judge(series(volume("CT")), [("hungry", hungry)])


def test_every_rule_has_a_name_of_its_own():
    names = [name for name, _ in (*HEADER_RULES, *VALUE_RULES)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "empty",
    [
        Series("1.2", "1.3", ()),
        Series("1.2", "1.3", (), unreadable=((Path("x"), "no DICOM"),)),
        series(loose=(instance(pixel_keyword=""),)),
        series(volume("CT", slices=1)),
        series(volume("MR", slices=1, Modality=None, ImageType=None, PatientPosition=None)),
    ],
    ids=["nothing", "unreadable", "no pixels", "one slice", "bare"],
)
def test_no_rule_fails_on_little(empty):
    assert "TRI-ERR-001" not in codes(judge(empty, (*HEADER_RULES, *VALUE_RULES)))


def test_a_plain_series_passes_without_a_held_finding():
    found = judge(
        series(volume("CT", SeriesDescription="CHEST W/O CONTRAST", PixelSpacing=[0.7, 0.7])), HEADER_RULES
    )
    assert codes(found) == ["KER-001", "CON-001"]


def test_the_options_of_a_profile_reach_their_rules():
    recipe = Recipe(accept_kernels=("sharp",), need_phase=True)
    found = judge(series(volume("CT")), header_rules(recipe))
    assert only(found, "KER-004").severity is Severity.REVIEW
    assert only(found, "CON-002").severity is Severity.REVIEW


@pytest.mark.parametrize(
    ("severity", "verdict"),
    [
        (Severity.INFO, Verdict.ACCEPT),
        (Severity.WARN, Verdict.ACCEPT_WARN),
        (Severity.REVIEW, Verdict.QUARANTINE),
        (Severity.ERROR, Verdict.REJECT),
    ],
)
def test_the_severity_decides_without_a_policy(severity, verdict):
    assert finding_verdict(about("X-001", severity), PLAIN) is verdict


def test_the_policy_decides_over_the_severity():
    recipe = Recipe(policy={"X-001": Verdict.REJECT, "X-002": Verdict("ACCEPT")})
    assert finding_verdict(about("X-001", Severity.INFO), recipe) is Verdict.REJECT
    assert finding_verdict(about("X-002", Severity.ERROR), recipe) is Verdict.ACCEPT


def test_release_lets_pass_what_was_held_and_nothing_else():
    released = Recipe(release=True)
    assert finding_verdict(about("X-001", Severity.REVIEW), released) is Verdict.ACCEPT_WARN
    assert finding_verdict(about("X-001", Severity.ERROR), released) is Verdict.REJECT


@pytest.mark.parametrize(
    ("fills", "evidence", "verdict"),
    [(True, {"is_fillable": True}, Verdict.ACCEPT_WARN), (True, {"is_fillable": False}, Verdict.QUARANTINE),
     (True, {}, Verdict.QUARANTINE), (False, {"is_fillable": True}, Verdict.QUARANTINE)],
)  # fmt: skip
def test_only_what_the_profile_fills_is_accepted(fills, evidence, verdict):
    gap = about("GEO-005", Severity.REVIEW, "v0", **evidence)
    assert finding_verdict(gap, Recipe(fill_missing=fills)) is verdict


def test_uneven_spacing_is_accepted_where_it_is_resampled():
    uneven = about("GEO-006", Severity.REVIEW, "v0", median_mm=2.0)
    assert finding_verdict(uneven, Recipe(resample_variable=True)) is Verdict.ACCEPT_WARN
    assert finding_verdict(uneven, PLAIN) is Verdict.QUARANTINE


def test_a_volume_answers_for_itself_its_instances_and_the_series():
    one = volume("CT", slices=2)
    uid = one.frames[0].instance.sop_instance_uid
    assert volume_verdict([about("A", Severity.ERROR, "v0")], one, PLAIN) is Verdict.REJECT
    assert volume_verdict([about("A", Severity.WARN, uid, Scope.INSTANCE)], one, PLAIN) is Verdict.ACCEPT_WARN
    assert volume_verdict([about("A", Severity.REVIEW)], one, PLAIN) is Verdict.QUARANTINE
    assert volume_verdict([about("A", Severity.ERROR, "v1")], one, PLAIN) is Verdict.ACCEPT
    assert volume_verdict([], one, PLAIN) is Verdict.ACCEPT


A, W, Q, R = Verdict.ACCEPT, Verdict.ACCEPT_WARN, Verdict.QUARANTINE, Verdict.REJECT


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [((A, A), A), ((A, W), W), ((A, Q), Q), ((Q, R), Q), ((R, R), R), ((A, R), W), ((W, R), W), ((W, Q), Q)],
)
def test_a_series_is_as_good_as_its_volumes(verdicts, expected):
    pair = [volume("CT", index=0), volume("CT", index=1)]
    assert series_verdict([], pair, verdicts, PLAIN) is expected


def test_a_series_that_lost_an_instance_is_accepted_with_a_warning():
    lost = about("ING-001", Severity.ERROR, "IM7", Scope.INSTANCE)
    assert series_verdict([lost], [volume("CT")], (A,), PLAIN) is W


def test_a_series_without_volumes_is_judged_by_its_findings():
    assert series_verdict([about("TRI-OBJ-001", Severity.ERROR)], (), (), PLAIN) is R
    assert series_verdict([about("ING-002", Severity.REVIEW)], (), (), PLAIN) is Q
    assert series_verdict([], (), (), PLAIN) is R


@pytest.mark.parametrize(("scope", "target", "counts"), [
    (Scope.STUDY, "1.2.3", True), (Scope.SERIES, "1.2.3", True), (Scope.VOLUME, "", True), (Scope.VOLUME, "v1", False),
])  # fmt: skip
def test_what_is_said_of_the_whole_counts_for_every_volume(scope, target, counts):
    finding = Finding("X-001", Severity.REVIEW, "said", scope, target)
    assert volume_verdict([finding], volume("CT"), PLAIN) is (
        Verdict.QUARANTINE if counts else Verdict.ACCEPT
    )
