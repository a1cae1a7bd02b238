"""The order of the steps: from the bytes of files to modality units, and on to the canonical volume."""

from __future__ import annotations

from collections.abc import Iterable

from handlers import api
from handlers.api import Recipe, Step
from handlers.model import Volume
from handlers.normalization.bias_field import correct_bias_field
from handlers.normalization.duplicates import drop_duplicates
from handlers.normalization.frequency import ScaleByFrequency
from handlers.normalization.gaps import RepairGaps, show_interpolated
from handlers.normalization.intensity import ScaleIntensity
from handlers.normalization.modality_transform import ModalityTransform
from handlers.normalization.orientation import Reorient
from handlers.normalization.padding import mark_declared_padding, mark_undeclared_padding
from handlers.normalization.placement import place_in_space
from handlers.normalization.polarity import set_polarity
from handlers.normalization.region import CropToRegion
from handlers.normalization.resampling import Resample
from handlers.normalization.statistics import measure_values
from handlers.normalization.stored_values import DecodeStoredValues
from handlers.normalization.tilt import CorrectTilt
from handlers.normalization.uptake_value import UptakeValue


def measure_steps(recipe: Recipe, processes: int = 1) -> tuple[Step, ...]:
    """Return the steps from files to modality units, or to those that the profile wants, in their order."""
    return (
        DecodeStoredValues(processes),
        mark_declared_padding,
        ModalityTransform(recipe.mr_values),
        UptakeValue(recipe.suv),
        set_polarity,
        mark_undeclared_padding,
        drop_duplicates,
        place_in_space,
        measure_values,
    )


def canonical_steps(recipe: Recipe) -> tuple[Step, ...]:
    """Return the steps from modality units to what the profile wants, in their order; plug-ins run last.

    Raises:
        PluginError: a step is named that no installed package offers.
    """
    return (
        CropToRegion(recipe.crop_region),
        RepairGaps(recipe.resample_variable),
        CorrectTilt(recipe.spacing_mm if recipe.interpolator == "linear" else None, recipe.orientation),
        Reorient(recipe.orientation),
        Resample(recipe.spacing_mm, recipe.interpolator),
        *((correct_bias_field,) if recipe.bias_field else ()),
        *((ScaleByFrequency(recipe.frequency_bins, recipe.models),) if recipe.frequency_bins else ()),
        ScaleIntensity(recipe.intensity, recipe.models, keep_units=recipe.keep_units),
        *(api.load("prepnode.steps", name) for name in recipe.steps),
        show_interpolated,
    )


def to_modality_units(volume: Volume, recipe: Recipe = Recipe(), processes: int = 1) -> Volume:  # noqa: B008 - frozen
    """Decode the frames of a volume and bring them to modality units (HU, Bq/ml, MR as displayed).

    A profile may want other units that the header defines: an uptake value of PET, quantitative MR.
    Compressed frames are decoded by so many `processes`.

    Fills values, padding, units, background, polarity, affine, spacing, measured; appends
    steps and findings.

    Raises:
        PixelDataError: the pixel data cannot be decoded (ING-004, PIX-001, PIX-006).
        VolumeError: there is no usable modality transformation (HU-001, RSC-003).
        MalformedAttributeError: an attribute that a step needs is no number.
    """
    return _run(measure_steps(recipe, processes), volume)


def to_canonical(volume: Volume, recipe: Recipe) -> Volume:
    """Bring a volume in modality units to the even, upright, oriented grid that the profile wants.

    Raises:
        VolumeError: a step cannot be done on this volume; its code says which.
        PluginError: the profile names a step that is not installed.
    """
    return _run(canonical_steps(recipe), volume)


def _run(steps: Iterable[Step], volume: Volume) -> Volume:
    for step in steps:
        volume = step(volume)
    return volume
