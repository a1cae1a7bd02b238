"""A picture of a volume for a person: three planes side by side in true proportion, as PNG."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from handlers.api import per_volume
from handlers.model import Outcome, Product, Verdict, Volume
from handlers.outputs.planes import GreyScale, Plane, planes

HEIGHT = 360  # pixels of the tallest of three planes; they then fit a page of 1200
MAX_WIDTH = 360  # pixels of the widest of three planes
SINGLE = 640  # pixels of the longer edge of a picture that stands alone
MIN_EDGE = 24  # pixels; a stack of few thin slices still shows
MIN_PANEL = 110  # pixels; room for a title
TITLE = 24
MARGIN = 26  # pixels around a picture, where the letters stand, off the anatomy
GAP = 6
FOOTER = 30
BACKGROUND = (0, 0, 0)
FRAME = (60, 60, 60)  # shows where the data ends and the page begins
INK = (235, 220, 130)  # the yellow of annotation on a workstation
QUIET_INK = (170, 170, 170)


@per_volume
def write(outcome: Outcome, folder: Path) -> list[Product]:
    """Write `v<k>.png` for every volume with values, also one that is held, so that a person can judge it."""
    products = []
    for volume, verdict in zip(outcome.volumes, outcome.volume_verdicts, strict=True):
        if verdict is Verdict.REJECT or volume.values is None or not volume.values.size:
            continue
        content = png(volume)
        name = Path(f"{volume.name}.png")
        (folder / name).write_bytes(content)
        checksum = hashlib.sha256(content).hexdigest()
        products.append(Product("preview", name, volume.index, sha256=checksum, size_bytes=len(content)))
    return products


def png(volume: Volume) -> bytes:
    """Draw the planes of a volume; the same values give the same bytes. No text of the header is drawn."""
    pictures, scale = planes(volume)
    mm_per_pixel = _scale_of_page(pictures)
    panels = [_panel(picture, mm_per_pixel) for picture in pictures]
    width = sum(panel.width for panel in panels) + GAP * (len(panels) - 1)
    height = max(panel.height for panel in panels)
    page = Image.new("RGB", (width, TITLE + height + FOOTER), BACKGROUND)
    draw = ImageDraw.Draw(page)
    left = 0
    for panel, picture in zip(panels, pictures, strict=True):
        page.paste(panel, (left, TITLE + (height - panel.height) // 2))
        middle = left + panel.width / 2
        draw.text((middle, TITLE / 2 + 2), picture.title, fill=QUIET_INK, font=_font(14), anchor="mm")
        left += panel.width + GAP
    _footer(page, volume, scale, mm_per_pixel)
    buffer = io.BytesIO()
    page.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def _scale_of_page(pictures: list[Plane]) -> float:
    """Return the mm of one page pixel, so that the largest picture fits; the same for all planes."""
    widest, tallest = (MAX_WIDTH, HEIGHT) if len(pictures) > 1 else (SINGLE, SINGLE)
    extents = [(p.pixels.shape[1] * p.pixel_mm[0], p.pixels.shape[0] * p.pixel_mm[1]) for p in pictures]
    return float(max(max(width / widest, height / tallest) for width, height in extents))


def _panel(picture: Plane, mm_per_pixel: float) -> Image.Image:
    """Scale a picture to the page and put the letters of the patient's directions around it."""
    across, down = (
        picture.pixels.shape[1] * picture.pixel_mm[0],
        picture.pixels.shape[0] * picture.pixel_mm[1],
    )
    size = (max(MIN_EDGE, round(across / mm_per_pixel)), max(MIN_EDGE, round(down / mm_per_pixel)))
    image = Image.fromarray(np.ascontiguousarray(picture.pixels)).convert("RGB")
    image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    panel = Image.new("RGB", (max(MIN_PANEL, size[0] + 2 * MARGIN), size[1] + 2 * MARGIN), BACKGROUND)
    left = (panel.width - size[0]) // 2
    draw = ImageDraw.Draw(panel)
    draw.rectangle((left - 1, MARGIN - 1, left + size[0], MARGIN + size[1]), outline=FRAME)
    panel.paste(image, (left, MARGIN))
    if picture.letters:
        middle_x, middle_y = panel.width / 2, panel.height / 2
        places = (
            (left - MARGIN / 2, middle_y),
            (left + size[0] + MARGIN / 2, middle_y),
            (middle_x, MARGIN / 2),
            (middle_x, panel.height - MARGIN / 2),
        )
        for place, letter in zip(places, picture.letters, strict=True):
            draw.text(place, letter, fill=INK, font=_font(16), anchor="mm")
    return panel


def _footer(page: Image.Image, volume: Volume, scale: GreyScale, mm_per_pixel: float) -> None:
    """Write the grey scale to the left, and a bar of known length to the right where spacing is known."""
    draw = ImageDraw.Draw(page)
    y = page.height - FOOTER / 2 - 3
    colour = volume.values is not None and volume.values.ndim == 4
    draw.text((MARGIN, y), "colour" if colour else scale.label, fill=QUIET_INK, font=_font(13), anchor="lm")
    if volume.affine is None and volume.geometry is None and volume.spacing_mm[0] is None:
        return
    length_mm = next((mm for mm in (100, 50, 20, 10, 5, 2, 1) if mm / mm_per_pixel <= page.width / 4), 1)
    length = length_mm / mm_per_pixel
    right = page.width - MARGIN
    draw.line((right - length, y + 6, right, y + 6), fill=INK, width=2)
    draw.text((right - length - 8, y), f"{length_mm} mm", fill=INK, font=_font(13), anchor="rm")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
