"""Which scales MR values have beside the displayed one: real-world value maps, and that of Philips.

Stored values SV become displayed values DV = SV * RescaleSlope + RescaleIntercept. A real-world value map
gives WV = SV * RealWorldValueSlope + RealWorldValueIntercept, or a table. Philips keeps the scale of its
reconstruction: FP = DV / (RescaleSlope * scale slope), comparable between scans of one protocol.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.model import Frame

PHILIPS_CREATOR = "Philips MR Imaging DD 001"
PHILIPS_FRAME_CREATOR = "Philips MR Imaging DD 005"
# Codes for "no units"; such a map repeats the displayed scale. In braces UCUM holds annotations, not units.
NO_UNITS = frozenset({"", "1", "no units", "unity"})


@dataclass(frozen=True, slots=True)
class RealWorldMap:
    """One item of the Real World Value Mapping Sequence: a line or a table over a range of stored values.

    `first` and `last` are the stored values that it covers, -inf and inf where it does not say. `table` is
    empty for a line. `units` is a UCUM code, "" where the units are of another scheme or none.
    """

    first: float
    last: float
    slope: float
    intercept: float
    table: tuple[float, ...]
    units: str

    @property
    def has_real_units(self) -> bool:
        """Say whether the values mean something outside of this scanner."""
        is_annotation = self.units.startswith("{") and self.units.endswith("}")
        return self.units.lower() not in NO_UNITS and not is_annotation

    @property
    def record(self) -> Mapping[str, Any]:
        """The map as plain values, for sidecar and evidence."""
        bounds = [each if math.isfinite(each) else None for each in (self.first, self.last)]
        line = {"slope": self.slope, "intercept": self.intercept}
        values = {"entries": len(self.table)} if self.table else line
        return {"first": bounds[0], "last": bounds[1], "units": self.units, **values}


@dataclass(frozen=True, slots=True)
class PhilipsScale:
    """The private scale of a Philips image: slope SS and intercept SI, (2005,xx0E) and (2005,xx0D)."""

    slope: float
    intercept: float


def real_world_maps(frame: Frame) -> tuple[RealWorldMap, ...]:
    """Return the usable real-world value maps of a frame, in their order.

    Source: PS3.3 C.7.6.16.2.11 (Real World Value Mapping Macro).
    """
    items = _known(attributes.items, frame, "RealWorldValueMappingSequence") or ()
    is_signed = _known(attributes.integer, frame, "PixelRepresentation") == 1
    found = (_map(item, is_signed=is_signed) for item in items)
    return tuple(each for each in found if each is not None)


def quantitative_maps(frame: Frame) -> tuple[RealWorldMap, ...]:
    """Return the maps to real units that belong together: of one unit, over ranges that do not meet."""
    real = [each for each in real_world_maps(frame) if each.has_real_units]
    chosen: list[RealWorldMap] = []
    for each in real:
        is_apart = all(each.last < other.first or other.last < each.first for other in chosen)
        if each.units == real[0].units and is_apart:
            chosen.append(each)
    return tuple(chosen)


def philips_scale(frame: Frame) -> PhilipsScale | None:
    """Return the scale of a Philips image, also from its private functional group; None without one."""
    sources: tuple[Frame | Dataset, ...] = (frame, *_philips_groups(frame))
    for source in sources:
        slope = _private_number(source, PHILIPS_CREATOR, 0x0E)
        if slope:
            return PhilipsScale(slope, _private_number(source, PHILIPS_CREATOR, 0x0D) or 0.0)
    return None


def quantitative_kind(frames: Sequence[Frame]) -> str:
    """Return what quantitative values rest on: "real-world", "floating-point" (Philips), or "" for nothing.

    All frames of a volume must have it, and the maps the same units.
    """
    units = {maps[0].units if (maps := quantitative_maps(frame)) else "" for frame in frames}
    if len(units) == 1 and units != {""}:
        return "real-world"
    return "floating-point" if all(philips_scale(frame) is not None for frame in frames) else ""


def scales(frame: Frame) -> dict[str, Any]:
    """Return every scale that a frame states, with its constants, for sidecar and evidence."""
    found: dict[str, Any] = {}
    slope, intercept = (_known(attributes.number, frame, k) for k in ("RescaleSlope", "RescaleIntercept"))
    if slope is not None or intercept is not None:
        found["rescale"] = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    if _known(attributes.items, frame, "ModalityLUTSequence"):
        found["modality_lut"] = True
    if maps := real_world_maps(frame):
        found["real_world"] = [dict(each.record) for each in maps]
    if (philips := philips_scale(frame)) is not None:
        found["philips"] = {"scale_slope": philips.slope, "scale_intercept": philips.intercept}
    return found


def _map(item: Dataset, *, is_signed: bool) -> RealWorldMap | None:
    numbers = {
        name: _first_number(item, *keywords)
        for name, keywords in {
            "first": ("RealWorldValueFirstValueMapped", "DoubleFloatRealWorldValueFirstValueMapped"),
            "last": ("RealWorldValueLastValueMapped", "DoubleFloatRealWorldValueLastValueMapped"),
            "slope": ("RealWorldValueSlope",),
            "intercept": ("RealWorldValueIntercept",),
        }.items()
    }
    first, last = (_as_stored(numbers[name], is_signed=is_signed) for name in ("first", "last"))
    table = _known(attributes.numbers, item, "RealWorldValueLUTData") or ()
    if table:
        if first is None or last is None or last - first + 1 != len(table):
            return None
        return RealWorldMap(first, last, 1.0, 0.0, tuple(table), _units(item))
    slope, intercept = numbers["slope"], numbers["intercept"]
    if not slope or intercept is None:
        return None
    low, high = (-math.inf if first is None else first), (math.inf if last is None else last)
    return RealWorldMap(low, high, slope, intercept, (), _units(item)) if low <= high else None


def _as_stored(value: float | None, *, is_signed: bool) -> float | None:
    """Read a bound as the pixels are signed: its own VR (US or SS) is often the wrong one of the two."""
    if value is None or value != int(value) or not -(1 << 15) <= value < 1 << 16:
        return value
    if is_signed:
        return value - (1 << 16) if value >= 1 << 15 else value
    return value % (1 << 16)


def _units(item: Dataset) -> str:
    codes = _known(attributes.items, item, "MeasurementUnitsCodeSequence") or ()
    scheme, code = (
        (_known(attributes.text, codes[0], k) or "") if codes else ""
        for k in ("CodingSchemeDesignator", "CodeValue")
    )
    return code if scheme.upper() == "UCUM" else ""


def _philips_groups(frame: Frame) -> list[Dataset]:
    """Return the private items of Philips in the functional groups of a frame: its own, then the shared."""
    found = []
    for keyword, index in (
        ("PerFrameFunctionalGroupsSequence", frame.number - 1),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        groups = _known(attributes.items, frame.instance, keyword) or ()
        if index < len(groups):
            group = groups[index]
            nested = _known(attributes.private, group, 0x2005, PHILIPS_FRAME_CREATOR, 0x0F)
            found += [each for each in nested or () if isinstance(each, Dataset)]
    return found


def _private_number(source: Frame | Dataset, creator: str, offset: int) -> float | None:
    found = _known(attributes.private_numbers, source, 0x2005, creator, offset)
    return found[0] if found else None


def _first_number(item: Dataset, *keywords: str) -> float | None:
    found = (_known(attributes.number, item, k) for k in keywords)
    return next((float(each) for each in found if each is not None), None)


def _known(read: Callable[..., Any], *what: Any) -> Any:
    """Read an attribute; what is malformed counts as not there."""
    try:
        return read(*what)
    except MalformedAttributeError:
        return None
