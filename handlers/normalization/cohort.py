"""The cohort of a volume: those whose intensities can be compared, since one protocol made them all.

MR has no absolute units, so a model of intensities holds for one contrast, field strength
and part of the body. The rules and their numbers are in `conf/cohorts.toml`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from handlers import attributes
from handlers.errors import MalformedAttributeError
from handlers.model import Frame, NormModel, Volume
from handlers.tables import table

UNKNOWN = "UNKNOWN"
# Values of ImageType and ComplexImageComponent that are no magnitude; PS3.3 C.8.13.3.1.1.
NOT_MAGNITUDE = frozenset({"P", "PHASE", "R", "REAL", "I", "IMAGINARY", "MIXED", "PHASE MAP"})
DIFFUSION = frozenset({"DIFFUSION", "TRACEW", "DWI"})
DIFFUSION_MAPS = ("ADC", "FA")  # of other units than the images they were computed from
STATED = {  # AcquisitionContrast (0008,9209); PS3.3 C.8.13.3.1.2
    "T1": "T1",
    "T2": "T2",
    "T2_STAR": "T2S",
    "PROTON_DENSITY": "PD",
    "FLUID_ATTENUATED": "FLAIR",
    "STIR": "STIR",
    "DIFFUSION": "DWI",
}
GAUSS_PER_TESLA = 10_000
NO_AGENT = frozenset({"", "NO", "NONE", "WITHOUT", "N/A", "NA"})


def cohort(volume: Volume) -> str | None:
    """Name the cohort of an MR or CT volume; None for others and for images that are no magnitude.

    MR: body part, contrast, 2-D or 3-D, field strength, agent ("HEAD/T1/3D/3T/plain").
    CT: body part and agent ("CT/CHEST/contrast"), since HU are the same on every scanner.
    """
    if not volume.frames:
        return None
    frame = volume.frames[0]
    part, agent = _body_part(frame), _agent(frame)
    if volume.modality == "CT":
        return f"CT/{part}/{agent}"
    if volume.modality != "MR" or not _is_magnitude(frame):
        return None
    dimensions = _text(frame, "MRAcquisitionType") or UNKNOWN
    return "/".join([part, weighting(frame), dimensions, _field_strength(frame), agent])


def manufacturer(volume: Volume) -> str:
    """Return the first word of Manufacturer in capitals, "" when it is not stated."""
    words = _text(volume.frames[0], "Manufacturer").split() if volume.frames else []
    return "".join(letter for letter in words[0] if letter.isalnum()) if words else ""


def model_for(models: Iterable[NormModel], kind: str, volume: Volume) -> NormModel | None:
    """Return the model of a volume's cohort: the one of its manufacturer before the one of all."""
    key = cohort(volume)
    if key is None:
        return None
    found = {model.cohort: model for model in models if model.kind == kind}
    return found.get(f"{key}/{manufacturer(volume)}") or found.get(key)


def weighting(frame: Frame) -> str:
    """Name the contrast of an MR frame: T1, T2, T2S, PD, FLAIR, STIR, DWI, ADC, FA, EPI or UNKNOWN."""
    if stated := STATED.get(_text(frame, "AcquisitionContrast")):
        return stated
    if diffusion := _diffusion(frame):
        return diffusion
    echo = _number(frame, "EffectiveEchoTime") or _number(frame, "EchoTime")
    if echo is None:
        return UNKNOWN
    limits, sequence = table("cohorts")["weighting"], _sequence(frame)
    inversion = _number(frame, "InversionTime") or 0
    if "IR" in sequence or inversion:
        return _inverted(echo, inversion, limits)
    if "EP" in sequence:
        return "EPI"
    return _echo(frame, echo, sequence, limits)


def _diffusion(frame: Frame) -> str:
    types = set(attributes.image_type(frame))
    maps = [name for name in DIFFUSION_MAPS if name in types]
    if maps:
        return maps[0]
    return "DWI" if DIFFUSION & types or (_number(frame, "DiffusionBValue") or 0) > 0 else ""


def _inverted(echo_ms: float, inversion_ms: float, limits: Mapping[str, float]) -> str:
    if inversion_ms >= limits["fluid_inversion_ms"]:
        return "FLAIR" if echo_ms >= limits["long_echo_ms"] else "T1"
    return "STIR" if 0 < inversion_ms < limits["fat_inversion_ms"] else "T1"


def _echo(frame: Frame, echo_ms: float, sequence: set[str], limits: Mapping[str, float]) -> str:
    if "GR" in sequence and "SE" not in sequence:
        return "T2S" if echo_ms >= limits["susceptible_echo_ms"] else "T1"
    repetition_ms = _number(frame, "RepetitionTime")
    if echo_ms >= limits["long_echo_ms"]:
        return "T2"
    if repetition_ms is None:
        return UNKNOWN
    is_short = repetition_ms < limits["short_repetition_ms"]
    if is_short:
        return "T1" if echo_ms < limits["short_echo_ms"] else UNKNOWN
    return "PD"


def _sequence(frame: Frame) -> set[str]:
    """Return ScanningSequence, or what an enhanced object says in its place (PS3.3 C.8.13.5.4)."""
    found = set(_texts(frame, "ScanningSequence"))
    echo = _text(frame, "EchoPulseSequence")
    found |= {"SPIN": {"SE"}, "GRADIENT": {"GR"}, "BOTH": {"SE", "GR"}}.get(echo, set())
    found |= {"IR"} if _text(frame, "InversionRecovery") == "YES" else set()
    return found | ({"EP"} if _text(frame, "EchoPlanarPulseSequence") == "YES" else set())


def _is_magnitude(frame: Frame) -> bool:
    stated = _text(frame, "ComplexImageComponent")
    if stated:
        return stated == "MAGNITUDE"
    return not NOT_MAGNITUDE & set(attributes.image_type(frame)[2:])


def _body_part(frame: Frame) -> str:
    stated = "".join(letter for letter in _text(frame, "BodyPartExamined") if letter.isalnum())
    found: str = table("cohorts")["body_part"].get(stated, stated or UNKNOWN)
    return found


def _field_strength(frame: Frame) -> str:
    stated = _number(frame, "MagneticFieldStrength")
    if not stated or stated < 0:
        return UNKNOWN
    tesla = stated / GAUSS_PER_TESLA if stated > 100 else stated
    nearest = min(table("cohorts")["field_strength"]["steps_t"], key=lambda step: abs(step - tesla))
    return f"{nearest:g}T"


def _agent(frame: Frame) -> str:
    return "plain" if _text(frame, "ContrastBolusAgent") in NO_AGENT else "contrast"


def _text(frame: Frame, keyword: str) -> str:
    """Return the first value in capitals, "" when it is absent, empty or not readable."""
    try:
        return (attributes.text(frame, keyword) or "").upper()
    except MalformedAttributeError:
        return ""


def _texts(frame: Frame, keyword: str) -> tuple[str, ...]:
    try:
        return tuple(value.upper() for value in attributes.texts(frame, keyword) or ())
    except MalformedAttributeError:
        return ()


def _number(frame: Frame, keyword: str) -> float | None:
    try:
        return attributes.number(frame, keyword)
    except MalformedAttributeError:
        return None
