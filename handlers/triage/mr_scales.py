"""The scales of MR values: several of them, slopes that differ between frames, none that is quantitative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from handlers.model import Finding, Series, Severity, Volume
from handlers.triage import header
from handlers.triage.targets import measured, volume_finding
from handlers.value_scales import quantitative_kind, scales


@dataclass(frozen=True, slots=True)
class MrScales:
    """Note several scales (MRS-001), differing slopes (MRS-002), the absence of a wanted one (MRS-004).

    `mr_values` is what the profile wants: "displayed" or "quantitative".

    Source: PS3.3 C.7.6.16.2.9, C.7.6.16.2.11; Chenevert et al., Transl Oncol 2014;7:65 (Philips).
    """

    mr_values: str = "displayed"

    def __call__(self, series: Series) -> list[Finding]:
        """Look at every MR volume."""
        found = []
        for volume in measured(series, "MR"):
            found += [*_several(volume), *_differing(volume)]
            if self.mr_values == "quantitative" and not quantitative_kind(volume.frames):
                message = "no scale beyond this scanner is stated; the values are the displayed ones"
                found.append(volume_finding(volume, "MRS-004", Severity.WARN, message))
        return found


def _several(volume: Volume) -> list[Finding]:
    told = scales(volume.frames[0])
    names = [
        *(name for name in told if name != "real_world"),
        *(f"real-world values in {each['units'] or 'no units'}" for each in told.get("real_world", ())),
    ]
    if len(names) < 2:
        return []
    message = f"the header gives {len(names)} scales of the stored values: {', '.join(names)}"
    return [volume_finding(volume, "MRS-001", Severity.INFO, message, **told)]


def _differing(volume: Volume) -> list[Finding]:
    columns: dict[str, Any] = {
        keyword: sorted(
            {value for frame in volume.frames if (value := header.number(frame, keyword)) is not None}
        )
        for keyword in ("RescaleSlope", "RescaleIntercept")
    }
    differing = {keyword: values for keyword, values in columns.items() if len(values) > 1}
    if not differing:
        return []
    message = (
        f"{' and '.join(differing)} differ between the frames; each frame is scaled by its own (float32)"
    )
    evidence = {
        keyword: {"values": len(values), "lowest": values[0], "highest": values[-1]}
        for keyword, values in differing.items()
    }
    return [volume_finding(volume, "MRS-002", Severity.INFO, message, **evidence)]
