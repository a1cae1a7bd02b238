from dataclasses import replace

import pytest

from node.completion import Complete, CompletionPolicy, SeriesEvidence, Wait, decide
from node.positions import Row
from registries import NOON, after

POLICY = CompletionPolicy(quiet_s=10, settle_s=1, cap_s=3600)
CONTIGUOUS = Row(n_positions=20, n_missing=0, is_even=True, is_balanced=True)
HOLED = Row(n_positions=19, n_missing=1, is_even=False, is_balanced=True)
RELEASED = SeriesEvidence(quiet_s=1.2, n_instances=20, n_associations=1, last_end="released", row=CONTIGUOUS)
UNKNOWN = SeriesEvidence(quiet_s=1.2, n_instances=20)


def decided(evidence, **changes):
    return decide(replace(evidence, **changes), POLICY, NOON)


def test_released_and_contiguous_is_complete_after_settling():
    assert decided(RELEASED) == Complete(
        "association released, 20 positions contiguous, quiet 1.2 s", RELEASED.as_dict()
    )


def test_before_settling_it_waits_for_the_rest_of_the_second():
    assert decided(RELEASED, quiet_s=0.25) == Wait(
        after(0.75), "association released, 20 positions contiguous"
    )


def test_an_operators_word_completes_at_once():
    decision = decided(RELEASED, quiet_s=0.0, row=HOLED, operator="eva")
    assert isinstance(decision, Complete)
    assert decision.reason == "operator: eva"


def test_when_nothing_is_known_it_waits_for_quiet():
    assert decided(UNKNOWN).until == after(8.8)
    assert decided(UNKNOWN, quiet_s=10.0).reason == "nothing else is known, quiet 10.0 s"


def test_an_open_association_is_waited_for():
    assert decided(RELEASED, open_associations=1).until == after(8.8)


def test_an_association_that_stays_open_does_not_hold_the_series_for_ever():
    decision = decided(RELEASED, open_associations=1, last_end=None, quiet_s=10.0)
    assert decision.reason == "the association is still open, quiet 10.0 s"


def test_a_stalled_sender_completes_nothing_before_quiet():
    for quiet_s in (1.0, 5.0, 9.99):
        assert isinstance(decided(RELEASED, open_associations=1, quiet_s=quiet_s), Wait)


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({"row": HOLED}, "1 position missing between others"),
        ({"row": replace(HOLED, n_missing=3)}, "3 positions missing between others"),
        ({"last_end": "aborted"}, "an association that was aborted"),
        ({"last_end": "lost"}, "an association that was lost"),
        (
            {"expected": 24, "expected_from": "ImagesInAcquisition"},
            "20 of 24 instances (ImagesInAcquisition)",
        ),
    ],
)
def test_evidence_against_it_is_waited_out_until_the_cap(changes, doubt):
    waiting = decided(RELEASED, quiet_s=60.0, **changes)
    assert waiting == Wait(after(3540), doubt)
    decision = decided(RELEASED, quiet_s=3600.0, **changes)
    assert decision.reason == f"in spite of {doubt}, quiet 3600.0 s"
    (finding,) = decision.evidence["findings"]
    assert (finding["code"], finding["severity"]) == ("GEO-015", "WARN")
    assert doubt in finding["message"]


def test_part_of_a_concatenation_is_held_for_review():
    decision = decided(RELEASED, quiet_s=3600.0, expected=30, expected_from="InConcatenationTotalNumber")
    assert decision.evidence["findings"][0]["code"] == "ING-008"


def test_an_abort_after_all_that_was_announced_is_no_doubt():
    evidence = replace(RELEASED, last_end="aborted", expected=20, expected_from="ImagesInAcquisition")
    assert decided(evidence).until == after(8.8)
    assert "findings" not in decided(evidence, quiet_s=10.0).evidence


def test_the_announced_count_completes_a_series_without_geometry():
    evidence = replace(RELEASED, row=None, expected=20, expected_from="ImagesInAcquisition")
    assert decided(evidence).reason == (
        "association released, 20 of 20 instances (ImagesInAcquisition), quiet 1.2 s"
    )


def test_one_object_that_is_a_series_by_itself_is_complete_when_its_association_is_released():
    evidence = SeriesEvidence(
        quiet_s=1.0, n_instances=1, n_associations=1, last_end="released", is_single_object=True
    )
    assert decided(evidence).reason.startswith("association released, one object that is a series by itself")


@pytest.mark.parametrize(
    "row",
    [
        None,
        replace(CONTIGUOUS, is_even=False),
        replace(CONTIGUOUS, is_balanced=False),
    ],
)
def test_a_release_alone_is_not_enough(row):
    assert decided(RELEASED, row=row).until == after(8.8)


def test_a_sender_that_opens_an_association_for_each_instance_tells_nothing_by_releasing_it():
    assert decided(RELEASED, n_associations=20).until == after(8.8)
    assert decided(RELEASED, n_associations=11).until == after(8.8)
    assert isinstance(decided(RELEASED, n_associations=8), Complete)


def test_nothing_is_waited_for_longer_than_the_cap():
    impatient = CompletionPolicy(quiet_s=10, settle_s=1, cap_s=5)
    assert decide(UNKNOWN, impatient, NOON).until == after(3.8)


def test_the_evidence_is_stored_in_the_words_of_the_standard():
    facts = replace(RELEASED, expected=20, expected_from="ImagesInAcquisition").as_dict()
    assert facts["ImagesInAcquisition"] == 20
    assert facts["association_end"] == "released"
    assert facts["is_contiguous"] is True
