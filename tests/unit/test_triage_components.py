"""Connected things in a picture."""

from __future__ import annotations

import numpy as np
import pytest

from handlers.triage.components import Component, components


def test_things_are_found_with_their_boxes_the_largest_first():
    mask = np.zeros((12, 20), bool)
    mask[1:4, 2:9] = True  # 21 pixels
    mask[6:8, 0:3] = True  # 6
    mask[6:8, 10:13] = True  # 6, further right
    mask[10, 19] = True
    assert components(mask) == [
        Component(top=1, left=2, rows=3, columns=7, pixels=21),
        Component(top=6, left=0, rows=2, columns=3, pixels=6),
        Component(top=6, left=10, rows=2, columns=3, pixels=6),
        Component(top=10, left=19, rows=1, columns=1, pixels=1),
    ]
    assert components(np.zeros((3, 3), bool)) == []


def test_corners_connect():
    (diagonal,) = components(np.eye(4, dtype=bool))
    assert (diagonal.rows, diagonal.columns, diagonal.pixels) == (4, 4, 4)
    assert diagonal.fill == 0.25


def test_the_centre_is_in_the_middle_of_the_box():
    assert Component(top=10, left=20, rows=5, columns=8, pixels=1).centre == (12, 24)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (5, 5)])
def test_where_nothing_is_there_are_no_things(shape):
    assert components(np.zeros(shape, np.bool_)) == []
