"""Text in the picture, as far as the pixels tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.api import needs_values
from handlers.model import Finding, Series, Severity, Volume
from handlers.tables import table
from handlers.triage import header
from handlers.triage.components import Component, components
from handlers.triage.targets import volume_finding


@needs_values
def burned_in_text(series: Series) -> list[Finding]:
    """Find what looks like text near a border: glyphs as bright as it gets, in one line (DEI-BIA-002).

    Text is lit to the top of the range, at the same place in nearly all frames, in pieces of the size of
    letters that stand beside each other. A marker of the radiographer looks the same. It is a hint, not a
    reading: nothing found is no proof that there is none.
    """
    found = []
    limits = table("privacy")["text"]
    for volume in series.volumes:
        lit = _lit(volume, limits)
        line = None if lit is None else _longest_line(lit, limits)
        if line is not None:
            evidence = {
                "glyphs": len(line),
                "rows": [min(each.top for each in line), max(each.top + each.rows for each in line)],
                "columns": [line[0].left, max(each.left + each.columns for each in line)],
                "BurnedInAnnotation": header.text(volume.frames[0], "BurnedInAnnotation"),
                "table_version": table("privacy")["version"],
            }
            message = f"{len(line)} shapes in a line near the border look like text"
            found.append(volume_finding(volume, "DEI-BIA-002", Severity.WARN, message, **evidence))
    return found


def _lit(volume: Volume, limits: Mapping[str, Any]) -> NDArray[np.bool_] | None:
    """Return where (nearly) all frames are lit, None when of the border nothing or too much is."""
    values = volume.values
    if values is None or not values.size:
        return None
    picked = np.unique(np.linspace(0, len(values) - 1, limits["frames"]).astype(int))
    border = _border(values.shape[1:3], limits["border"])
    low, high = (volume.measured.get(key) for key in ("min", "max"))  # saves two passes over a large stack
    if low is None or high is None:
        low, high = float(values.min()), float(values.max())
    if not high > low:
        return None
    counts = np.zeros(values.shape[1:3], np.int32)
    for index in picked:
        lit = values[index] >= low + limits["brightness"] * (high - low)
        lit = lit.any(axis=2) if lit.ndim == 3 else lit  # text may have any colour
        if volume.padding is not None:
            lit &= ~volume.padding[index]
        counts += lit
    always = counts >= limits["same_frames"] * len(picked)
    n_lit = int(np.count_nonzero(always & border))
    return always if 0 < n_lit <= limits["max_lit"] * int(np.count_nonzero(border)) else None


def _border(shape: tuple[int, ...], share: float) -> NDArray[np.bool_]:
    border = np.ones(shape, np.bool_)
    rows, columns = (max(1, round(share * size)) for size in shape)
    border[rows:-rows, columns:-columns] = False
    return border


def _longest_line(lit: NDArray[np.bool_], limits: Mapping[str, Any]) -> list[Component] | None:
    """Return the glyphs of the longest line, from left to right; None when there is no line."""
    found = components(lit)
    if len(found) > limits["max_components"]:
        return None
    border = _border(lit.shape, limits["border"])
    glyphs = sorted(
        (each for each in found if border[each.centre] and _is_glyph(each, limits)),
        key=lambda each: (each.left, each.top),
    )
    lines = (_line_from(index, glyphs, limits) for index in range(len(glyphs)))
    longest = max(lines, key=len, default=[])
    # Alike all along, they are the marks of a ruler.
    kinds = {(each.rows, each.columns, each.pixels) for each in longest}
    return longest if len(longest) >= limits["min_glyphs"] and len(kinds) > 1 else None


def _is_glyph(thing: Component, limits: Mapping[str, Any]) -> bool:
    low, high = limits["glyph_px"]
    narrow, wide = limits["glyph_width_px"]
    is_stroke = thing.columns <= thing.rows / 2  # "l", "1" and "|" fill their box
    return (
        low <= thing.rows <= high
        and narrow <= thing.columns <= wide
        and (is_stroke or thing.fill <= limits["max_fill"])
    )


def _line_from(start: int, glyphs: list[Component], limits: Mapping[str, Any]) -> list[Component]:
    """Follow a line to the right, from the glyph of this index."""
    line = [glyphs[start]]
    for each in glyphs[start + 1 :]:
        last, tallest = line[-1], max(glyph.rows for glyph in line)
        gap = each.left - (last.left + last.columns)
        if gap > limits["max_gap"] * tallest:
            break
        shortest = min(each.rows, *(glyph.rows for glyph in line))
        offset = abs((each.top + each.rows / 2) - (last.top + last.rows / 2))
        is_alike = max(each.rows, tallest) <= limits["height_ratio"] * shortest
        if gap >= 0 and is_alike and offset <= tallest / 2:
            line.append(each)
    return line
