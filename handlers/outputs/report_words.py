"""The report in words: what its codes and numbers mean to the person who reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

VERDICTS = {
    "ACCEPT": ("Ready to use", "Every check passed."),
    "ACCEPT_WARN": ("Usable, with warnings", "The volumes were written; read the warnings before use."),
    "QUARANTINE": ("Held: a person must look", "Nothing goes on until someone releases or rejects it."),
    "REJECT": ("Not usable for processing", "The original images are kept; no volume was made of them."),
}
SEVERITIES = {
    "ERROR": "Why it cannot be used",
    "REVIEW": "What a person must decide",
    "WARN": "Warnings",
    "INFO": "For information",
}
LET_PASS = ("What was let pass", "It would be held. A person, or the profile, let it pass.")
UNITS = {
    "[hnsf'U]": "HU",
    "Bq/ml": "Bq/ml",
    "{counts}": "counts",
    "1": "",
    "g/ml{SUVbw}": "SUV (body weight)",
    "g/ml{SUVlbm(Janma)}": "SUV (lean body mass)",
    "cm2/ml{SUVbsa}": "SUV (body surface)",
}
UNIT_NAMES = {
    "[hnsf'U]": "Hounsfield units",
    "Bq/ml": "becquerel per millilitre",
    "{counts}": "counts",
    "1": "arbitrary units",
}
SIDES = {"L": "left", "R": "right", "B": "both"}
PLANES = {
    "patient": "in the patient",
    "detector": "at the detector; sizes in the patient are smaller",
    "estimated": "in the patient, estimated from the magnification",
}
DIRECTIONS = {"L": "left", "R": "right", "A": "front", "P": "back", "S": "head", "I": "feet"}
CONTRAST = {
    "NON_CONTRAST": "no contrast agent",
    "PULMONARY_ARTERIAL": "pulmonary arterial",
    "ARTERIAL": "arterial",
    "PORTAL_VENOUS": "portal venous",
    "NEPHROGRAPHIC": "nephrographic",
    "DELAYED": "delayed",
    "EXCRETORY": "excretory",
    "VIRTUAL_NON_CONTRAST": "virtual non-contrast",
    "CE_UNSPECIFIED": "contrast agent given, phase unknown",
    "UNKNOWN": "unknown",
}
VOLUME_NAME = re.compile(r"^v(\d+)$")
MAX_TARGETS = 5  # instances named per finding; the count is always given
MAX_EVIDENCE_TEXT = 300  # characters; report.json holds the rest

Fact = tuple[str, str]


def summary(report: Mapping[str, Any]) -> str:
    """Say in one sentence how many volumes were written, held and refused."""
    verdicts = [volume["verdict"] for volume in report["volumes"]]
    if not verdicts:
        return "No volume could be made of this series."
    counts = [
        (sum(1 for volume in report["volumes"] if volume.get("file")), "written"),
        (verdicts.count("QUARANTINE"), "held"),
        (verdicts.count("REJECT"), "refused"),
    ]
    told = [f"{count} {what}" for count, what in counts if count]
    volumes = count_of(len(verdicts), "volume")
    if len(told) == 1:
        return f"{volumes} {told[0].split()[1]}."
    return f"{volumes}: {', '.join(told)}."


def count_of(number: int, noun: str) -> str:
    """Return "1 volume", "2 volumes"."""
    return (
        f"{number} {noun}" if number == 1 else f"{number:,} {noun}s".replace(",", "\N{NARROW NO-BREAK SPACE}")
    )


def facts(volume: Mapping[str, Any]) -> list[Fact]:
    """Describe one volume of a report, name by name; what is unknown or ordinary is left out."""
    found: list[Fact | None] = [
        ("Size", f"{_times(volume['shape'], '{:d}')} voxels"),
        _spacing(volume),
        _extent(volume),
        _axes(volume["orientation"]),
        _values(volume),
        _kernel(volume["kernel"]),
        _contrast(volume["contrast"]),
        _cycle("Cardiac phase", volume["cardiac"]),
        _cycle("Respiratory phase", volume["respiratory"]),
        _view(volume.get("view")),
        _scale(volume.get("pixel_spacing")),
        _lossy(volume),
        _tilt(volume["shear_deg"]),
        _count("Missing slices", volume["missing_slices"]),
        _count("Unmeasured", volume["padding_voxels"], " voxels"),
        ("Polarity", "inverted, so that high is bright") if volume["polarity_inverted"] else None,
        ("Made of", count_of(volume["n_instances"], "instance")),
    ]
    return [fact for fact in found if fact is not None]


def evidence(values: Mapping[str, Any]) -> list[Fact]:
    """Return evidence as names and short texts; long lists are counted."""
    return [(str(name), _short(value)) for name, value in values.items()]


def targets(names: Iterable[str]) -> str:
    """Name up to five targets, and how many more there are; "v0" is told as "volume 0"."""
    named = [VOLUME_NAME.sub(r"volume \1", name) for name in dict.fromkeys(names) if name]
    return _listed(named)


def _listed(texts: list[str]) -> str:
    more = len(texts) - MAX_TARGETS
    return ", ".join(texts[:MAX_TARGETS]) + (f" and {more} more" if more > 0 else "")


def _short(value: Any) -> str:
    text = _told(value)
    return text if len(text) <= MAX_EVIDENCE_TEXT else f"{text[:MAX_EVIDENCE_TEXT]}\N{HORIZONTAL ELLIPSIS}"


def sentence(text: str) -> str:
    """Return text that begins with a capital."""
    return text[:1].upper() + text[1:]


def _told(value: Any) -> str:
    """Return a JSON value as text: no brackets, no quotes, nothing said of what is absent."""
    if value is None or value in ("", [], {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return _listed([f"({_told(item)})" if isinstance(item, dict) else _told(item) for item in value])
    if isinstance(value, dict):
        return ", ".join(
            f"{key} {_told(item)}" for key, item in value.items() if item not in (None, "", [], {})
        )
    return str(value)


def _times(numbers: Iterable[Any], form: str) -> str:
    texts = ("unknown" if number is None else form.format(number) for number in numbers)
    return " \N{MULTIPLICATION SIGN} ".join(texts)


def _spacing(volume: Mapping[str, Any]) -> Fact:
    spacing = volume["spacing_mm"]
    if all(value is None for value in spacing):
        return "Voxel size", "unknown: no length can be measured in it"
    known = [value for value in spacing if value is not None]
    return "Voxel size", f"{_times(known, '{:.4g}')} mm"


def _extent(volume: Mapping[str, Any]) -> Fact | None:
    pairs = list(zip(volume["shape"], volume["spacing_mm"], strict=True))
    if any(size is None or spacing is None for size, spacing in pairs):
        return None
    return "Extent", f"{_times((size * spacing for size, spacing in pairs), '{:.0f}')} mm"


def _axes(orientation: str | None) -> Fact | None:
    if not orientation:
        return "Axes", "not in patient space"
    names = [DIRECTIONS.get(letter, letter) for letter in orientation]
    return "Axes", f"{orientation}: towards {names[0]}, {names[1]}, {names[2]}"


def _values(volume: Mapping[str, Any]) -> Fact | None:
    statistics = volume["statistics"]
    if not statistics or volume["units"] is None:
        return None
    unit = UNITS.get(volume["units"], volume["units"])
    low, high, mean = (statistics.get(key) for key in ("min", "max", "mean"))
    if low is None or high is None or mean is None:
        return "Values", UNIT_NAMES.get(volume["units"], volume["units"])
    told = f"{low:.6g} to {high:.6g} {unit}".rstrip() + f", mean {mean:.5g} {unit}".rstrip()
    return "Values", told if unit else f"{told} (arbitrary units)"


def _kernel(kernel: Any) -> Fact | None:
    if not kernel:
        return None
    raw, kind = kernel.get("raw"), kernel.get("class")
    return "Kernel", f"{raw} ({kind})" if raw else str(kind)


def _contrast(contrast: Any) -> Fact | None:
    if not contrast:
        return None
    label = CONTRAST.get(str(contrast.get("label")), str(contrast.get("label")))
    confidence = contrast.get("confidence")
    return "Contrast phase", label if confidence is None else f"{label}, confidence {confidence:.0%}"


def _view(view: Any) -> Fact | None:
    if not view:
        return None
    side = SIDES.get(str(view.get("ImageLaterality")), "side unknown")
    told = [f"{side} {view.get('view') or 'view unknown'}", *view.get("modifiers", ()), str(view.get("kind"))]
    return "View", ", ".join(told)


def _scale(scale: Any) -> Fact | None:
    if not scale or scale.get("value_mm") is None:
        return None
    return "Pixel size holds", PLANES.get(str(scale.get("plane")), "in a plane that is not known")


def _cycle(name: str, cycle: Any) -> Fact | None:
    if not cycle:
        return None
    known = [
        text
        for key, text in (("phase", "{}"), ("phase_percent", "{:g} %"), ("time_ms", "{:g} ms"))
        if cycle.get(key) is not None
        for text in (text.format(cycle[key]),)
    ]
    if target := cycle.get("target_phase"):
        known.append(f"{'taken' if cycle.get('selected') else 'passed over'} for the target {target}")
    return (name, ", ".join(known)) if known else None


def _lossy(volume: Mapping[str, Any]) -> Fact | None:
    if not volume["lossy"]:
        return None
    ratio = volume["lossy_ratio"]
    return "Compression", "lossy" if ratio is None else f"lossy, ratio {ratio:.3g}"


def _tilt(shear_deg: float | None) -> Fact | None:
    if shear_deg is None or abs(shear_deg) < 0.1:  # GEO-008
        return None
    return "Gantry tilt", f"{shear_deg:.1f}\N{DEGREE SIGN} as acquired"


def _count(name: str, number: int, unit: str = "") -> Fact | None:
    return (name, f"{number:,}{unit}".replace(",", "\N{NARROW NO-BREAK SPACE}")) if number else None
