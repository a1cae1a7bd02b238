"""Intensity as a profile wants it: a CT window to [0, 1], or MR scaled by its foreground or its cohort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.errors import VolumeError
from handlers.model import (
    AppliedStep,
    Companion,
    Finding,
    NormModel,
    Scope,
    Severity,
    Volume,
)
from handlers.normalization import landmarks
from handlers.normalization.cohort import cohort, manufacturer, model_for
from handlers.normalization.decoded import is_colour, values_of
from handlers.normalization.foreground import foreground
from handlers.tables import table

NONE, HOUNSFIELD, ARBITRARY = "none", "[hnsf'U]", "1"
NYUL, HISTOGRAM = "nyul", "histogram"
MODEL_METHODS = (NYUL, HISTOGRAM)
FALL_BACK = "percentile"  # where there is no model
FOREGROUND_METHODS = ("zscore", FALL_BACK, *MODEL_METHODS)
PERCENTILES = (1.0, 99.0)  # of the foreground, mapped to 0 and 1


@dataclass(frozen=True, slots=True)
class ScaleIntensity:
    """Scale values by `method`: "none", a window of `conf/windows.toml`, or one of `FOREGROUND_METHODS`.

    A window clips HU and maps it to [0, 1] (NRM-CLP-001). The others are for values without
    a unit, such as MR, and take their numbers from the foreground alone; where there is none,
    values stay as they are (NRM-INT-001). "nyul" maps the landmarks of the volume to the standard
    scale of its cohort, "histogram" to those of a reference volume, both by a model; without one,
    "percentile" is done (NRM-INT-002). With `keep_units` the values before are a companion.
    """

    method: str = NONE
    models: tuple[NormModel, ...] = ()
    keep_units: bool = False

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with scaled values in float32 and the background scaled with them.

        Raises:
            VolumeError: the method is unknown or does not fit the units of this volume.
        """
        if volume.values is None or self.method == NONE:
            return volume
        result = self._scaled(volume)
        if self.keep_units and result.values is not volume.values:
            kept = Companion("units", volume.values, volume.units, {"background_value": volume.background})
            result = replace(result, companions=(*result.companions, kept))
        return result

    def _scaled(self, volume: Volume) -> Volume:
        if is_colour(volume):
            facts = {"method": self.method}
            message = f"{self.method} was left out: colour has no intensity to scale"
            skipped = Finding("NRM-INT-001", Severity.WARN, message, Scope.VOLUME, volume.name, facts)
            return replace(volume, findings=(*volume.findings, skipped))
        if self.method in FOREGROUND_METHODS:
            if volume.units != ARBITRARY:
                raise _unfit(volume, f"{self.method!r} is for values without a unit")
            return _scaled_by_foreground(volume, self.method, self.models)
        if self.method not in windows():
            known = ", ".join([NONE, *FOREGROUND_METHODS, *windows()])
            raise _unfit(volume, f"{self.method!r} is not known; there are {known}")
        if volume.units != HOUNSFIELD:
            raise _unfit(volume, f"the window {self.method!r} is for HU")
        return _windowed(volume, self.method, windows()[self.method])


@cache
def windows() -> Mapping[str, tuple[float, float]]:
    """Return the CT windows of `conf/windows.toml`, name -> (lowest, highest) HU."""
    return {name: (float(low), float(high)) for name, (low, high) in table("windows")["window"].items()}


@dataclass(frozen=True, slots=True)
class _Scale:
    """scaled = (value - offset) / divisor; clipped to [0, 1] when asked."""

    offset: float
    divisor: float
    is_clipped: bool


def _windowed(volume: Volume, name: str, window: tuple[float, float]) -> Volume:
    low, high = window
    below, above, measured = 0, 0, 0
    for index, plane in enumerate(values_of(volume)):
        seen = plane if volume.padding is None else plane[~volume.padding[index]]
        below, above = below + int(np.count_nonzero(seen < low)), above + int(np.count_nonzero(seen > high))
        measured += seen.size
    shares = {"clipped_low": below / max(measured, 1), "clipped_high": above / max(measured, 1)}
    facts = {
        "method": name,
        "window_hu": [low, high],
        **{key: round(share, 6) for key, share in shares.items()},
    }
    parts = f"{shares['clipped_low']:.1%} below, {shares['clipped_high']:.1%} above"
    message = f"clipped to {low:g} to {high:g} HU: {parts}"
    finding = Finding("NRM-CLP-001", Severity.INFO, message, Scope.VOLUME, volume.name, facts)
    return _scaled(volume, _Scale(low, high - low, is_clipped=True), facts, (finding,))


def _scaled_by_foreground(volume: Volume, method: str, models: tuple[NormModel, ...]) -> Volume:
    mask = foreground(volume)
    inside = values_of(volume)[mask].astype(np.float64)
    own = landmarks.measured(inside) if inside.size else ()
    if not own or not (own[-1] > own[0] if method != "zscore" else inside.std() > 0):
        facts = {"method": method, "foreground_voxels": int(inside.size)}
        message = f"{method} was left out: the foreground is empty or holds one value only"
        skipped = Finding("NRM-INT-001", Severity.WARN, message, Scope.VOLUME, volume.name, facts)
        return replace(volume, findings=(*volume.findings, skipped))
    key = cohort(volume)
    if key is not None and own[-1] > own[0]:
        told = {
            "kind": NYUL,
            "cohort": key,
            "manufacturer": manufacturer(volume),
            "positions": list(landmarks.PERCENTILES),
            "values": list(own),
            "foreground_voxels": int(inside.size),
        }
        volume = replace(volume, landmarks=(*volume.landmarks, told))
    if method in MODEL_METHODS:
        model = model_for(models, method, volume)
        if model is not None:
            return _by_model(volume, mask, own, model)
        volume = _without_model(volume, method, key)
        method = FALL_BACK
    offset, divisor = float(inside.mean()), float(inside.std())
    if method == FALL_BACK:
        lowest, highest = (float(value) for value in np.percentile(inside, PERCENTILES))
        offset, divisor = lowest, highest - lowest
    facts = {
        "method": method,
        "foreground_voxels": int(inside.size),
        "offset": offset,
        "divisor": divisor,
    }
    return _scaled(volume, _Scale(offset, divisor, is_clipped=method == FALL_BACK), facts)


def _without_model(volume: Volume, method: str, key: str | None) -> Volume:
    where = f"the cohort {key}" if key else "images that are no magnitude, or not of MR"
    message = f"there is no active {method} model for {where}; percentiles were used"
    facts = {"method": method, "cohort": key, "used": FALL_BACK}
    finding = Finding("NRM-INT-002", Severity.WARN, message, Scope.VOLUME, volume.name, facts)
    return replace(volume, findings=(*volume.findings, finding))


def _by_model(volume: Volume, mask: NDArray[np.bool_], own: tuple[float, ...], model: NormModel) -> Volume:
    """Map the foreground by the landmarks of the volume and the model; what lies outside becomes 0."""
    values = np.zeros(mask.shape, np.float32)
    for index, plane in enumerate(values_of(volume)):
        inside = mask[index]
        values[index][inside] = landmarks.mapped(plane[inside].astype(np.float64), own, model.values)
    facts = {
        "method": model.kind,
        "model": model.model_id,
        "model_sha256": model.sha256,
        "foreground_voxels": int(np.count_nonzero(mask)),
        "landmarks": [float(f"{value:.9g}") for value in own],
    }
    return replace(
        volume,
        values=values,
        units=ARBITRARY,
        background=0.0,
        steps=(*volume.steps, AppliedStep("scale_intensity", facts)),
        findings=(*volume.findings, *_unlike_cohort(volume, own, model)),
    )


def _unlike_cohort(volume: Volume, own: tuple[float, ...], model: NormModel) -> list[Finding]:
    """Find a volume whose landmarks lie far outside those of its cohort (NRM-INT-003)."""
    if model.kind != NYUL:
        return []
    limits = table("cohorts")["model"]
    distance = np.abs(landmarks.on_scale(own) - np.asarray(model.values))
    allowed = np.maximum(limits["outlier_sd"] * np.asarray(model.spread), limits["max_drift"])
    worst = int(np.argmax(distance - allowed))
    if not distance[worst] > allowed[worst]:
        return []
    facts = {
        "model": model.model_id,
        "percentile": model.positions[worst],
        "distance": round(float(distance[worst]), 3),
        "allowed": round(float(allowed[worst]), 3),
    }
    message = (
        f"the landmark at {facts['percentile']:g} % lies {facts['distance']:.1f} points from the cohort's, "
        f"more than the {facts['allowed']:.1f} that its spread allows"
    )
    return [Finding("NRM-INT-003", Severity.WARN, message, Scope.VOLUME, volume.name, facts)]


def _scaled(
    volume: Volume, scale: _Scale, facts: Mapping[str, Any], findings: tuple[Finding, ...] = ()
) -> Volume:
    """Scale slice by slice in float64, kept as float32; the background goes the same way."""
    values = np.empty(values_of(volume).shape, np.float32)
    for index, plane in enumerate(values_of(volume)):
        scaled = (plane.astype(np.float64) - scale.offset) / scale.divisor
        values[index] = np.clip(scaled, 0.0, 1.0) if scale.is_clipped else scaled
    background = (volume.background - scale.offset) / scale.divisor
    return replace(
        volume,
        values=values,
        units=ARBITRARY,
        background=min(max(background, 0.0), 1.0) if scale.is_clipped else background,
        steps=(*volume.steps, AppliedStep("scale_intensity", facts)),
        findings=(*volume.findings, *findings),
    )


def _unfit(volume: Volume, reason: str) -> VolumeError:
    where = f"intensity of volume {volume.name} ({volume.modality}, units {volume.units})"
    return VolumeError(f"{where}: {reason}; correct the profile")
