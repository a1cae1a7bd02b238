"""Bolus tracking: one slice repeated to watch the contrast medium arrive."""

from __future__ import annotations

from handlers.model import Finding, Series, Severity, Volume
from handlers.tables import table
from handlers.triage import header
from handlers.triage.targets import measured, volume_finding
from handlers.triage.words import first

MAX_POSITIONS = 4  # a bolus-tracked angiography bears the same words, and has hundreds


def bolus_tracking(series: Series) -> list[Finding]:
    """Find bolus-tracking images in CT and MR: the words, and no more than a few positions (TRI-DER-005).

    Siemens marks them CT_SOM5 MON in ImageType, GE writes SMART PREP SERIES as the agent.
    The acquisition time is kept as evidence.
    """
    candidates = [volume for volume in measured(series, "CT", "MR") if _sign(volume)]
    positions = {
        position
        for volume in candidates
        for frame in volume.frames
        if (position := header.texts(frame, "ImagePositionPatient"))
    }
    if len(positions) > MAX_POSITIONS:
        return []
    return [
        volume_finding(
            volume,
            "TRI-DER-005",
            Severity.ERROR,
            f"bolus tracking ({_sign(volume)}), {len(volume.frames)} images",
            sign=_sign(volume),
            images=len(volume.frames),
            positions=len(positions),
            AcquisitionTime=header.distinct(volume.frames[:1], "AcquisitionTime"),
        )
        for volume in candidates
    ]


def _sign(volume: Volume) -> str:
    for value in sorted(header.image_types_of(volume.frames[:1])):
        if value.endswith((" MON", " PREMON")):
            return value
    listed = table("phases")["bolus_tracking"]["words"]
    texts = (header.text(volume.frames[0], each) for each in ("SeriesDescription", "ContrastBolusAgent"))
    return next((found for text in texts if (found := first(text, listed))), "")  # GE names it as the agent
