"""The three central planes of a volume as grey pictures, in radiological orientation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.model import Volume

OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "S": "I", "I": "S"}
SOFT_TISSUE = (400.0, 40.0)  # HU: width, centre
LUNG = (1500.0, -600.0)  # HU
AERATED_LUNG_HU = (-950, -600)  # what inflated lung measures; air outside the body is below
LUNG_SHARE = 0.10  # of the central half of the volume; a chest has 0.2 to 0.5, an abdomen below 0.05
MAX_SAMPLES = 1_000_000  # voxels that percentiles and the lung test look at


@dataclass(frozen=True, slots=True)
class Plane:
    """One picture, rows from top to bottom, with the physical size of its pixels.

    `letters` are the patient directions at the left, right, top and bottom edges, or empty.
    """

    title: str
    pixels: NDArray[np.uint8]
    pixel_mm: tuple[float, float]
    letters: tuple[str, str, str, str] | None = None


@dataclass(frozen=True, slots=True)
class GreyScale:
    """How values become grey: `low` is black, `high` white; the other way round when `inverted`."""

    low: float
    high: float
    label: str
    inverted: bool = False

    def apply(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Map values to 0..255."""
        scaled = (values.astype(np.float32) - self.low) / max(self.high - self.low, 1e-12)
        grey = np.clip(np.nan_to_num(scaled), 0, 1) * 255
        shown: NDArray[np.uint8] = (255 - grey if self.inverted else grey).round().astype(np.uint8)
        return shown


def planes(volume: Volume) -> tuple[list[Plane], GreyScale]:
    """Cut axial, coronal and sagittal planes through the centre; one picture where there is no geometry.

    The volume's values have shape (slices, rows, columns) and any orientation.
    """
    values = volume.values
    if values is None:
        raise ValueError(f"{volume.name} has no values to show")
    scale = grey_scale(volume)
    middle = values[len(values) // 2]
    matrix = _matrix(volume)
    if matrix is None or values.ndim == 4 or min(values.shape) < 2:
        return [_single(volume, middle, scale, matrix)], scale
    array, spacing = _to_lps(values, matrix)
    slices, rows, columns = (size // 2 for size in array.shape)
    across, down, along = spacing
    return [
        Plane("axial", scale.apply(array[slices]), (across, down), ("R", "L", "A", "P")),
        Plane("coronal", scale.apply(array[::-1, rows]), (across, along), ("R", "L", "S", "I")),
        Plane("sagittal", scale.apply(array[::-1, :, columns]), (down, along), ("A", "P", "S", "I")),
    ], scale


def grey_scale(volume: Volume) -> GreyScale:
    """Choose the grey scale: a CT window, PET dark on white, or the 1st to 99th percentile."""
    sample = _sample(volume)
    if volume.units == "[hnsf'U]":
        is_lung = lung_share(volume) > LUNG_SHARE
        width, centre = LUNG if is_lung else SOFT_TISSUE
        name = "lung" if is_lung else "soft tissue"
        return GreyScale(centre - width / 2, centre + width / 2, f"{name}  W {width:.0f} L {centre:.0f} HU")
    if sample.size == 0:
        return GreyScale(0.0, 1.0, "no measured values")
    if volume.modality in ("PT", "NM"):
        high = float(np.percentile(sample, 99.5))
        return GreyScale(0.0, high if high > 0 else 1.0, f"0 to {high:.4g} {volume.units}", inverted=True)
    low, high = (float(edge) for edge in np.percentile(sample, (1, 99)))
    if high <= low:
        low, high = float(sample.min()), float(sample.max())
    return GreyScale(low, high, f"{low:.4g} to {high:.4g}")


def lung_share(volume: Volume) -> float:
    """Return the share of voxels that measure like inflated lung, in the central half of the volume."""
    if volume.values is None or volume.values.ndim != 3:
        return 0.0
    centre = tuple(slice(size // 4, max(size // 4 + 1, size - size // 4)) for size in volume.values.shape)
    step = _step(volume.values[centre].size)
    values = volume.values[centre][:, ::step, ::step]
    low, high = AERATED_LUNG_HU
    return float(np.mean((values >= low) & (values <= high)))


def _sample(volume: Volume) -> NDArray[Any]:
    """Take evenly spread voxels that the scanner measured."""
    values = volume.values
    if values is None:
        return np.empty(0)
    step = _step(values.size)
    sample = values[:, ::step, ::step]
    if volume.padding is not None:
        sample = sample[~volume.padding[:, ::step, ::step]]
    sample = sample.ravel()
    return sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample


def _step(size: int) -> int:
    return max(1, int(np.ceil(np.sqrt(size / MAX_SAMPLES))))


def _matrix(volume: Volume) -> NDArray[np.float64] | None:
    """Return the matrix into LPS mm, if there is one that can be inverted."""
    native = None if volume.geometry is None else volume.geometry.affine
    matrix = native if volume.affine is None else volume.affine
    if matrix is None or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        return None
    return matrix


def _assignment(matrix: NDArray[np.float64]) -> tuple[list[int], list[bool], NDArray[np.float64]]:
    """Find for L, P and S the array axis closest to it, whether it runs backwards, and all axes' lengths."""
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    directions = matrix[:3, :3] / lengths
    remaining, chosen = [0, 1, 2], [0, 0, 0]
    for patient_axis in np.argsort(-np.abs(directions).max(axis=1), kind="stable"):
        best = max(remaining, key=lambda axis: float(abs(directions[patient_axis, axis])))
        chosen[int(patient_axis)] = best
        remaining.remove(best)
    return chosen, [bool(directions[p, a] < 0) for p, a in enumerate(chosen)], lengths


def _to_lps(
    values: NDArray[Any], matrix: NDArray[np.float64]
) -> tuple[NDArray[Any], tuple[float, float, float]]:
    """Permute and flip into axes (S, P, L), as a view, and give its spacing towards L, P and S in mm."""
    chosen, backwards, lengths = _assignment(matrix)
    array = values.transpose([2 - axis for axis in reversed(chosen)])
    flips = tuple(slice(None, None, -1 if flip else 1) for flip in reversed(backwards))
    along = [float(lengths[axis]) for axis in chosen]
    return array[flips], (along[0], along[1], along[2])


def _single(
    volume: Volume, picture: NDArray[Any], scale: GreyScale, matrix: NDArray[np.float64] | None
) -> Plane:
    """Show one picture as it was acquired: a projection, a colour picture, or a stack of one slice."""
    pixels = picture.astype(np.uint8) if picture.ndim == 3 else scale.apply(picture)
    column_mm, row_mm = volume.spacing_mm[:2]
    size = (column_mm, row_mm) if column_mm and row_mm else (1.0, 1.0)
    if matrix is None:
        return Plane("as acquired", pixels, size)
    letters = _edge_letters(matrix)
    return Plane(
        "as acquired",
        pixels,
        (float(np.linalg.norm(matrix[:3, 0])), float(np.linalg.norm(matrix[:3, 1]))),
        letters,
    )


def _edge_letters(matrix: NDArray[np.float64]) -> tuple[str, str, str, str]:
    right, bottom = (_letter(matrix[:3, axis]) for axis in (0, 1))
    return OPPOSITE[right], right, OPPOSITE[bottom], bottom


def _letter(direction: NDArray[np.float64]) -> str:
    axis = int(np.abs(direction).argmax())
    return "LPS"[axis] if direction[axis] > 0 else "RAI"[axis]
