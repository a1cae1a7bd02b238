"""Recognise slices that were tiled into one large image: Siemens mosaic and UIH grid.

Position and matrix of such an image are those of the sheet, not of a slice; see `handlers.sheets`.
"""

from __future__ import annotations

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.model import Frame

MOSAIC, GRID = "SPL-007", "SPL-008"
SIEMENS, SIEMENS_GROUP, IMAGES_IN_MOSAIC = "SIEMENS MR HEADER", 0x0019, 0x0A
UIH, UIH_GROUP, IMAGES_IN_GRID = "Image Private Header", 0x0065, 0x50


def tiled_code(frame: Frame) -> str:
    """Return the finding code of a tiled image, SPL-007 or SPL-008; "" for any other."""
    kinds = _kinds(frame)
    if "MOSAIC" in kinds or _has_private(frame, SIEMENS_GROUP, SIEMENS, IMAGES_IN_MOSAIC):
        return MOSAIC
    if "VFRAME" in kinds or _has_private(frame, UIH_GROUP, UIH, IMAGES_IN_GRID):
        return GRID
    return ""


def _kinds(frame: Frame) -> tuple[str, ...]:
    try:
        return attributes.image_type(frame)
    except MalformedAttributeError:
        return ()


def _has_private(frame: Frame, group: int, creator: str, offset: int) -> bool:
    try:
        return bool(attributes.private(frame, group, creator, offset))
    except MalformedAttributeError:
        return False
