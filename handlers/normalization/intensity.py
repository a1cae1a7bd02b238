"""Intensity as a profile wants it: a CT window to [0, 1], or MR scaled by its own foreground."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from handlers.errors import VolumeError
from handlers.model import AppliedStep, Finding, Scope, Severity, Volume
from handlers.normalization.decoded import values_of
from handlers.normalization.foreground import foreground

NONE, HOUNSFIELD, ARBITRARY = "none", "[hnsf'U]", "1"
FOREGROUND_METHODS = ("zscore", "percentile")
PERCENTILES = (1.0, 99.0)  # of the foreground, mapped to 0 and 1


@dataclass(frozen=True, slots=True)
class ScaleIntensity:
    """Scale values by `method`: "none", a window of `conf/windows.toml`, "zscore" or "percentile".

    A window clips HU and maps it to [0, 1] (NRM-CLP-001). "zscore" and "percentile" are for
    values without a unit, such as MR, and take their numbers from the foreground alone;
    where there is none, values stay as they are (NRM-INT-001).
    """

    method: str = NONE

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with scaled values in float32 and the background scaled with them.

        Raises:
            VolumeError: the method is unknown or does not fit the units of this volume.
        """
        if volume.values is None or self.method == NONE:
            return volume
        if self.method in FOREGROUND_METHODS:
            if volume.units != ARBITRARY:
                raise _unfit(volume, f"{self.method!r} is for values without a unit")
            return _scaled_by_foreground(volume, self.method)
        if self.method not in windows():
            known = ", ".join([NONE, *FOREGROUND_METHODS, *windows()])
            raise _unfit(volume, f"{self.method!r} is not known; there are {known}")
        if volume.units != HOUNSFIELD:
            raise _unfit(volume, f"the window {self.method!r} is for HU")
        return _windowed(volume, self.method, windows()[self.method])


@cache
def windows() -> Mapping[str, tuple[float, float]]:
    """Return the CT windows of `conf/windows.toml`, name -> (lowest, highest) HU."""
    table = tomllib.loads(resources.files("conf").joinpath("windows.toml").read_text(encoding="utf-8"))
    return {name: (float(low), float(high)) for name, (low, high) in table["window"].items()}


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


def _scaled_by_foreground(volume: Volume, method: str) -> Volume:
    inside = values_of(volume)[foreground(volume)].astype(np.float64)
    offset, divisor = 0.0, 0.0
    if inside.size and method == "zscore":
        offset, divisor = float(inside.mean()), float(inside.std())
    elif inside.size:
        lowest, highest = (float(value) for value in np.percentile(inside, PERCENTILES))
        offset, divisor = lowest, highest - lowest
    facts = {
        "method": method,
        "foreground_voxels": int(inside.size),
        "offset": offset,
        "divisor": divisor,
    }
    if not divisor > 0:
        message = f"{method} was left out: the foreground is empty or holds one value only"
        skipped = Finding("NRM-INT-001", Severity.WARN, message, Scope.VOLUME, volume.name, facts)
        return replace(volume, findings=(*volume.findings, skipped))
    return _scaled(volume, _Scale(offset, divisor, is_clipped=method == "percentile"), facts)


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
