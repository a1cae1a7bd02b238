"""The slow change of brightness that the coils leave in MR, taken out by N4."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.model import AppliedStep, Finding, Scope, Severity, Volume
from handlers.normalization.decoded import values_of
from handlers.normalization.foreground import foreground

ARBITRARY = "1"
ITERATIONS = (
    50,
    50,
    30,
    20,
)  # fixed for each level, as the authors' defaults of 50; never until convergence alone
SHRUNK_TO = (
    64  # voxels along an axis at most for the estimate; the field is smooth and is computed for all voxels
)
LEAST = 4  # voxels along an axis below which there is no field to fit


def correct_bias_field(volume: Volume) -> Volume:
    """Divide an MR volume without units by its bias field; others stay as they are.

    One thread and fixed iterations: the same input gives the same bytes. Without a foreground,
    or with too few voxels for the splines, the volume stays as it is (NRM-INT-001).

    Source: Tustison et al. 2010 (IEEE TMI 29(6) 1310-1320); SimpleITK's N4.
    """
    if volume.values is None or volume.modality != "MR" or volume.units != ARBITRARY:
        return volume
    mask = foreground(volume)
    if not mask.any() or min(mask.shape) < LEAST:
        message = "the bias field was left: there is no foreground, or too few slices to fit a field to"
        found = Finding("NRM-INT-001", Severity.WARN, message, Scope.VOLUME, volume.name, {"method": "n4"})
        return replace(volume, findings=(*volume.findings, found))
    given = values_of(volume).astype(np.float32)
    field = _field(given, mask)
    values = given / field
    if volume.padding is not None:
        values[volume.padding] = volume.background
    facts = {
        "method": "n4",
        "iterations": list(ITERATIONS),
        "field_min": round(float(field[mask].min()), 6),
        "field_max": round(float(field[mask].max()), 6),
    }
    return replace(volume, values=values, steps=(*volume.steps, AppliedStep("correct_bias_field", facts)))


def _field(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Estimate the field (slices, rows, columns) on a coarser grid, and compute it for every voxel."""
    sitk: Any = import_module("SimpleITK")  # not needed for most volumes, and large

    shift = max(0.0, 1.0 - float(values[mask].min()))  # the estimate takes logarithms
    image = sitk.GetImageFromArray(np.maximum(values + np.float32(shift), np.float32(1)))
    inside = sitk.GetImageFromArray(mask.astype(np.uint8))
    factors = [-(-length // SHRUNK_TO) for length in values.shape[::-1]]
    estimator = sitk.N4BiasFieldCorrectionImageFilter()
    estimator.SetNumberOfThreads(1)
    estimator.SetMaximumNumberOfIterations(list(ITERATIONS))
    estimator.Execute(sitk.Shrink(image, factors), sitk.Shrink(inside, factors))
    field: NDArray[np.float32] = np.exp(
        sitk.GetArrayFromImage(estimator.GetLogBiasFieldAsImage(image)).astype(np.float32)
    )
    return field
