"""Crop ultrasound to its B-mode region: pixels of one known size, without the text around them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

from handlers import attributes
from handlers.errors import VolumeError
from handlers.model import AppliedStep, Frame, Volume
from handlers.normalization.decoded import values_of
from handlers.pixel_scale import ULTRASOUND, region_spacing, two_dimensional_regions

TISSUE = 1  # RegionDataType; PS3.3 C.8.5.5.1.2
CORNERS = ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class CropToRegion:
    """Keep the largest tissue region of an ultrasound image, when `is_wanted`; other modalities stay whole.

    The spacing becomes that of the region. Several regions of tissue (two views side by side) are no error:
    the step notes how many there were.

    Raises:
        VolumeError: the image has no such region, so that it cannot be cropped (USX-003).

    Source: PS3.3 C.8.5.5.1.
    """

    is_wanted: bool = False

    def __call__(self, volume: Volume) -> Volume:
        """Crop values and masks, shape (slices, rows, columns)."""
        if not self.is_wanted or volume.modality not in ULTRASOUND or volume.geometry is not None:
            return volume
        values = values_of(volume)
        regions = _tissue_regions(volume.frames[0], values.shape[1], values.shape[2])
        if not regions:
            message = f"volume {volume.name} has no two-dimensional tissue region to crop to"
            raise VolumeError(message, code="USX-003")
        region, (left, top, right, bottom) = max(regions, key=lambda each: _area(each[1]))
        kept = (slice(None), slice(top, bottom + 1), slice(left, right + 1))
        column_mm, row_mm = region_spacing(region) or (None, None)
        parameters = {"columns": [left, right], "rows": [top, bottom], "regions": len(regions)}
        return replace(
            volume,
            values=values[kept],
            padding=None if volume.padding is None else volume.padding[kept],
            interpolated=None if volume.interpolated is None else volume.interpolated[kept],
            spacing_mm=(column_mm, row_mm, None),
            steps=(*volume.steps, AppliedStep("crop_region", parameters)),
        )


def _tissue_regions(frame: Frame, rows: int, columns: int) -> list[tuple[Dataset, Box]]:
    """Return the regions of tissue that lie in the image, with (left, top, right, bottom), both included."""
    found = []
    for region in two_dimensional_regions(frame):
        corners = [attributes.integer(region, keyword) for keyword in CORNERS]
        if attributes.integer(region, "RegionDataType") != TISSUE or None in corners:
            continue
        left, top, right, bottom = (corner or 0 for corner in corners)
        box = (max(left, 0), max(top, 0), min(right, columns - 1), min(bottom, rows - 1))
        if box[2] > box[0] and box[3] > box[1]:
            found.append((region, box))
    return found


def _area(box: Box) -> int:
    left, top, right, bottom = box
    return (right - left + 1) * (bottom - top + 1)
