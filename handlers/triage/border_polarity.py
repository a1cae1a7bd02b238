"""Whether the air around the patient is dark, as it must be where high values are bright."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.api import needs_values
from handlers.breast_views import presentation_intent
from handlers.model import Finding, Series, Severity
from handlers.tables import table
from handlers.triage import header
from handlers.triage.components import components
from handlers.triage.reduced_picture import reduced_picture
from handlers.triage.targets import measured, volume_finding

# Fluoroscopy and angiography show bone and contrast medium dark by custom: their border proves nothing.
RADIOGRAPHS = ("CR", "DX", "MG", "IO", "PX", "RG")


@needs_values
def border_polarity(series: Series) -> list[Finding]:
    """Find radiographs whose border is as bright as it gets, around something darker (POL-004).

    What lies beside the patient was hit by the whole beam and must be dark. Nothing is said when the darker
    part is a rectangle, since then the bright part is what the collimator covered; nor of raw images
    (for processing), which are not meant to look like anything. Source: PS3.3 C.7.6.3.1.2, C.8.11.3.1.2.
    """
    found = []
    for volume in measured(series, *RADIOGRAPHS):
        picture = reduced_picture(volume)
        if picture is None or presentation_intent(volume.frames[0]) == "FOR PROCESSING":
            continue
        seen = _bright_border(picture, "_breast" if volume.modality == "MG" else "")
        if seen is not None:
            evidence: dict[str, Any] = {
                keyword: header.text(volume.frames[0], keyword)
                for keyword in (
                    "PhotometricInterpretation", "PresentationLUTShape", "PixelIntensityRelationship",
                    "PixelIntensityRelationshipSign",
                )
            }  # fmt: skip
            evidence |= {**seen, "was_inverted": volume.polarity_inverted}
            message = f"{seen['bright_border']:.0%} of the border, which should be air, is bright"
            found.append(volume_finding(volume, "POL-004", Severity.REVIEW, message, **evidence))
    return found


def _bright_border(picture: NDArray[np.float64], kind: str) -> dict[str, float] | None:
    """Return what contradicts the polarity, None when nothing does or it is not clear."""
    limits = table("projections")["polarity"]
    rows, columns = picture.shape
    width = max(1, round(limits["border"] * min(rows, columns)))
    ring = np.ones(picture.shape, np.bool_)
    ring[width:-width, width:-width] = False
    bright = picture >= limits["bright"]
    bright_border = float(bright[ring].mean())
    centre = picture[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]
    dark_centre = float((centre <= limits["dark"]).mean())
    if bright_border < limits[f"min_bright_border{kind}"] or dark_centre < limits["min_dark_centre"]:
        return None
    largest = components(~bright)[0]
    if largest.fill >= limits["collimated"]:
        return None
    return {"bright_border": round(bright_border, 3), "dark_centre": round(dark_centre, 3)}
