import itertools

import pytest

from node.errors import IllegalMoveError
from node.registry.states import (
    ENDS,
    LEGAL_DELIVERY_MOVES,
    LEGAL_MOVES,
    OPENS_A_REVISION,
    DeliveryState,
    SeriesState,
    move,
    move_delivery,
)

# As drawn at the top of node/registry/states.py.
DRAWN = {
    "RECEIVING": {"COMPLETE"},
    "COMPLETE": {"PROCESSING", "RECEIVING"},
    "PROCESSING": {"PROCESSED", "HELD", "FAILED", "COMPLETE", "RECEIVING"},
    "PROCESSED": {"RECEIVING", "COMPLETE"},
    "HELD": {"RECEIVING", "COMPLETE", "PROCESSED"},
    "FAILED": {"RECEIVING", "COMPLETE"},
}


@pytest.mark.parametrize(("source", "target"), list(itertools.product(SeriesState, repeat=2)))
def test_a_series_moves_as_it_is_drawn_and_not_otherwise(source, target):
    if target in DRAWN[source]:
        assert move(source, target) is target
    else:
        with pytest.raises(IllegalMoveError, match=f"from {source} to {target}"):
            move(source, target)


def test_every_state_can_be_left_and_reached():
    assert set(LEGAL_MOVES) == set(SeriesState)
    assert set.union(*map(set, LEGAL_MOVES.values())) == set(SeriesState)


def test_going_back_from_the_end_or_to_receiving_opens_a_revision():
    legal = {(source, target) for source, targets in LEGAL_MOVES.items() for target in targets}
    assert legal >= OPENS_A_REVISION
    assert {source for source, target in OPENS_A_REVISION if target is SeriesState.COMPLETE} == ENDS
    assert (SeriesState.PROCESSING, SeriesState.COMPLETE) not in OPENS_A_REVISION


def test_what_was_delivered_stays_delivered():
    assert not LEGAL_DELIVERY_MOVES[DeliveryState.DELIVERED]
    with pytest.raises(IllegalMoveError):
        move_delivery(DeliveryState.DELIVERED, DeliveryState.PENDING)


def test_a_delivery_of_an_earlier_revision_is_not_tried_again():
    with pytest.raises(IllegalMoveError):
        move_delivery(DeliveryState.SUPERSEDED, DeliveryState.PENDING)
