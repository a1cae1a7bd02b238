"""Recognise slices that were tiled into one large image: Siemens mosaic and UIH grid.

Position and matrix of such an image are those of the sheet, not of a slice. Taking it apart
needs private data that is not always there, so it is recognised and held.
"""

from __future__ import annotations

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.model import Frame

MOSAIC, GRID = "SPL-007", "SPL-008"


def tiled_code(frame: Frame) -> str:
    """Return the finding code of a tiled image, SPL-007 or SPL-008; "" for any other."""
    kinds = _kinds(frame)
    if "MOSAIC" in kinds or _has_private(frame, 0x0019, "SIEMENS MR HEADER", 0x0A):
        return MOSAIC  # element 0A is NumberOfImagesInMosaic
    if "VFRAME" in kinds or _has_private(frame, 0x0065, "Image Private Header", 0x50):
        return GRID  # element 50 is UIH's sequence of the slices in the sheet
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
