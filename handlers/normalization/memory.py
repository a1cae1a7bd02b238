"""How large a volume may become by resampling, asked before the array is allocated."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from handlers.errors import VolumeError

MAX_RESULT_BYTES = 8 << 30  # as float32; a finer grid than this is a mistake in the profile


def check_result(shape: Sequence[int], *, name: str) -> None:
    """Refuse a result of this (slices, rows, columns) shape when it is too large.

    Raises:
        VolumeError: the array would exceed `MAX_RESULT_BYTES` (NRM-RES-003).
    """
    needed = prod(shape) * 4
    if needed > MAX_RESULT_BYTES:
        size = f"{' x '.join(str(length) for length in shape)} voxels, {needed} bytes"
        raise VolumeError(f"{name} would need {size}; {MAX_RESULT_BYTES} are allowed", code="NRM-RES-003")
