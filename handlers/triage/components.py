"""Connected things in a picture: where they lie and how large they are."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Component:
    """One connected thing: its box in rows and columns of the picture, and the number of its pixels."""

    top: int
    left: int
    rows: int
    columns: int
    pixels: int

    @property
    def centre(self) -> tuple[int, int]:
        """Row and column in the middle of its box."""
        return self.top + self.rows // 2, self.left + self.columns // 2

    @property
    def fill(self) -> float:
        """Share of its box that it covers."""
        return self.pixels / (self.rows * self.columns)


def components(mask: NDArray[np.bool_]) -> list[Component]:
    """Return what hangs together in the mask (rows, columns), by edges or corners, the largest first."""
    if not mask.any():  # SimpleITK crashes on a mask with an edge of no pixels
        return []
    sitk: Any = import_module("SimpleITK")  # large, and needed only when there is something to look at

    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.Execute(sitk.ConnectedComponent(image, True))
    found = []
    for label in shapes.GetLabels():
        left, top, columns, rows = shapes.GetBoundingBox(label)
        found.append(Component(top, left, rows, columns, shapes.GetNumberOfPixels(label)))
    return sorted(found, key=lambda each: (-each.pixels, each.top, each.left))
