"""The arrays of a volume that was decoded, or an error that says that it was not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.errors import VolumeError
from handlers.model import Volume

COLOUR_AXES = 4


def values_of(volume: Volume) -> NDArray[Any]:
    """Return the values (slices, rows, columns).

    Raises:
        VolumeError: the volume holds none.
    """
    if volume.values is None:
        raise VolumeError(f"volume {volume.name} has no values; decode it before this step")
    return volume.values


def is_colour(volume: Volume) -> bool:
    """Say whether the values are red, green and blue, shape (slices, rows, columns, 3)."""
    return volume.values is not None and volume.values.ndim == COLOUR_AXES


def affine_of(volume: Volume) -> NDArray[np.float64]:
    """Return the affine, 4x4, (column, row, slice) -> LPS mm.

    Raises:
        VolumeError: the volume has no place in the patient.
    """
    if volume.affine is None:
        raise VolumeError(f"volume {volume.name} has no place in the patient, which this step needs")
    return volume.affine
