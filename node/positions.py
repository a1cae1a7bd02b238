"""Whether the image positions received so far stand in a row without holes: plain floats, no pixels.

A hint for completion, not a verdict: `handlers.geometry` measures what the volumes really are.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

SAME_POSITION_MM = 0.01  # scanners write positions with 3 to 6 decimals
GAP_TOLERANCE = 0.1  # relative to the nominal gap: positions that were rounded to 0.1 mm still count as even
MIN_POSITIONS = 3  # two positions have one gap, which says nothing
MAX_HOLE_SHARE = 1 / 3  # above, it is a series with two spacings (head CT), not one with holes

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Row:
    """How the positions of a series stand.

    `n_missing` positions are missing between others; missing ends cannot be seen. `is_even`:
    every gap is the same. `is_balanced`: as many images at one position as at any other.
    """

    n_positions: int
    n_missing: int
    is_even: bool
    is_balanced: bool

    @property
    def is_contiguous(self) -> bool:
        """True when there is nothing to be wished for."""
        return self.is_even and self.is_balanced and not self.n_missing


def measure(planes: Iterable[tuple[Sequence[float] | None, Sequence[float] | None]]) -> Row | None:
    """Measure (ImagePositionPatient, ImageOrientationPatient) of single-frame images.

    Each direction is a row of its own (a localizer has three). None when there are too few
    positions to tell, or images without.
    """
    heights: dict[Triple, list[float]] = {}
    for position, orientation in planes:
        if position is None or orientation is None or len(position) != 3 or len(orientation) != 6:
            return None
        normal = _normal(orientation)
        if normal is None:
            return None
        key = (round(normal[0], 2), round(normal[1], 2), round(normal[2], 2))
        heights.setdefault(key, []).append(sum(p * n for p, n in zip(position, normal, strict=True)))
    rows = [_row(sorted(values)) for values in heights.values()]
    if not rows or min(row.n_positions for row in rows) < MIN_POSITIONS:
        return None
    return Row(
        n_positions=sum(row.n_positions for row in rows),
        n_missing=sum(row.n_missing for row in rows),
        is_even=all(row.is_even for row in rows),
        is_balanced=all(row.is_balanced for row in rows),
    )


def _normal(orientation: Sequence[float]) -> Triple | None:
    """Return the unit normal of a plane from its two direction cosines, or None when they span none."""
    a, b, c, d, e, f = orientation
    x, y, z = b * f - c * e, c * d - a * f, a * e - b * d
    length = math.sqrt(x * x + y * y + z * z)
    return (x / length, y / length, z / length) if length > 0.1 else None


def _row(heights: list[float]) -> Row:
    """Measure the positions along one normal, mm, ascending."""
    groups: Counter[int] = Counter()
    positions: list[float] = []
    for height in heights:
        if not positions or height - positions[-1] > SAME_POSITION_MM:
            positions.append(height)
        groups[len(positions)] += 1
    gaps = [after - before for before, after in pairwise(positions)]
    is_balanced = len(set(groups.values())) == 1
    if not gaps:
        return Row(len(positions), 0, is_even=False, is_balanced=is_balanced)
    nominal = median(gaps)
    wide = [gap / nominal for gap in gaps if gap > nominal * (1 + GAP_TOLERANCE)]
    is_even = not wide and min(gaps) > nominal * (1 - GAP_TOLERANCE)
    are_holes = (
        bool(wide)
        and len(wide) <= MAX_HOLE_SHARE * len(gaps)
        and all(abs(ratio - round(ratio)) <= GAP_TOLERANCE * ratio and round(ratio) >= 2 for ratio in wide)
    )
    n_missing = sum(round(ratio) - 1 for ratio in wide) if are_holes else 0
    return Row(len(positions), n_missing, is_even, is_balanced)
