"""MR values in real-world units, or in the floating-point scale of Philips, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.model import Frame
from handlers.normalization.value_mapping import Rescale, ValueMapping, value_mapping
from handlers.value_scales import RealWorldMap, philips_scale, quantitative_kind, quantitative_maps


@dataclass(frozen=True, slots=True)
class RealWorldMapping:
    """Stored values through real-world value maps; what no map covers has no value (NaN)."""

    maps: tuple[RealWorldMap, ...]

    is_whole = False

    def __call__(self, stored: NDArray[Any]) -> NDArray[np.float64]:
        """Map stored values, in double precision."""
        result = np.full(stored.shape, np.nan)
        for each in self.maps:
            covered = (stored >= each.first) & (stored <= each.last)
            inside = stored[covered].astype(np.float64)
            if each.table:
                index = (inside - each.first).astype(np.int64)
                result[covered] = np.asarray(each.table)[index]
            else:
                result[covered] = inside * each.slope + each.intercept
        return result


def quantitative_mappings(
    frames: Sequence[Frame],
) -> tuple[str, str, tuple[ValueMapping | RealWorldMapping, ...]] | None:
    """Return kind, UCUM units and one mapping per frame; None where the header gives no such scale.

    The floating-point value is FP = DV / (RescaleSlope * SS), which is linear in the stored value.

    Raises:
        VolumeError: a frame has a rescale of Philips that is not usable (RSC-003).

    Source: Chenevert et al., Transl Oncol 2014;7:65 (Philips scaling); PS3.3 C.7.6.16.2.11.
    """
    kind = quantitative_kind(frames)
    if kind == "real-world":
        maps = tuple(RealWorldMapping(quantitative_maps(frame)) for frame in frames)
        return kind, maps[0].maps[0].units, maps
    if kind == "floating-point":
        mappings = tuple(map(_floating_point, frames))
        return None if None in mappings else (kind, "1", tuple(each for each in mappings if each is not None))
    return None


def _floating_point(frame: Frame) -> Rescale | None:
    displayed, scale = value_mapping(frame), philips_scale(frame)
    if scale is None or not isinstance(displayed, Rescale):
        return None
    return Rescale(1.0 / scale.slope, displayed.intercept / (displayed.slope * scale.slope), displayed.absent)
