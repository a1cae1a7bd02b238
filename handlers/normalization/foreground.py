"""Which voxels of an MR volume show the patient: Otsu's threshold, the largest piece, its holes filled."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.model import Volume
from handlers.normalization.decoded import values_of

CLIP = (0.5, 99.5)  # percentiles; a few bright vessels or spikes must not set the threshold
BINS = 256
CLOSING_VOXELS = 2


def foreground(volume: Volume) -> NDArray[np.bool_]:
    """Return the foreground mask (slices, rows, columns) of a volume; all False when there is none.

    The threshold is taken on the logarithm, where air noise and tissue are two hills;
    "above zero" would take the noise for tissue.

    Source: Otsu 1979, IEEE SMC 9(1) 62-66.
    """
    sitk: Any = import_module("SimpleITK")  # not needed for most volumes, and large

    values = values_of(volume)
    measured = values if volume.padding is None else values[~volume.padding]
    if not measured.size:
        return np.zeros(values.shape, np.bool_)
    low, high = (float(value) for value in np.percentile(measured, CLIP))
    if not high > low:
        return np.zeros(values.shape, np.bool_)
    scaled = np.log1p(np.clip(values, low, high).astype(np.float32) - np.float32(low))
    threshold = _otsu(scaled if volume.padding is None else scaled[~volume.padding])
    seed = scaled > threshold
    if volume.padding is not None:
        seed &= ~volume.padding
    pieces = sitk.RelabelComponent(
        sitk.ConnectedComponent(sitk.GetImageFromArray(seed.astype(np.uint8))), True
    )
    largest = sitk.Equal(pieces, 1)
    radius = [CLOSING_VOXELS if length > 2 * CLOSING_VOXELS else 0 for length in largest.GetSize()]
    closed = sitk.BinaryMorphologicalClosing(largest, radius)
    mask = sitk.GetArrayFromImage(sitk.BinaryFillhole(closed)).astype(np.bool_)
    return np.asarray(mask if volume.padding is None else mask & ~volume.padding, np.bool_)


def _otsu(values: NDArray[np.float32]) -> float:
    """Return the threshold that maximises the variance between the two classes."""
    counts, edges = np.histogram(values, bins=BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    mass = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    return float(edges[1 + int(np.nanargmax(np.where(above > 0, between, np.nan)))])
