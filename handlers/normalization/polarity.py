"""MONOCHROME1 to MONOCHROME2 for projection images, so that high values are bright."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from handlers import attributes
from handlers.model import AppliedStep, Finding, Frame, Scope, Severity, Volume
from handlers.normalization.decoded import values_of
from handlers.normalization.pixel_layout import pixel_layout
from handlers.normalization.value_mapping import value_mapping

PROJECTIONS = frozenset({"CR", "DX", "MG", "IO", "RF"})
INVERSE_OF = {
    "MONOCHROME1": "IDENTITY",
    "MONOCHROME2": "INVERSE",
}  # the shape that contradicts each; PS3.3 C.11.6


def set_polarity(volume: Volume) -> Volume:
    """Invert MONOCHROME1 projection images within the full range of their stored bits.

    v' = lowest + highest - v, where both are what the stored bits can map to: a constant of
    the detector, not of the image, so that images stay comparable. Padding keeps the
    background. In CT, PT, MR and all else MONOCHROME1 is a wish of the display; the numbers
    stay (POL-003).

    Source: PS3.3 C.7.6.3.1.2, C.11.6.
    """
    photometric = attributes.text(volume.frames[0], "PhotometricInterpretation")
    if not _is_projection(volume):
        found = (
            [_finding(volume, "POL-003", Severity.WARN, _NOT_INVERTED)]
            if photometric == "MONOCHROME1"
            else []
        )
        return replace(volume, findings=(*volume.findings, *found))
    findings = []
    shape = attributes.text(volume.frames[0], "PresentationLUTShape") or ""
    if shape and INVERSE_OF.get(photometric or "") == shape:
        message = (
            f"{photometric} contradicts PresentationLUTShape {shape}; PhotometricInterpretation was followed"
        )
        findings.append(_finding(volume, "POL-002", Severity.REVIEW, message))
    if photometric != "MONOCHROME1" or volume.values is None:
        return replace(volume, findings=(*volume.findings, *findings))
    findings.append(_finding(volume, "POL-001", Severity.INFO, "MONOCHROME1 was inverted to high = bright"))
    return _inverted(replace(volume, findings=(*volume.findings, *findings)))


def _inverted(volume: Volume) -> Volume:
    """Turn each frame over within what its stored bits can map to."""
    given = values_of(volume)
    values, limits = np.empty_like(given), []
    for index, frame in enumerate(volume.frames):
        low, high = value_mapping(frame).limits(pixel_layout(frame.instance))
        inverted = (low + high) - given[index].astype(np.float64)
        if volume.padding is not None:
            inverted[volume.padding[index]] = volume.background
        values[index] = inverted
        limits.append((low, high))
    step = AppliedStep("polarity", {"lowest": min(limits)[0], "highest": max(high for _, high in limits)})
    return replace(volume, values=values, polarity_inverted=True, steps=(*volume.steps, step))


_NOT_INVERTED = "MONOCHROME1 is only a display directive in this modality; values were not inverted"


def _is_projection(volume: Volume) -> bool:
    """Of XA only single images that are no subtraction count: only their values measure nothing."""
    if volume.modality in PROJECTIONS:
        return True
    frame: Frame = volume.frames[0]
    is_subtraction = attributes.has(frame, "MaskSubtractionSequence")
    return volume.modality == "XA" and len(volume.frames) == 1 and not is_subtraction


def _finding(volume: Volume, code: str, severity: Severity, message: str) -> Finding:
    evidence: dict[str, Any] = {
        keyword: attributes.text(volume.frames[0], keyword)
        for keyword in ("PhotometricInterpretation", "PresentationLUTShape", "PixelIntensityRelationshipSign")
        if attributes.has(volume.frames[0], keyword)
    }
    return Finding(code, severity, message, Scope.VOLUME, volume.name, evidence)
