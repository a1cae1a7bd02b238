"""An even stack of slices: holes filled and uneven spacing resampled, so that an array can hold it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from handlers.errors import VolumeError
from handlers.geometry import FITTED_RELATIVE
from handlers.model import AppliedStep, Companion, Finding, Geometry, Scope, Severity, Volume
from handlers.normalization.decoded import values_of
from handlers.normalization.memory import check_result
from handlers.normalization.slice_interpolation import interpolate_slices
from handlers.tables import table

END_TOLERANCE = 1e-3  # steps; the last slice may lie this far before the end of the grid
FINEST: int = table("geometry")["repair"]["finest"]  # times: the grid beside the median gap, at most


@dataclass(frozen=True, slots=True)
class RepairGaps:
    """Make slice positions even by linear interpolation (NRM-GAP-001).

    A stack with a hole (GEO-005) or with uneven spacing (GEO-006) is held, unless the profile repairs
    it, its policy accepts it, or a person released it. Once it comes here it is repaired: an array
    has one spacing, and without repair every slice behind the hole would lie in a wrong place. A stack
    that is nearly even (GEO-004) is resampled only with `resample_variable`.
    """

    resample_variable: bool = False

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with even slices, and `interpolated` true where a slice was made.

        Raises:
            VolumeError: different images share a position (SPL-003), or the even grid would be too
                large (NRM-RES-003).
        """
        geometry = volume.geometry
        if volume.values is None or geometry is None or not geometry.gaps_mm:
            return volume
        if geometry.duplicates:
            where = f"volume {volume.name}: {len(geometry.duplicates)} pairs of different images"
            raise VolumeError(f"{where} share a position; reject the wrong ones in the PACS", code="SPL-003")
        positions = np.concatenate([[0.0], np.cumsum(geometry.gaps_mm)])
        targets = self._targets(geometry, positions)
        return volume if targets is None else _resliced(volume, geometry, positions, targets)

    def _targets(self, geometry: Geometry, positions: NDArray[np.float64]) -> NDArray[np.float64] | None:
        missing = sum(count for _, count in geometry.missing)
        if missing:
            return np.linspace(0.0, float(positions[-1]), len(positions) + missing, dtype=np.float64)
        gaps = np.array(geometry.gaps_mm)
        median = float(np.median(gaps))
        is_nearly_even = float(np.abs(gaps - median).max()) <= FITTED_RELATIVE * median
        if geometry.is_uniform or (is_nearly_even and not self.resample_variable):
            return None
        step = max(float(gaps.min()), median / FINEST)
        return np.arange(int(positions[-1] / step + END_TOLERANCE) + 1, dtype=np.float64) * step


def _resliced(
    volume: Volume, geometry: Geometry, positions: NDArray[np.float64], targets: NDArray[np.float64]
) -> Volume:
    given = values_of(volume)
    check_result((len(targets), *given.shape[1:]), name=f"an even stack of volume {volume.name}")
    # A filled stack keeps every measured slice: its neighbours on the even grid are the measured ones.
    snapped = _snapped(positions, targets) if geometry.missing else positions
    values, padding, is_new = interpolate_slices(
        given, volume.padding, snapped, targets, background=volume.background
    )
    spacing = float(targets[1] - targets[0])
    affine = geometry.affine if volume.affine is None else volume.affine.copy()
    direction = np.asarray(geometry.slice_step)
    affine[:3, 2] = direction / abs(direction @ np.asarray(geometry.normal)) * spacing
    interpolated = np.broadcast_to(is_new[:, None, None], values.shape).copy()
    made = int(np.count_nonzero(is_new))
    evidence = {
        "interpolated_slices": [int(index) for index in np.flatnonzero(is_new)[:50]],
        "slices": len(targets),
        "spacing_mm": round(spacing, 6),
        "gaps_mm": sorted({round(gap, 3) for gap in geometry.gaps_mm}),
    }
    message = f"{made} of {len(targets)} slices were interpolated to make the spacing even ({spacing:.4g} mm)"
    finding = Finding("NRM-GAP-001", Severity.WARN, message, Scope.VOLUME, volume.name, evidence)
    return replace(
        volume,
        values=values,
        padding=padding,
        interpolated=interpolated,
        affine=affine,
        spacing_mm=(volume.spacing_mm[0], volume.spacing_mm[1], spacing),
        steps=(*volume.steps, AppliedStep("repair_gaps", evidence)),
        findings=(*volume.findings, finding),
    )


def show_interpolated(volume: Volume) -> Volume:
    """Add the companion "interpolated": 1 where the node filled, 0 elsewhere; none if nothing was."""
    if volume.interpolated is None or not volume.interpolated.any():
        return volume
    facts = {"voxels": int(np.count_nonzero(volume.interpolated))}
    mask = Companion("interpolated", volume.interpolated.astype(np.uint8), "1", facts)
    return replace(volume, companions=(*volume.companions, mask))


def _snapped(positions: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move measured positions onto the grid, which they fit within the tolerance of GEO-005."""
    spacing = targets[1] - targets[0]
    return np.asarray(np.rint(positions / spacing) * spacing, np.float64)
