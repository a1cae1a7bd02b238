"""Stored values to modality units, frame by frame: HU, Bq/ml, MR as displayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers import attributes
from handlers.errors import VolumeError
from handlers.model import AppliedStep, Finding, Frame, Scope, Severity, Volume
from handlers.normalization.decoded import is_colour, values_of
from handlers.normalization.quantitative import RealWorldMapping, quantitative_mappings
from handlers.normalization.value_mapping import LookUpTable, Rescale, value_mapping
from handlers.tables import table
from handlers.value_scales import philips_scale, scales

INT16 = np.iinfo(np.int16)
HOUNSFIELD, ARBITRARY = "[hnsf'U]", "1"
AIR_HU: float = table("hounsfield")["padding"]["background_hu"]
PET_UNITS = {
    "BQML": "Bq/ml",
    "CNTS": "{counts}",
    "CPS": "{counts}/s",
    "GML": "g/ml",
    "CM2ML": "cm2/ml",
    "KBQML": "kBq/ml",
}  # PS3.3 C.8.9.1
RESCALE_TYPE_UNITS = {
    "HU": HOUNSFIELD,
    "MGML": "mg/ml",
    "PCT": "%",
}  # PS3.3 C.11.1.1.2; all others are arbitrary
# Where both slope and intercept are required, their absence means that the values are not what they seem.
ABSENCE = {"CT": Severity.ERROR, "PT": Severity.REVIEW}


Mapping = Rescale | LookUpTable | RealWorldMapping


@dataclass(frozen=True, slots=True)
class ModalityTransform:
    """Map stored values to modality units; see `apply_modality_transform`.

    `mr_values`: "displayed", or "quantitative" for MR whose header defines a scale beyond this scanner.
    """

    mr_values: str = "displayed"

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume in modality units.

        Raises:
            VolumeError: see `apply_modality_transform`.
        """
        return apply_modality_transform(volume, mr_values=self.mr_values)


def apply_modality_transform(volume: Volume, *, mr_values: str = "displayed") -> Volume:
    """Map stored values to modality units; padding becomes the background. Colour has no units and stays.

    Slope and intercept are those of each frame. The result is int16 when every slope is 1,
    every intercept whole and every value fits, otherwise float32 (computed in float64).

    Raises:
        VolumeError: a slope is 0 or no number (HU-001, RSC-003); a real-world value map does not cover a
            value (RSC-003); the volume has no stored values.

    Source: PS3.3 C.11.1, C.7.6.16.2.9; float32 holds whole numbers up to 2^24.
    """
    if is_colour(volume):
        return volume
    is_quantitative = volume.modality == "MR" and mr_values == "quantitative"
    found = quantitative_mappings(volume.frames) if is_quantitative else None
    if found is None:
        mappings: tuple[Mapping, ...] = tuple(value_mapping(frame) for frame in volume.frames)
        kind, units = "displayed", units_of(volume.modality, volume.frames[0])
    else:
        kind, units, mappings = found
    background = AIR_HU if units == HOUNSFIELD else 0.0
    values = _as_int16(volume, mappings, background)
    if values is None:
        values = _as_float32(volume, mappings, background)
    parameters = {
        "units": units,
        "background": background,
        "dtype": str(values.dtype),
        **_constants(mappings),
        **(_mr_scales(volume.frames, kind) if volume.modality == "MR" else {}),
    }
    return replace(
        volume,
        values=values,
        units=units,
        background=background,
        steps=(*volume.steps, AppliedStep("modality_transform", parameters)),
        findings=(*volume.findings, *_absent_rescale(volume, mappings)),
    )


def units_of(modality: str, frame: Frame) -> str:
    """Return the UCUM units of one frame after its modality transformation.

    CT is in HU unless it is a localizer, spectral, or its RescaleType says otherwise.

    Source: PS3.3 C.8.2.1, C.8.9.1, C.11.1.1.2.
    """
    if modality == "PT":
        return PET_UNITS.get((attributes.text(frame, "Units") or "").upper(), ARBITRARY)
    if modality != "CT":
        return ARBITRARY
    rescale_type = (attributes.text(frame, "RescaleType") or "").upper()
    is_spectral = attributes.text(frame, "MultienergyCTAcquisition") == "YES"
    if "LOCALIZER" in attributes.image_type(frame) or (is_spectral and rescale_type in ("", "US")):
        return ARBITRARY
    return RESCALE_TYPE_UNITS.get(rescale_type, ARBITRARY) if rescale_type else HOUNSFIELD


def _as_int16(volume: Volume, mappings: Sequence[Mapping], background: float) -> NDArray[Any] | None:
    """Shift whole stored values into int16; None when they are not whole or do not fit."""
    stored = values_of(volume)
    if stored.dtype.kind not in "iu" or not all(mapping.is_whole for mapping in mappings):
        return None
    values = np.empty(stored.shape, np.int16)
    for index, mapping in enumerate(mappings):
        shift = int(mapping.intercept) if isinstance(mapping, Rescale) else 0
        if not _shift_into(values[index], stored[index], shift):
            wide = stored[index].astype(np.int64) + shift
            _fill_padding(volume, index, wide, background)
            if wide.min() < INT16.min or wide.max() > INT16.max:
                return None
            values[index] = wide
        _fill_padding(volume, index, values[index], background)
    return values


def _shift_into(out: NDArray[np.int16], stored: NDArray[Any], shift: int) -> bool:
    """Shift a frame within int16 where that is safe for every value, also of padding; say whether it was."""
    if stored.dtype != np.int16 or not INT16.min <= shift <= INT16.max:
        return False
    if int(stored.min()) + shift < INT16.min or int(stored.max()) + shift > INT16.max:
        return False
    np.add(stored, np.int16(shift), out=out)
    return True


def _as_float32(volume: Volume, mappings: Sequence[Mapping], background: float) -> NDArray[Any]:
    stored = values_of(volume)
    values = np.empty(stored.shape, np.float32)
    for index, mapping in enumerate(mappings):
        mapped = mapping(stored[index])
        _fill_padding(volume, index, mapped, background)
        with np.errstate(over="ignore"):
            values[index] = mapped
        if not np.isfinite(values[index]).all():
            where = f"instance {volume.frames[index].instance.sop_instance_uid}"
            why = "values are beyond what float32 holds; its rescale is not usable"
            if np.isnan(mapped).any():
                why = "its real-world value map does not cover all values; take the displayed ones"
            raise VolumeError(f"{where}: {why}", code="RSC-003")
    return values


def _fill_padding(volume: Volume, index: int, values: NDArray[Any], background: float) -> None:
    if volume.padding is not None:
        np.copyto(values, background, where=volume.padding[index], casting="unsafe")


def _mr_scales(frames: Sequence[Frame], kind: str) -> dict[str, Any]:
    """Return which MR values these are, and the constants of every scale that the header states."""
    philips = [philips_scale(frame) for frame in frames]
    told = scales(frames[0])
    told.pop("rescale", None)
    told.pop("modality_lut", None)
    if "philips" in told and len(set(philips)) > 1:
        told["philips"]["scale_slope"] = [None if each is None else each.slope for each in philips]
        told["philips"]["scale_intercept"] = [None if each is None else each.intercept for each in philips]
    return {"mr_values": kind, **({"scales": told} if told else {})}


def _constants(mappings: Sequence[Mapping]) -> dict[str, Any]:
    """Slope and intercept for the record: one number when constant, else one per frame."""
    if any(isinstance(mapping, RealWorldMapping) for mapping in mappings):
        return {"real_world_value_map": True}
    if not all(isinstance(mapping, Rescale) for mapping in mappings):
        return {"modality_lut": True}
    columns = {
        "RescaleSlope": [mapping.slope for mapping in mappings if isinstance(mapping, Rescale)],
        "RescaleIntercept": [mapping.intercept for mapping in mappings if isinstance(mapping, Rescale)],
    }
    return {name: column[0] if len(set(column)) == 1 else column for name, column in columns.items()}


def _absent_rescale(volume: Volume, mappings: Sequence[Mapping]) -> list[Finding]:
    missing: dict[tuple[str, ...], list[str]] = {}
    for frame, mapping in zip(volume.frames, mappings, strict=True):
        if isinstance(mapping, Rescale) and mapping.absent:
            missing.setdefault(mapping.absent, []).append(frame.instance.sop_instance_uid)
    result = []
    for absent, uids in sorted(missing.items()):
        names = " and ".join(absent)
        where = f"{len(uids)} of {len(mappings)} frames"
        evidence = {"absent": list(absent), "frames": len(uids), "SOPInstanceUID": sorted(set(uids))[:5]}
        if len(absent) == 1:
            code, severity = "RSC-001", Severity.WARN
            message = f"{names} is absent in {where}; {'1' if names == 'RescaleSlope' else '0'} was taken"
        else:
            code, severity = "RSC-002", ABSENCE.get(volume.modality, Severity.INFO)
            message = f"{names} are absent in {where}; stored values were taken as they are"
        result.append(Finding(code, severity, message, Scope.VOLUME, volume.name, evidence))
    return result
