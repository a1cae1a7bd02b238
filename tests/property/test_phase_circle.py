"""Distances between cardiac phases lie on a circle, whatever the phases are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handlers.triage.phase_target import PhaseTarget
from handlers.triage.target_phase import TargetPhase
from triage_cases import series, volume

PERCENTS = st.integers(0, 999).map(lambda tenths: tenths / 10)


def distance(target: float, percent: float) -> float:
    found = PhaseTarget.of(f"{target}%").distance({"phase_percent": percent})
    assert found is not None
    return found


@given(PERCENTS, PERCENTS)
def test_a_distance_is_symmetric_and_at_most_half_a_cycle(one, other):
    assert abs(distance(one, other) - distance(other, one)) < 1e-9
    assert 0 <= distance(one, other) <= 50
    assert (distance(one, other) == 0) == (one == other)


@given(PERCENTS, PERCENTS, st.integers(0, 999))
def test_a_turn_of_both_changes_nothing(one, other, tenths):
    turned = [round((each + tenths / 10) % 100, 6) for each in (one, other)]
    assert abs(distance(*turned) - distance(one, other)) < 1e-5


@given(st.integers(200, 1500), st.integers(0, 1500), st.integers(400, 1900))
def test_a_time_and_its_percentage_are_equally_far(wanted_ms, time_ms, rr_ms):
    wanted_ms, time_ms = wanted_ms % rr_ms, time_ms % rr_ms
    told = {"phase_percent": 100 * time_ms / rr_ms, "time_ms": None, "rr_ms": rr_ms}
    by_percent = distance(100 * wanted_ms / rr_ms, told["phase_percent"])
    by_time = PhaseTarget.of(f"{wanted_ms}ms").distance(told)
    assert by_time is not None
    assert abs(by_time - by_percent) < 1e-6


@given(st.lists(PERCENTS, min_size=1, max_size=5, unique=True), PERCENTS, st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order_of_the_volumes(percents, target, random):
    def chosen(order):
        volumes = [
            volume("CT", index=k, slices=4, NominalPercentageOfCardiacPhase=p) for k, p in enumerate(order)
        ]
        found = TargetPhase(f"{target}%")(series(*volumes))
        names = [finding.target for finding in found if finding.code == "GAT-010"]
        return [order[int(name[1:])] for name in names]

    shuffled = list(percents)
    random.shuffle(shuffled)
    nearest = min(distance(target, each) for each in percents)
    first, second = chosen(percents), chosen(shuffled)
    assert len(first) == (1 if nearest <= 10 else 0)
    assert [distance(target, each) for each in first] == [distance(target, each) for each in second]
    assert not first or abs(distance(target, first[0]) - nearest) < 1e-6
