"""Circles with a bright inside, slice by slice, and the best path through them along the body."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def coverage(
    values: Floats, spacing_mm: tuple[float, float], radii_mm: Sequence[float], *, edge: float, sectors: int
) -> tuple[Floats, Floats]:
    """Return for each place how much of a circle around it is edge, and the smallest such radius in mm.

    `values` (slices, rows, columns) are smooth; `spacing_mm` is (row, column); `edge` is the least
    gradient in HU/mm. Each edge votes for the centres that lie uphill of it, once for each sector of its
    direction, so that a long straight edge is no circle. The result is the share of sectors, 0..1.
    Source: Duda and Hart 1972, Commun. ACM 15(1) 11-15; with the direction of the gradient: Kimme 1975,
    Commun. ACM 18(2) 120-122.
    """
    back = np.asarray(np.gradient(values, spacing_mm[0], axis=1), np.float32)
    left = np.asarray(np.gradient(values, spacing_mm[1], axis=2), np.float32)
    size = np.hypot(back, left)
    at, row, column = np.nonzero(size >= edge)
    unit_back, unit_left = (each[at, row, column] / size[at, row, column] for each in (back, left))
    sector = (
        np.floor((np.arctan2(unit_back, unit_left) / (2 * np.pi) + 0.5) * sectors).astype(np.intp) % sectors
    )
    best, radius = np.zeros(values.shape, np.float32), np.zeros(values.shape, np.float32)
    for each in radii_mm:
        to_row = np.rint(row + each * unit_back / spacing_mm[0]).astype(np.intp)
        to_column = np.rint(column + each * unit_left / spacing_mm[1]).astype(np.intp)
        inside = (to_row >= 0) & (to_row < values.shape[1]) & (to_column >= 0) & (to_column < values.shape[2])
        hit = np.zeros((sectors, *values.shape), np.bool_)
        hit[sector[inside], at[inside], to_row[inside], to_column[inside]] = True
        share = _spread(hit).sum(0, dtype=np.float32) / np.float32(sectors)
        is_better = share > best
        best[is_better], radius[is_better] = share[is_better], each
    return best, radius


def best_path(score: Floats, reach: int) -> NDArray[np.intp]:
    """Return (row, column) in each slice of the path with the largest sum of scores.

    From slice to slice it moves by `reach` rows and columns at most. Among equal paths the straighter one is
    taken. Shape of the result: (slices, 2).
    """
    slices, rows, columns = score.shape
    moves = [(r, c) for r in range(-reach, reach + 1) for c in range(-reach, reach + 1)]
    moves.sort(key=lambda move: (abs(move[0]) + abs(move[1]), move))
    total = score[0].astype(np.float64)
    taken = np.zeros((slices, rows, columns), np.intp)
    for index in range(1, slices):
        padded = np.pad(total, reach, constant_values=-np.inf)
        reached = np.stack(
            [padded[reach + r : reach + r + rows, reach + c : reach + c + columns] for r, c in moves]
        )
        taken[index] = reached.argmax(0)
        total = reached.max(0) + score[index]
    path = np.empty((slices, 2), np.intp)
    path[-1] = np.unravel_index(int(total.argmax()), total.shape)
    for index in range(slices - 1, 0, -1):
        move = moves[taken[index][tuple(path[index])]]
        path[index - 1] = path[index] + move
    return path


def longest_run(is_good: NDArray[np.bool_], max_gap: int) -> tuple[int, int]:
    """Return the first index and the end of the longest run that has no gap of more than `max_gap`."""
    best, start, last = (0, 0), -1, -1
    for index in np.flatnonzero(is_good).tolist():
        if start < 0 or index - last - 1 > max_gap:
            start = index
        last = index
        if last + 1 - start > best[1] - best[0]:
            best = (start, last + 1)
    return best


def _spread(hit: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Let each vote count for the eight neighbours too: grid and noise displace it by that much."""
    wide = hit.copy()
    wide[..., :, 1:] |= hit[..., :, :-1]
    wide[..., :, :-1] |= hit[..., :, 1:]
    both = wide.copy()
    both[..., 1:, :] |= wide[..., :-1, :]
    both[..., :-1, :] |= wide[..., 1:, :]
    return both
