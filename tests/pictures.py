"""Pictures whose content is known by construction: mammograms, radiographs, text, heads with a face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

AIR, FAT, MUSCLE = 100, 1500, 3000  # values as displayed, of 0 to 4095
ROWS, COLUMNS = 240, 180
MUSCLE_HEIGHT, MUSCLE_WIDTH = 140, 70  # of the pectoral triangle, in pixels
Picture = NDArray[np.int64]


def craniocaudal(*, muscle: bool = False) -> Picture:
    """A CC view with its chest wall at the left: half an ellipse that ends 30 rows from top and bottom.

    `muscle` puts an MLO's muscle, and the armpit around it, into the upper left corner.
    """
    i, j = np.indices((ROWS, COLUMNS))
    breast = np.hypot((i - ROWS / 2) / 90, j / 120) < 1
    return _with_muscle(breast) if muscle else np.where(breast, FAT, AIR)


def mediolateral_oblique(*, muscle: bool = True) -> Picture:
    """An MLO view with its chest wall at the left: the breast reaches the upper edge; the muscle is a triangle."""
    i, j = np.indices((ROWS, COLUMNS))
    breast = (np.hypot((i - 135) / 100, j / 110) < 1) | ((i < 120) & (j < 100 - i / 4))
    return _with_muscle(breast) if muscle else np.where(breast, FAT, AIR)


def _with_muscle(breast: NDArray[np.bool_]) -> Picture:
    i, j = np.indices(breast.shape)
    armpit = (i < MUSCLE_HEIGHT) & (j < 90 - i / 3)
    triangle = i / MUSCLE_HEIGHT + j / MUSCLE_WIDTH < 1
    return np.where(triangle, MUSCLE, np.where(breast | armpit, FAT, AIR))


def hand() -> Picture:
    """A radiograph of something irregular in the middle, five fingers of bone in soft tissue, in dark air."""
    picture = np.full((ROWS, COLUMNS), AIR, np.int64)
    picture[120:200, 50:130] = FAT
    for finger in range(5):
        left = 50 + 17 * finger
        picture[40 + 8 * abs(finger - 2) : 120, left : left + 12] = FAT
        picture[50 + 8 * abs(finger - 2) : 190, left + 4 : left + 8] = MUSCLE
    return picture


GLYPHS = {
    # rows of a 5 x 7 raster
    "S": ("01110", "10001", "10000", "01110", "00001", "10001", "01110"),
    "M": ("10001", "11011", "10101", "10101", "10001", "10001", "10001"),
    "I": ("00100", "00100", "00100", "00100", "00100", "00100", "00100"),
    "T": ("11111", "00100", "00100", "00100", "00100", "00100", "00100"),
    "H": ("10001", "10001", "10001", "11111", "10001", "10001", "10001"),
    "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
    "C": ("01110", "10001", "10000", "10000", "10000", "10001", "01110"),
}


def write_text(picture: Picture, text: str, *, top: int, left: int, value: int, scale: int = 2) -> None:
    """Burn text into a picture: glyphs of 7 * scale by 5 * scale pixels, one raster column apart."""
    for number, letter in enumerate(text):
        raster = np.array([[int(bit) for bit in row] for row in GLYPHS[letter]], bool)
        glyph = np.kron(raster, np.ones((scale, scale), bool))
        column = left + number * 6 * scale
        picture[top : top + glyph.shape[0], column : column + glyph.shape[1]][glyph] = value


def head(
    *, spacing_mm: float = 2.0, inside: float = 40.0, outside: float = -1000.0, nose: bool = True
) -> NDArray[np.int16]:
    """A head as (from bottom to top, from front to back, from right to left), 200 x 240 x 200 mm.

    An ellipsoid with half axes of 75 (across), 95 (along) and 110 mm (up), 20 mm of air in front. The nose is
    a ridge, 24 mm wide and 36 mm high, that stands about 18 mm out of the face.
    """
    size = [round(length / spacing_mm) for length in (200, 240, 200)]
    z, y, x = (
        (index + 0.5) * spacing_mm - length / 2
        for index, length in zip(np.indices(size), (200, 240, 200), strict=True)
    )
    y = y - 5.0  # the face lies 30 mm from the front edge
    skull = (x / 75) ** 2 + (y / 95) ** 2 + (z / 110) ** 2 < 1
    ridge = (np.abs(x) < 12) & (np.abs(z + 20) < 18) & (y > -112) & (y < 0)
    return np.where(skull | (ridge & nose), inside, outside).astype(np.int16)
