"""What a site writes against: the recipe of a profile, and the doors for rules, steps, writers and handlers.

A plug-in is anything with the right signature, offered by an installed package as an
entry point and chosen by name in `node.toml`. Built-ins use the same doors.

| to add             | signature                            | entry-point group         |
|--------------------|--------------------------------------|---------------------------|
| triage rule        | `(Series) -> list[Finding]`          | `prepnode.triage_rules`   |
| normalization step | `(Volume) -> Volume`                 | `prepnode.steps`          |
| output writer      | `(Outcome, Path) -> list[Product]`   | `prepnode.writers`        |
| whole handler      | `(Series, Path) -> Outcome`          | `prepnode.handlers`       |
| destination        | `(Product) -> None`                  | `prepnode.destinations`   |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from handlers.errors import PluginError
from handlers.model import Finding, Outcome, Product, Series, Verdict, Volume

TriageRule = Callable[[Series], list[Finding]]
Step = Callable[[Volume], Volume]
Writer = Callable[[Outcome, Path], list[Product]]
Handler = Callable[[Series, Path], Outcome]

GROUPS = (
    "prepnode.triage_rules",
    "prepnode.steps",
    "prepnode.writers",
    "prepnode.handlers",
    "prepnode.destinations",
)


@dataclass(frozen=True, slots=True)
class ContrastOptions:
    """How the contrast phase of CT is found beyond the headers.

    `image_evidence`: look at the aorta too; it may say that contrast was given or not, and favour arterial.
    `temperature`: of a calibration on reviewed cases; 1 without one. `calibration` says which one that is:
    its version, number of cases and SHA-256; empty without one.
    `classifier`: a command, with its arguments, that is asked for its likelihoods, or nothing.
    `classifier_timeout_s`: how long it may take for one volume. `classifier_weight`: how much it counts.
    """

    image_evidence: bool = False
    temperature: float = 1.0
    calibration: Mapping[str, Any] = field(default_factory=dict)
    classifier: tuple[str, ...] = ()
    classifier_timeout_s: float = 60.0
    classifier_weight: float = 1.0

    @property
    def looks_at_values(self) -> bool:
        """Whether any of this needs voxel values."""
        return self.image_evidence or bool(self.classifier)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a profile wants its volumes; the defaults are the built-in profile `default`.

    `orientation`: "LPS", "RAS" or any other axis code, or "native" to leave the axes as acquired.
    `spacing_mm`: target (column, row, slice) spacing; None keeps the native one.
    `interpolator`: "linear", "bspline" (clamped to the input range) or "nearest".
    `intensity`: "none", a CT window by name ("lung", "soft", "brain", ...), "zscore" or "percentile".
    `fill_missing`: fill an interior gap by linear interpolation (GEO-005) when it is small enough.
    `resample_variable`: resample unevenly spaced slices to an even grid (GEO-006).
    `accept_kernels`: classes that the profile takes (smooth, medium, sharp, unknown); empty takes all.
    `need_phase`: a volume without a contrast phase is held (CON-002).
    `contrast`: what else is asked for the contrast phase.
    `policy`: finding code -> verdict, instead of the verdict of its severity.
    `rules`, `steps`, `writers`: names of further plug-ins, run after the built-in ones in this order.
    `release`: a person has looked and released what was held; QUARANTINE becomes ACCEPT_WARN.
    What cannot become a volume stays held, whatever `policy` and `release` say.
    """

    name: str = "default"
    orientation: str = "LPS"
    spacing_mm: tuple[float, float, float] | None = None
    interpolator: str = "linear"
    intensity: str = "none"
    fill_missing: bool = False
    resample_variable: bool = False
    accept_kernels: tuple[str, ...] = ()
    need_phase: bool = False
    contrast: ContrastOptions = field(default_factory=ContrastOptions)
    dtype: str = "auto"
    save_padding_mask: bool = False
    policy: Mapping[str, Verdict] = field(default_factory=dict)
    rules: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    writers: tuple[str, ...] = ()
    release: bool = False


def per_volume(writer: Writer) -> Writer:
    """Mark a writer that needs voxel values.

    Such a writer is called once per volume, with an outcome that holds this volume alone and
    its values. A writer without the mark is called once, at the end, with the whole outcome and
    all findings; by then the values are on disk and no longer in memory.
    """
    writer.per_volume = True  # type: ignore[attr-defined]
    return writer


def needs_values(rule: TriageRule) -> TriageRule:
    """Mark a triage rule that looks at pixel values.

    Such a rule is called once per volume, with a series whose `volumes` hold this volume alone, its
    values in modality units. A rule without the mark is called once, before any pixel is read.
    """
    rule.needs_values = True  # type: ignore[attr-defined]
    return rule


def is_on_values(rule: TriageRule) -> bool:
    """Say whether a rule looks at pixel values; see `needs_values`."""
    return bool(getattr(rule, "needs_values", False))


def is_per_volume(writer: Writer) -> bool:
    """Say whether a writer is called once per volume; see `per_volume`."""
    return bool(getattr(writer, "per_volume", False))


def installed(group: str) -> dict[str, str]:
    """Return the plug-ins of one entry-point group, name -> "module:attribute"."""
    return {point.name: point.value for point in sorted(entry_points(group=group), key=lambda p: p.name)}


def load(group: str, name: str) -> Any:
    """Load one plug-in by name.

    Raises:
        PluginError: no installed package offers this name; the message lists the names there are.
    """
    found = entry_points(group=group, name=name)
    if not found:
        known = ", ".join(installed(group)) or "none"
        raise PluginError(f"no plug-in {name!r} in {group}; installed: {known}")
    return next(iter(found)).load()
