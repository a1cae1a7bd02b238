"""Axes permuted and flipped to the wanted orientation, without touching a single value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.model import AppliedStep, Finding, Scope, Severity, Volume
from handlers.normalization.axes import NATIVE, plan


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
        order, flips = plan(volume.affine, self.code)
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


def _arranged(
    array: NDArray[Any], order: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> NDArray[Any]:
    """Apply the plan, given for (column, row, slice), to an array of (slices, rows, columns)."""
    moved = array.transpose([2 - axis for axis in reversed(order)])
    steps = tuple(slice(None, None, -1) if flip else slice(None) for flip in reversed(flips))
    return np.ascontiguousarray(moved[steps])
