"""One picture of a volume, small and between 0 and 1, for rules that look at shapes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from handlers.model import Volume
from handlers.tables import table

MIN_EDGE = 32  # pixels; in less there is no shape


def reduced_picture(volume: Volume) -> NDArray[np.float64] | None:
    """Return the first frame as means of square blocks, shape (rows, columns), between 0 and 1.

    Its 1st and 99th percentiles become 0 and 1; padding is 0. None when there are no values, no range or
    too few pixels.
    """
    if volume.values is None or volume.values.ndim != 3 or not volume.values.size:
        return None
    picture = volume.values[0].astype(np.float64)
    measured = np.isfinite(picture)
    if volume.padding is not None:
        measured &= ~volume.padding[0]
    if min(picture.shape) < MIN_EDGE or not measured.any():
        return None
    low, high = np.percentile(picture[measured], (1, 99))
    if not measured.all():
        low = min(low, volume.background)  # what padding stands for, often all of the air
    if high <= low:
        return None
    scaled = np.where(measured, np.clip((picture - low) / (high - low), 0.0, 1.0), 0.0)
    step = math.ceil(max(picture.shape) / table("projections")["size"])
    rows, columns = (size // step for size in picture.shape)
    if not rows or not columns:  # a strip so long that nothing is left of its shorter edge
        return None
    blocks = scaled[: rows * step, : columns * step].reshape(rows, step, columns, step)
    means: NDArray[np.float64] = blocks.mean(axis=(1, 3))
    return means
