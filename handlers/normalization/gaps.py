"""An even stack of slices: small gaps filled, and uneven spacing resampled, where the profile allows it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from handlers.model import AppliedStep, Finding, Geometry, Scope, Severity, Volume
from handlers.normalization.decoded import values_of
from handlers.normalization.memory import check_result
from handlers.normalization.slice_interpolation import interpolate_slices

MAX_FILLED = 1  # slices; a larger hole may hide what the image was made for
END_TOLERANCE = 1e-3  # steps; the last slice may lie this far before the end of the grid
MAX_FILLED_SHARE = 0.02  # of all slices of the repaired stack


@dataclass(frozen=True, slots=True)
class RepairGaps:
    """Make slice positions even by linear interpolation (NRM-GAP-001).

    `fill_missing` fills at most `MAX_FILLED` missing slices (GEO-005). `resample_variable`
    resamples unevenly spaced slices to the smallest gap (GEO-006). A stack that is even, or
    that neither may repair, is left as it is: its verdict came from the triage.
    """

    fill_missing: bool = False
    resample_variable: bool = False

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with even slices, and `interpolated` true where a slice was made.

        Raises:
            VolumeError: the even grid would be too large (NRM-RES-003).
        """
        geometry = volume.geometry
        if volume.values is None or geometry is None or not geometry.gaps_mm or min(geometry.gaps_mm) <= 0:
            return volume
        positions = np.concatenate([[0.0], np.cumsum(geometry.gaps_mm)])
        targets = self._targets(geometry, positions)
        return volume if targets is None else _resliced(volume, geometry, positions, targets)

    def _targets(self, geometry: Geometry, positions: NDArray[np.float64]) -> NDArray[np.float64] | None:
        missing = sum(count for _, count in geometry.missing)
        whole = len(positions) + missing
        if missing:
            if not self.fill_missing or missing > MAX_FILLED or missing / whole > MAX_FILLED_SHARE:
                return None
            return np.linspace(0.0, float(positions[-1]), whole, dtype=np.float64)
        if geometry.is_uniform or not self.resample_variable:
            return None
        step = min(geometry.gaps_mm)
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


def _snapped(positions: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move measured positions onto the grid, which they fit within the tolerance of GEO-005."""
    spacing = targets[1] - targets[0]
    return np.asarray(np.rint(positions / spacing) * spacing, np.float64)
