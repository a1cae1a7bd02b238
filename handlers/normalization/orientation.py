"""Axes permuted and flipped to the wanted orientation, without touching a single value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.errors import VolumeError
from handlers.model import AppliedStep, Finding, Scope, Severity, Volume

NATIVE = "native"
# Patient axis (0: x, 1: y, 2: z) and sign in LPS coordinates of each letter; PS3.3 C.7.6.2.1.1
LETTERS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}


@dataclass(frozen=True, slots=True)
class Reorient:
    """Permute and flip axes so that column, row and slice index increase towards `code` (NRM-ORI-001).

    "LPS": columns towards Left, rows towards Posterior, slices towards Superior. An oblique
    stack keeps its obliquity: the closest axes are meant. "native" leaves the axes.
    """

    code: str = "LPS"

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with its axes in the wanted order; values and positions stay together.

        Raises:
            VolumeError: `code` is no axis code.
        """
        if volume.values is None or volume.affine is None or self.code == NATIVE:
            return volume
        order, flips = plan(volume.affine, _wanted(self.code))
        if order == (0, 1, 2) and not any(flips):
            return volume
        lengths = volume.values.shape[::-1]
        affine = volume.affine.copy()
        affine[:3, :3] = volume.affine[:3, order]
        for axis, is_flipped in enumerate(flips):
            if is_flipped:
                affine[:3, 3] += affine[:3, axis] * (lengths[order[axis]] - 1)
                affine[:3, axis] *= -1
        column, row, between = (volume.spacing_mm[axis] for axis in order)
        facts = {"orientation": self.code, "permutation": list(order), "flips": list(flips)}
        return replace(
            volume,
            values=_arranged(volume.values, order, flips),
            padding=None if volume.padding is None else _arranged(volume.padding, order, flips),
            interpolated=None
            if volume.interpolated is None
            else _arranged(volume.interpolated, order, flips),
            affine=affine,
            spacing_mm=(column, row, between),
            steps=(*volume.steps, AppliedStep("reorient", facts)),
            findings=(*volume.findings, _finding(volume, facts)),
        )


def _finding(volume: Volume, facts: Mapping[str, Any]) -> Finding:
    names = ("column", "row", "slice")
    flipped = ", ".join(name for name, is_flipped in zip(names, facts["flips"], strict=True) if is_flipped)
    order = ", ".join(names[axis] for axis in facts["permutation"])
    message = f"axes were put into {facts['orientation']}: order {order}; flipped: {flipped or 'none'}"
    return Finding("NRM-ORI-001", Severity.INFO, message, Scope.VOLUME, volume.name, facts)


def plan(
    affine: NDArray[np.float64], wanted: tuple[tuple[int, int], ...]
) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Return for each wanted axis the present one (0: column, 1: row, 2: slice), and whether to flip it.

    `affine` is 4x4, (column, row, slice) -> LPS mm. Of the six permutations, the one
    whose axes lie closest to the wanted ones in sum.
    """
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    along = np.array([[directions[axis, present] * sign for present in range(3)] for axis, sign in wanted])
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


def _arranged(
    array: NDArray[Any], order: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> NDArray[Any]:
    """Apply the plan, given for (column, row, slice), to an array of (slices, rows, columns)."""
    moved = array.transpose([2 - axis for axis in reversed(order)])
    steps = tuple(slice(None, None, -1) if flip else slice(None) for flip in reversed(flips))
    return np.ascontiguousarray(moved[steps])
