"""Which axis of an array lies closest to which axis of the patient."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from handlers.errors import VolumeError

NATIVE = "native"
# Patient axis (0: x, 1: y, 2: z) and sign in LPS coordinates of each letter; PS3.3 C.7.6.2.1.1
LETTERS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}


def plan(affine: NDArray[np.float64], code: str) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Return for each wanted axis the present one (0: column, 1: row, 2: slice), and whether to flip it.

    `affine` is 4x4, (column, row, slice) -> LPS mm. Of the six permutations, the one
    whose axes lie closest to the wanted ones in sum; "native" leaves the axes.

    Raises:
        VolumeError: `code` is no axis code.
    """
    if code == NATIVE:
        return (0, 1, 2), (False, False, False)
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    along = np.array(
        [[directions[axis, present] * sign for present in range(3)] for axis, sign in _wanted(code)]
    )
    order = max(permutations(range(3)), key=lambda order: _closeness(along, order))
    flips = tuple(bool(along[i, order[i]] < 0) for i in range(3))
    return (order[0], order[1], order[2]), (flips[0], flips[1], flips[2])


def _closeness(along: NDArray[np.float64], order: tuple[int, ...]) -> tuple[float, bool]:
    """Sum of the cosines, rounded so that a tie at 45 degrees leaves the axes as they are."""
    return round(sum(abs(float(along[i, order[i]])) for i in range(3)), 9), order == (0, 1, 2)


def _wanted(code: str) -> tuple[tuple[int, int], ...]:
    wanted = tuple(LETTERS.get(letter, (-1, 0)) for letter in code.upper())
    if sorted(axis for axis, _ in wanted) != [0, 1, 2]:
        raise VolumeError(
            f"orientation {code!r} is no axis code; use three letters such as LPS or RAS, or {NATIVE!r}"
        )
    return wanted
