"""The number format that a profile wants its values in, and what is lost by it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.errors import VolumeError
from handlers.model import AppliedStep, Finding, Scope, Severity, Volume

FORMATS = ("auto", "int16", "float32")
AUTO = "auto"


def set_number_format(volume: Volume, name: str) -> Volume:
    """Convert the values to "int16" or "float32"; "auto" leaves them as they are.

    Where values had to be rounded, OUT-004 says by how much at most.

    Raises:
        VolumeError: the format is unknown, or the values do not fit it.
    """
    if name not in FORMATS:
        raise VolumeError(f"number format {name!r} is not known; there are: {', '.join(FORMATS)}")
    values = volume.values
    if name == AUTO or values is None or not values.size or values.dtype == name or values.ndim != 3:
        return volume
    converted = _int16(values) if name == "int16" else values.astype(np.float32)
    error = float(np.abs(converted.astype(np.float64) - values).max())
    step = AppliedStep("number_format", {"dtype": name, "largest_error": error})
    volume = replace(volume, values=converted, steps=(*volume.steps, step))
    if not error:
        return volume
    message = f"values were rounded to {name}; the largest error is {error:.3g} {volume.units}"
    evidence = {"dtype": name, "largest_error": error, "units": volume.units}
    finding = Finding("OUT-004", Severity.WARN, message, Scope.VOLUME, volume.name, evidence)
    return replace(volume, findings=(*volume.findings, finding))


def _int16(values: NDArray[Any]) -> NDArray[np.int16]:
    low, high = float(values.min()), float(values.max())
    limits = np.iinfo(np.int16)
    if not limits.min <= low <= high <= limits.max:  # also catches NaN
        raise VolumeError(
            f"values from {low:g} to {high:g} do not fit int16; use dtype 'float32' in the profile"
        )
    rounded: NDArray[np.int16] = np.rint(values).astype(np.int16)
    return rounded
