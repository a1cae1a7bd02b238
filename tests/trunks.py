"""A trunk of known Hounsfield units: body, lungs or fat, spine, aorta; made as arrays in LPS order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FIELD_MM, PIXEL_MM = 400.0, 2.0
SPINE_MM = (0.0, 45.0)  # left, back, from the middle of the field
AORTA_MM = (14.0, 8.0)  # 39 mm from the spine: left of and before it


def trunk(
    *, aorta_hu: float | None = 40.0, slices: int = 40, slice_mm: float = 2.5, noise_hu: float = 12.0,
    organ_hu: float = 55.0, half_axes_mm: tuple[float, float] = (160.0, 110.0), radius_mm: float = 12.0,
    length: int | None = None, sigma_hu: float = 0.0,
) -> NDArray[np.int16]:  # fmt: skip
    """Return (slices, rows, columns) in HU: an ellipse of fat with a ring of muscle, an organ, a spine, an aorta.

    `aorta_hu` None leaves the aorta out; `length` is the number of slices that have one; `sigma_hu` adds texture
    to its inside.
    """
    size = round(FIELD_MM / PIXEL_MM)
    axis = (np.arange(size) - (size - 1) / 2) * PIXEL_MM
    left, back = axis[None, :], axis[:, None]
    outer = (left / half_axes_mm[0]) ** 2 + (back / half_axes_mm[1]) ** 2
    plane = np.where(outer < 1, np.where(outer < 0.85, -100.0, 55.0), -1000.0)
    organ = ((left + 80) / 55) ** 2 + ((back + 20) / 60) ** 2 < 1  # on the right, as the liver
    plane[organ] = organ_hu
    plane[np.hypot(left - SPINE_MM[0], back - SPINE_MM[1] + 8) < 20] = 250.0  # vertebral body
    plane[(np.abs(left) < 8) & (np.abs(back - SPINE_MM[1] - 25) < 14)] = 350.0  # spinous process
    noise = np.random.default_rng(5)
    made = np.repeat(plane[None], slices, 0)
    inside = np.hypot(left - AORTA_MM[0], back - AORTA_MM[1]) < radius_mm
    for index in range(0 if aorta_hu is None else slices if length is None else length):
        made[index][inside] = aorta_hu + sigma_hu * noise.normal(size=int(inside.sum()))
    made = np.where(made > -900, made + noise_hu * noise.normal(size=made.shape), made)
    return np.rint(made).astype(np.int16)


def ct(values: NDArray[Any], *, slice_mm: float = 2.5, pixel_mm: float = PIXEL_MM, **attributes: Any) -> Any:
    """Return these values as a decoded CT volume of `triage_cases`."""
    from triage_cases import volume

    return volume(
        "CT", slices=len(values), step=(0.0, 0.0, slice_mm), values=values, units="[hnsf'U]",
        PixelSpacing=[pixel_mm, pixel_mm], **attributes,
    )  # fmt: skip
