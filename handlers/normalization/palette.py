"""Palette colour: indices looked up as red, green and blue."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_color_lut

from handlers.errors import PixelDataError
from handlers.model import Instance

HIGH_BYTE = 8  # bits by which an entry of 16 bits is more than one of 8


def through_palette(indices: NDArray[Any], instance: Instance) -> NDArray[np.uint8]:
    """Return the colours of indices (rows, columns) as uint8 (rows, columns, 3); of 16 bits the upper 8.

    Raises:
        PixelDataError: the palette is absent or damaged (PIX-006).

    Source: PS3.3 C.7.9, C.7.6.3.1.5 and C.7.6.3.1.6.
    """
    try:
        colours = apply_color_lut(indices, instance.header)
    except Exception as error:  # pydicom raises whatever the lookup tables made it raise
        reason = f"its palette cannot be applied ({error}); send it as RGB"
        raise PixelDataError(f"instance {instance.sop_instance_uid}: {reason}", code="PIX-006") from error
    if colours.dtype.itemsize > 1:
        colours = colours >> HIGH_BYTE
    rgb: NDArray[np.uint8] = colours[..., :3].astype(np.uint8)
    return rgb
