"""CT smoothed to the class of a softer kernel: a known Gaussian within each slice, never the reverse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.errors import VolumeError
from handlers.model import AppliedStep, Finding, Scope, Severity, Volume
from handlers.normalization import separable
from handlers.normalization.decoded import values_of
from handlers.normalization.separable import AxisWeights
from handlers.tables import table

UNKNOWN_KERNEL = "KER-003"


@dataclass(frozen=True, slots=True)
class SoftenKernel:
    """Smooth a CT volume from the kernel class `present` to the softer class `wanted` (NRM-KER-001).

    Each class has a point spread in `conf/kernels.toml`. Variances of Gaussians add up, so the
    difference of two is the variance of the Gaussian between them, mm2 within the slice. Padding
    takes no part and stays. A volume of a class as soft stays as it is; sharpening would make detail up.
    """

    wanted: str
    present: str

    def __call__(self, volume: Volume) -> Volume:
        """Return the smoothed volume.

        Raises:
            VolumeError: the class of the kernel is not known (KER-003), or the pixel spacing is not.
        """
        spread = table("kernels")["point_spread"]["variance_mm2"]
        if self.present not in spread:
            message = f"the kernel class of volume {volume.name} is not known, so it cannot be softened"
            raise VolumeError(f"{message}; add the kernel to conf/kernels.toml", code=UNKNOWN_KERNEL)
        variance = spread[self.wanted] - spread[self.present]
        if variance <= 0:
            return volume
        column_mm, row_mm, _ = volume.spacing_mm
        if not column_mm or not row_mm:
            raise VolumeError(f"volume {volume.name} has no pixel spacing, so it cannot be softened")
        values = _smoothed(volume, variance / row_mm**2, variance / column_mm**2)
        facts = {"from": self.present, "to": self.wanted, "variance_mm2": round(variance, 6)}
        message = (
            f"smoothed from a {self.present} kernel to a {self.wanted} one (variance {variance:.3g} mm2)"
        )
        finding = Finding("NRM-KER-001", Severity.WARN, message, Scope.VOLUME, volume.name, facts)
        return replace(
            volume,
            values=values,
            steps=(*volume.steps, AppliedStep("soften_kernel", facts)),
            findings=(*volume.findings, finding),
        )


def _smoothed(volume: Volume, row_variance: float, column_variance: float) -> NDArray[Any]:
    """Filter every slice, shape (slices, rows, columns); variances in pixels squared."""
    given, hidden = values_of(volume), volume.padding
    values = np.empty_like(given)
    rows, columns = _weights(given.shape[1], row_variance), _weights(given.shape[2], column_variance)
    for index, stored in enumerate(given):
        plane = stored.astype(np.float32)
        if hidden is not None and hidden[index].any():
            measured = (~hidden[index]).astype(np.float32)
            plane = separable.in_plane(plane * measured, rows, columns)
            plane /= np.maximum(separable.in_plane(measured, rows, columns), 1e-6)
            plane[hidden[index]] = stored[hidden[index]]
        else:
            plane = separable.in_plane(plane, rows, columns)
        values[index] = np.rint(plane) if values.dtype.kind in "iu" else plane
    return values


def _weights(size: int, variance: float) -> AxisWeights:
    return separable.linear(np.arange(size, dtype=np.float64), size, variance=variance)
