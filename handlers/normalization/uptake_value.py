"""PET values to a standardized uptake value, where the profile wants one and the header allows it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from handlers.errors import VolumeError
from handlers.model import AppliedStep, Volume
from handlers.uptake import uptake


@dataclass(frozen=True, slots=True)
class UptakeValue:
    """Scale a PET volume to the uptake value `kind`: "bw", "lbm" or "bsa"; "none" leaves it as measured.

    Where something is missing for it the volume stays in its own units, and the step says so; the rule
    that judges the header raises PET-001.
    """

    kind: str = "none"

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume in uptake values (float32), or as it was.

        Raises:
            VolumeError: an uptake value is beyond what float32 holds (RSC-003).
        """
        if self.kind == "none" or volume.modality != "PT" or volume.values is None:
            return volume
        found = uptake(volume.frames, self.kind)
        if found.factor is None:
            step = AppliedStep("uptake_value", {"suv": "none", "missing": list(found.missing)})
            return replace(volume, steps=(*volume.steps, step))
        with np.errstate(over="ignore"):
            values = (volume.values * np.float64(found.factor)).astype(np.float32)
        if not np.isfinite(values).all():
            message = f"an uptake value is beyond what float32 holds (factor {found.factor:g})"
            raise VolumeError(message, code="RSC-003")
        step = AppliedStep("uptake_value", dict(found.record))
        return replace(volume, values=values, units=found.units, steps=(*volume.steps, step))
