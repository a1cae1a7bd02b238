"""The standardized uptake value of a PET volume: the factor from its values, or what is missing for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset

from handlers import attributes
from handlers.body_size import DU_BOIS, JANMAHASATIAN, BodySize
from handlers.errors import MalformedAttributeError
from handlers.model import Frame
from handlers.tables import table
from handlers.uptake_times import Decay, decay

KINDS = ("bw", "lbm", "bsa")
UNITS = {"bw": "g/ml{SUVbw}", "lbm": "g/ml{SUVlbm(Janma)}", "bsa": "cm2/ml{SUVbsa}"}  # PS3.16 CID 85
FORMULAS = {"bw": "body weight", "lbm": JANMAHASATIAN, "bsa": DU_BOIS}
# SUVType (0054,1006) -> kind; LBM without a formula, and ideal body weight, cannot be converted.
SUV_TYPES = {"": "bw", "BW": "bw", "LBMJANMA": "lbm", "BSA": "bsa"}
NO_ACTIVITY = "Units BQML"  # what is missing where the values are no activity and no uptake value
PHILIPS = "Philips PET Private Group"
AT_SCAN, AT_INJECTION = "START", "ADMIN"  # DecayCorrection (0054,1102)


@dataclass(frozen=True, slots=True)
class Uptake:
    """`factor` times the value in modality units is the uptake value of this kind, in `units`.

    `factor` is None where it cannot be computed; `missing` then names why. `route` says what it rests on,
    `decay` which times. `body` is the patient's size.
    """

    kind: str
    factor: float | None = None
    missing: tuple[str, ...] = ()
    route: str = ""
    decay: Decay | None = None
    body: BodySize = field(default_factory=lambda: BodySize(None))
    half_life_s: float | None = None

    @property
    def units(self) -> str:
        """UCUM units of the uptake value."""
        return UNITS[self.kind]

    @property
    def record(self) -> Mapping[str, Any]:
        """What the factor rests on, without any number of the patient or time of day."""
        told: dict[str, Any] = {
            "suv": self.kind,
            "formula": FORMULAS[self.kind],
            "route": self.route,
            "factor": self.factor,
        }
        if self.decay is not None:
            told |= {
                "decay_s": self.decay.seconds,
                "half_life_s": self.half_life_s,
                "scan_time_source": self.decay.scan_source,
                "injection_time_source": self.decay.injection_source,
            }
        return told


def uptake(frames: Sequence[Frame], kind: str) -> Uptake:
    """Return how the values of one PET volume become an uptake value of this kind ("bw", "lbm", "bsa").

    Nothing is guessed: a volume without the corrections, the dose, a time or the size of the patient has
    no factor.

    Source: QIBA FDG-PET/CT profile, vendor-neutral pseudo-code for SUV; PS3.3 C.8.9.1, C.8.9.2.
    """
    frame = frames[0]
    units = _text(frame, "Units").upper()
    body = BodySize(
        _number(frame, "PatientWeight"), _number(frame, "PatientSize"), _text(frame, "PatientSex").upper()
    )
    if units in ("GML", "CM2ML"):
        return _of_uptake(frame, kind, body, units)
    missing = body.missing(kind) + _uncorrected(frame)
    philips = _philips(frame) if units == "CNTS" else None
    if units != "BQML" and philips is None:
        missing.insert(0, NO_ACTIVITY)
    if philips is not None and philips[0] == "SUV":
        factor = None if missing else _from_weight(philips[1], kind, body)
        route = f"{PHILIPS} (7053,xx00)"
        return Uptake(kind, factor, tuple(missing), route, body=body)
    route = "Bq/ml" if philips is None else f"{PHILIPS} (7053,xx09)"
    return _of_activity(frames, kind, body, route, 1.0 if philips is None else philips[1], missing)


def _of_activity(  # noqa: PLR0917, PLR0913 - private, called once
    frames: Sequence[Frame], kind: str, body: BodySize, route: str, scale: float, missing: list[str]
) -> Uptake:
    """Return the factor from activity concentration, which is `scale` times the values."""
    frame = frames[0]
    sources = _items(frame, "RadiopharmaceuticalInformationSequence")
    source = sources[0] if len(sources) == 1 else Dataset()
    if len(sources) > 1:
        missing.append("one radiopharmaceutical")
    dose = _number(source, "RadionuclideTotalDose")
    half_life = _number(source, "RadionuclideHalfLife")
    if not dose or dose <= 0:
        missing.append("RadionuclideTotalDose")
    is_decaying = _text(frame, "DecayCorrection").upper() != AT_INJECTION
    decayed = None
    if is_decaying and (not half_life or half_life <= 0):
        missing.append("RadionuclideHalfLife")
    elif is_decaying and half_life is not None:
        decayed = decay(frames, source, half_life)
        missing += decayed.missing
        if decayed.seconds is not None and not decayed.is_plausible:
            missing.append("a plausible time from injection to scan")
    factor = None
    if not missing and dose is not None:
        left = 1.0 if decayed is None else 2.0 ** (-(decayed.seconds or 0.0) / (half_life or 1.0))
        factor = scale * body.reference(kind) / (dose * left)
    return Uptake(kind, factor, tuple(missing), route, decayed, body, half_life)


def _of_uptake(frame: Frame, kind: str, body: BodySize, units: str) -> Uptake:
    """Return the factor from values that are an uptake value already, of this kind or another."""
    stated = "BSA" if units == "CM2ML" else _text(frame, "SUVType").upper()
    own = SUV_TYPES.get(stated)
    route = f"Units {units}" + (f", SUVType {stated}" if stated else "")
    if own is None:
        return Uptake(kind, None, (f"a formula for SUVType {stated}",), route, body=body)
    if own == kind:
        return Uptake(kind, 1.0, (), route, body=body)
    missing = tuple(dict.fromkeys(body.missing(own) + body.missing(kind)))
    factor = None if missing else body.reference(kind) / body.reference(own)
    return Uptake(kind, factor, missing, route, body=body)


def doubts(found: Uptake, *, is_dynamic: bool) -> list[str]:
    """Return what is there but can hardly be: a time before the injection, a weight of nobody.

    `is_dynamic`: the scan may have begun with the injection.
    """
    bounds = table("pet")
    result = []
    if found.decay is not None and found.decay.seconds is not None:
        seconds = found.decay.seconds
        if seconds < 0:
            result.append(f"the scan begins {-seconds:.0f} s before the injection")
        elif not found.decay.is_plausible:
            result.append(f"the scan begins {seconds / 3600:.1f} h after the injection")
        elif seconds < bounds["min_uptake_s"] and not is_dynamic:
            result.append(f"the scan begins {seconds:.0f} s after the injection")
    weight, size = found.body.weight_kg, found.body.size_m
    if weight and not bounds["min_weight_kg"] <= weight <= bounds["max_weight_kg"]:
        result.append(f"a weight of {weight:g} kg")
    if size and found.kind != "bw" and not bounds["min_size_m"] <= size <= bounds["max_size_m"]:
        result.append(f"a size of {size:g} m")
    return result


def _from_weight(factor: float, kind: str, body: BodySize) -> float:
    return factor if kind == "bw" else factor * body.reference(kind) / body.reference("bw")


def _uncorrected(frame: Frame) -> list[str]:
    corrected = {value.upper() for value in _texts(frame, "CorrectedImage")}
    checks = {
        "DecayCorrection": _text(frame, "DecayCorrection").upper() in (AT_SCAN, AT_INJECTION),
        "CorrectedImage ATTN": "ATTN" in corrected,
        "CorrectedImage DECY": bool(corrected & {"DECY", "DECAY"}),
    }
    return [name for name, is_there in checks.items() if not is_there]


def _philips(frame: Frame) -> tuple[str, float] | None:
    """Return the private factor from counts to SUVbw, else that to Bq/ml."""
    for what, offset in (("SUV", 0x00), ("activity", 0x09)):
        value = _known(attributes.private, frame, 0x7053, PHILIPS, offset)
        if isinstance(value, bytes):
            value = value.decode("ascii", errors="replace").strip("\0 ")
        try:
            factor = float(value)
        except (TypeError, ValueError):
            continue
        if 0 < factor < float("inf"):
            return what, factor
    return None


def _text(source: Frame | Dataset, keyword: str) -> str:
    return _known(attributes.text, source, keyword) or ""


def _texts(source: Frame | Dataset, keyword: str) -> tuple[str, ...]:
    return _known(attributes.texts, source, keyword) or ()


def _number(source: Frame | Dataset, keyword: str) -> float | None:
    value: float | None = _known(attributes.number, source, keyword)
    return value


def _items(source: Frame | Dataset, keyword: str) -> tuple[Dataset, ...]:
    return _known(attributes.items, source, keyword) or ()


def _known(read: Callable[..., Any], *what: Any) -> Any:
    """Read an attribute; what is malformed counts as not there."""
    try:
        return read(*what)
    except MalformedAttributeError:
        return None
