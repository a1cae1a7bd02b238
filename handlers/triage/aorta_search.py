"""The descending aorta of a CT of the trunk, found without a neural network, or the reason why it was not.

body mask -> spine -> circles to the left of and before the spine -> path along the body -> interior
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.tables import table
from handlers.triage import tube_path
from handlers.triage.coarse_grid import Coarse, box, local_sigma, smoothed

LOCAL_MM = 5.0  # half the side of the square in which homogeneity is measured


@dataclass(frozen=True, slots=True)
class Aorta:
    """What was measured in the eroded interior along the path; HU, mm. `enhanced_share` is of the body."""

    median_hu: float
    sigma_hu: float
    length_mm: float
    coverage: float
    radius_mm: float
    enhanced_share: float


@dataclass(frozen=True, slots=True)
class NotFound:
    """Why nothing is said."""

    reason: str


def find(grid: Coarse) -> Aorta | NotFound:
    """Return the aorta of a volume that shows a trunk, or why there is none to measure."""
    body = body_mask(grid)
    if isinstance(body, NotFound):
        return body
    spine = spine_path(grid, body)
    if isinstance(spine, NotFound):
        return spine
    window = _Window.around(grid, spine)
    score, radius = _score(grid, window)
    # Circles fit as well a voxel beside their centre; the middle of such a spot is the best place.
    centred = score + box(score, (1, 1)) + box(score, (2, 2))
    path = tube_path.best_path(centred, _reach(grid))
    return _measured(grid, body, spine, window, _Track(path, _along(score, path), _along(radius, path)))


def body_mask(grid: Coarse) -> NDArray[np.bool_] | NotFound:
    """Return the largest thing denser than fat, its holes filled slice by slice; it has to be a trunk."""
    sitk: Any = import_module("SimpleITK")  # large, and needed only when values are looked at

    settings = table("aorta")["body"]
    dense = sitk.GetImageFromArray((grid.values > settings["threshold_hu"]).astype(np.uint8))
    pieces = sitk.RelabelComponent(sitk.ConnectedComponent(dense), True)
    largest = sitk.GetArrayFromImage(sitk.Equal(pieces, 1))
    mask = np.stack(
        [sitk.GetArrayFromImage(sitk.BinaryFillhole(sitk.GetImageFromArray(each))) for each in largest]
    ).astype(np.bool_)
    area_cm2 = float(np.median(mask.sum((1, 2)))) * grid.spacing_mm[1] * grid.spacing_mm[2] / 100.0
    width_mm = float(np.median(np.any(mask, axis=1).sum(axis=1))) * grid.spacing_mm[2]
    if area_cm2 < settings["min_area_cm2"] or width_mm < settings["min_width_mm"]:
        return NotFound(f"no trunk: cross-section of {area_cm2:.0f} cm2, {width_mm:.0f} mm wide")
    return mask


def spine_path(grid: Coarse, body: NDArray[np.bool_]) -> NDArray[np.intp] | NotFound:
    """Return (row, column) of the spine in each slice: the path through most bone in the back."""
    settings = table("aorta")["spine"]
    bone = ((grid.values > settings["bone_hu"]) & body).astype(np.float32)
    fill = box(bone, _half(grid, settings["window_mm"] / 2))
    rows, columns = np.arange(body.shape[1]), np.arange(body.shape[2])
    where = np.any(body, axis=0)
    inside_rows, inside_columns = np.flatnonzero(np.any(where, axis=1)), np.flatnonzero(np.any(where, axis=0))
    middle_row = (inside_rows[0] + inside_rows[-1]) / 2
    middle_column = (inside_columns[0] + inside_columns[-1]) / 2
    is_back = rows >= middle_row
    is_central = np.abs(columns - middle_column) * grid.spacing_mm[2] <= settings["central_mm"]
    fill *= (is_back[:, None] & is_central[None, :]).astype(np.float32)
    path = tube_path.best_path(fill, _reach(grid))
    filled = float(_along(fill, path).mean())
    if filled < settings["min_fill"]:
        return NotFound(f"no spine: bone fills {filled:.0%} of the best path")
    return path


@dataclass(frozen=True, slots=True)
class _Window:
    """A window that follows the spine: row and column indices of the grid for each slice."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    back_mm: Any
    left_mm: Any

    @classmethod
    def around(cls, grid: Coarse, spine: NDArray[np.intp]) -> _Window:
        """Return the window in which the aorta and its wall may lie."""
        settings = table("aorta")["aorta"]
        margin = max(settings["radii_mm"]) + 2 * grid.spacing_mm[1]
        _, row_mm, column_mm = grid.spacing_mm
        back = np.arange(
            round((settings["back_mm"][0] - margin) / row_mm),
            round((settings["back_mm"][1] + margin) / row_mm) + 1,
        )
        left = np.arange(
            round((settings["left_mm"][0] - margin) / column_mm),
            round((settings["left_mm"][1] + margin) / column_mm) + 1,
        )
        rows = np.clip(spine[:, :1] + back, 0, grid.values.shape[1] - 1)
        columns = np.clip(spine[:, 1:] + left, 0, grid.values.shape[2] - 1)
        return cls(rows, columns, back * row_mm, left * column_mm)

    def cut(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the values in the window, shape (slices, rows, columns) of the window."""
        slices = np.arange(len(values))[:, None, None]
        return np.asarray(values[slices, self.rows[:, :, None], self.columns[:, None, :]])


@dataclass(frozen=True, slots=True)
class _Track:
    """The path in the window, and coverage and radius of the circle in each slice."""

    path: NDArray[np.intp]
    coverage: NDArray[np.float32]
    radius_mm: NDArray[np.float32]


def _score(grid: Coarse, window: _Window) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return how well each place of the window can be the centre of the aorta, and the radius there."""
    settings = table("aorta")["aorta"]
    values = window.cut(grid.values)
    clipped = np.clip(grid.values, *settings["clip_hu"]).astype(np.float32)
    edges = window.cut(smoothed(clipped, grid.spacing_mm, settings["smoothing_mm"]))
    score, radius = tube_path.coverage(
        edges,
        grid.spacing_mm[1:],
        settings["radii_mm"],
        edge=settings["edge_hu_per_mm"],
        sectors=settings["sectors"],
    )
    half = _half(grid, LOCAL_MM)
    low, high = settings["plausible_hu"]
    mean = box(values, half)
    is_blood = (local_sigma(values, half) <= settings["max_local_sigma_hu"]) & (mean >= low) & (mean <= high)
    back, left = window.back_mm[:, None], window.left_mm[None, :]
    is_allowed = (
        (back >= settings["back_mm"][0])
        & (back <= settings["back_mm"][1])
        & (left >= settings["left_mm"][0])
        & (left <= settings["left_mm"][1])
        & (np.hypot(back, left) >= settings["min_distance_mm"])
    )
    return np.where(is_blood & is_allowed, score, np.float32(0.0)), radius


def _measured(
    grid: Coarse, body: NDArray[np.bool_], spine: NDArray[np.intp], window: _Window, track: _Track
) -> Aorta | NotFound:
    settings = table("aorta")["aorta"]
    is_good = track.coverage >= settings["min_coverage"]
    start, end = tube_path.longest_run(is_good, int(settings["max_gap_mm"] // grid.spacing_mm[0]))
    length_mm = (end - start) * grid.spacing_mm[0]
    if length_mm < settings["min_path_mm"]:
        return NotFound(f"no aorta: the longest round vessel beside the spine measures {length_mm:.0f} mm")
    picked = [k for k in range(start, end) if is_good[k]]
    mean_coverage = float(track.coverage[picked].mean())
    if mean_coverage < settings["min_mean_coverage"]:
        return NotFound(f"no aorta: only {mean_coverage:.0%} of its wall is seen")
    values = window.cut(grid.values)
    inside = [_disc(values[k], window, track.path[k], float(track.radius_mm[k])) for k in picked]
    interior = np.concatenate(inside)
    sigma = float(interior.std(dtype=np.float64))
    if sigma > settings["max_sigma_hu"]:
        return NotFound(f"the aorta is not homogeneous: standard deviation {sigma:.0f} HU")
    return Aorta(
        round(float(np.median(interior))),
        round(sigma, 1),
        round(length_mm),
        round(mean_coverage, 2),
        float(np.median(track.radius_mm[picked])),
        round(_enhanced_share(grid, body, spine), 4),
    )


def _disc(
    plane: NDArray[np.float32], window: _Window, centre: NDArray[np.intp], radius_mm: float
) -> NDArray[np.float32]:
    """Return the values of the eroded interior in one slice."""
    inner = max(radius_mm - table("aorta")["aorta"]["erosion_mm"], LOCAL_MM)
    back = window.back_mm[:, None] - window.back_mm[centre[0]]
    left = window.left_mm[None, :] - window.left_mm[centre[1]]
    return np.asarray(plane[np.hypot(back, left) <= inner])


def _enhanced_share(grid: Coarse, body: NDArray[np.bool_], spine: NDArray[np.intp]) -> float:
    """Return how much of the body is homogeneous and as bright as enhanced organs, away from the spine."""
    settings = table("aorta")["enhanced_tissue"]
    half = _half(grid, LOCAL_MM)
    mean, (low, high) = box(grid.values, half), settings["range_hu"]
    bright = (mean >= low) & (mean <= high) & body
    bright &= local_sigma(grid.values, half) <= settings["max_local_sigma_hu"]
    rows, columns = np.arange(body.shape[1]), np.arange(body.shape[2])
    for index, (row, column) in enumerate(spine.tolist()):
        away = np.hypot(
            (rows[:, None] - row) * grid.spacing_mm[1], (columns[None, :] - column) * grid.spacing_mm[2]
        )
        bright[index] &= away > settings["spine_mm"]
    return float(bright.sum() / max(1, int(body.sum())))


def _reach(grid: Coarse) -> int:
    """Return by how many cells a path may move from slice to slice: 45 degrees, along the finer axis."""
    return max(1, round(grid.spacing_mm[0] / min(grid.spacing_mm[1:])))


def _half(grid: Coarse, length_mm: float) -> tuple[int, int]:
    return max(1, round(length_mm / grid.spacing_mm[1])), max(1, round(length_mm / grid.spacing_mm[2]))


def _along(values: NDArray[np.float32], path: NDArray[np.intp]) -> NDArray[np.float32]:
    return np.asarray(values[np.arange(len(path)), path[:, 0], path[:, 1]])
