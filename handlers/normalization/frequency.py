"""HU scaled to [0, 1] by equally filled bins of a histogram, as a companion that never replaces the HU.

Contrast goes where the voxels are, which no window does. Edges taken from one volume make that
volume's scale its own, so those of a fitted model (`prepnode landmarks fit --kind frequency`) are used
when there is one.

Source: fastai, medical/imaging.py (`freqhist_bins`, `hist_scaled`), which takes the volume's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.model import AppliedStep, Companion, Finding, NormModel, Scope, Severity, Volume
from handlers.normalization.cohort import cohort, manufacturer, model_for
from handlers.normalization.decoded import values_of

KIND = "frequency"
HOUNSFIELD = "[hnsf'U]"
FLOOR_HU = -1100.0  # what lies below is padding or metal shadow, and fills no bin
ENDS = (0.001, 0.999)
INT16_VALUES = 1 << 16


@dataclass(frozen=True, slots=True)
class ScaleByFrequency:
    """Add the companion "frequency": HU interpolated between the edges of `bins` equally filled bins."""

    bins: int
    models: tuple[NormModel, ...] = ()

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with the companion and NRM-FRQ-001, which names the edges' origin."""
        if volume.values is None:
            return volume
        if volume.units != HOUNSFIELD:
            return _told(volume, Severity.WARN, "bins of a histogram are for HU; they were left out", {})
        at = positions(self.bins)
        own = quantiles(volume, at)
        if not own or own[-1] <= own[0]:
            return _told(volume, Severity.WARN, "the volume has no range of HU to make bins of", {})
        told = {
            "kind": KIND,
            "cohort": cohort(volume),
            "manufacturer": manufacturer(volume),
            "positions": [100 * share for share in at],
            "values": list(own),
        }
        models = [model for model in self.models if len(model.positions) == len(at)]
        model = model_for(models, KIND, volume)
        edges = np.unique(own if model is None else model.values)
        facts = {
            "bins": self.bins,
            "edges_from": "this volume" if model is None else model.model_id,
            "edges_hu": [round(float(edge), 4) for edge in edges],
        }
        companion = Companion(KIND, _interpolated(volume, edges), "1", facts)
        volume = replace(
            volume,
            companions=(*volume.companions, companion),
            landmarks=(*volume.landmarks, told),
            steps=(*volume.steps, AppliedStep("scale_by_frequency", facts)),
        )
        if model is None:
            text = "edges of this volume alone were used: its values cannot be compared with others'"
            return _told(volume, Severity.WARN, text, facts)
        return _told(volume, Severity.INFO, f"HU were scaled by the edges of {model.model_id}", facts)


def positions(bins: int) -> tuple[float, ...]:
    """Return the shares of the sorted values at which the edges lie: two ends, and the middle of each bin."""
    return (ENDS[0], *(float((index + 0.5) / bins) for index in range(bins)), ENDS[1])


def quantiles(volume: Volume, shares: tuple[float, ...]) -> tuple[float, ...]:
    """Return the values at these shares of all that is measured and above the floor; () when nothing is.

    That of share t is the one with index int(n t) in the sorted values, exactly. int16 is
    counted, not sorted.
    """
    values = values_of(volume)
    if values.dtype == np.int16:
        return _counted(volume, shares)
    measured = values if volume.padding is None else values[~volume.padding]
    measured = np.sort(measured[measured > FLOOR_HU], axis=None)
    return tuple(float(measured[int(len(measured) * share)]) for share in shares) if len(measured) else ()


def _counted(volume: Volume, shares: tuple[float, ...]) -> tuple[float, ...]:
    counts = np.zeros(INT16_VALUES, np.int64)
    for index, plane in enumerate(values_of(volume)):
        seen = plane if volume.padding is None else plane[~volume.padding[index]]
        counts += np.bincount(seen.ravel().astype(np.int32) + INT16_VALUES // 2, minlength=INT16_VALUES)
    counts[: int(FLOOR_HU) + INT16_VALUES // 2 + 1] = 0
    upto = np.cumsum(counts)
    if not upto[-1]:
        return ()
    wanted = [int(upto[-1] * share) for share in shares]
    return tuple(float(found - INT16_VALUES // 2) for found in np.searchsorted(upto, wanted, side="right"))


def _interpolated(volume: Volume, edges: NDArray[np.float64]) -> NDArray[np.float32]:
    values = np.empty(values_of(volume).shape, np.float32)
    levels = np.linspace(0, 1, len(edges))
    for index, plane in enumerate(values_of(volume)):
        values[index] = np.interp(plane, edges, levels)
    return values


def _told(volume: Volume, severity: Severity, message: str, facts: dict[str, Any]) -> Volume:
    finding = Finding("NRM-FRQ-001", severity, message, Scope.VOLUME, volume.name, facts)
    return replace(volume, findings=(*volume.findings, finding))
