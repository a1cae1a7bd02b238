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
from handlers.model import Finding, NormModel, Outcome, Product, Series, Verdict, Volume

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
class Deidentification:
    """How derived images are de-identified; without a key they are not.

    `key_file`: the file of the key that pseudonyms are computed with. `key_id`: which key that is, so
    that a result tells it; the key itself stands nowhere. `options`: of PS3.15 E.3, by the names that
    `conf/confidentiality.toml` gives them.
    """

    key_file: str = ""
    key_id: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a profile wants its volumes; the defaults are the built-in profile `default`.

    `orientation`: "LPS", "RAS" or any other axis code, or "native" to leave the axes as acquired.
    `spacing_mm`: target (column, row, slice) spacing; None keeps the native one, 0 that of one axis.
    `interpolator`: "linear", "bspline" (clamped to the input range) or "nearest".
    `intensity`: "none", a CT window by name ("lung", "soft", "brain", ...), or for MR "zscore",
    "percentile", "nyul" or "histogram"; the last two need a model of the volume's cohort in `models`.
    `keep_units`: where `intensity` changes values, also write them as they were, on the same grid.
    `frequency_bins`: also write HU scaled by a histogram of so many bins; 0 does not.
    `labels`: also write segmentations that lie in the frame of reference of the volume, on its grid.
    `bias_field`: divide MR by its bias field (N4) before its intensity is scaled.
    `models`: what was learnt of cohorts and is in use; who calls hands them in, as data.
    `fill_missing`: fill an interior gap by linear interpolation (GEO-005) when it is small enough.
    `resample_variable`: resample unevenly spaced slices to an even grid (GEO-006).
    `accept_kernels`: classes that the profile takes (smooth, medium, sharp, unknown); empty takes all.
    `soften_kernel`: class of kernel ("smooth", "medium") that sharper CT is smoothed to; "" does not.
    `need_phase`: a volume without a contrast phase is held (CON-002).
    `presentation_intent`: "FOR PRESENTATION" or "FOR PROCESSING" alone is taken (MAM-005); "" takes both.
    `crop_region`: crop ultrasound to its B-mode region.
    `leaves_hospital`: what may carry text in its pixels is held (DEI-BIA-004).
    `target_phase`: cardiac phase ("75%", "300ms") of which the nearest volume alone is taken; "" takes all.
    `suv`: uptake value of PET: "bw", "lbm" or "bsa" (PET-001 where there is none); "none" leaves Bq/ml.
    `mr_values`: "displayed", or "quantitative": real-world units, or the scale of the scanner (MRS-004).
    `derived_dicom`: also write CT and MR volumes as derived single-frame images.
    `deidentified_originals`: also write the images as acquired, de-identified.
    `deidentification`: whether and how these images, and the derived ones, are de-identified.
    `sidecar_attributes`: DICOM keywords that the sidecar holds beyond its own; free text warns (LEAK-001).
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
    soften_kernel: str = ""
    need_phase: bool = False
    presentation_intent: str = ""
    crop_region: bool = False
    leaves_hospital: bool = False
    target_phase: str = ""
    suv: str = "none"
    mr_values: str = "displayed"
    contrast: ContrastOptions = field(default_factory=ContrastOptions)
    dtype: str = "auto"
    save_padding_mask: bool = False
    keep_units: bool = False
    frequency_bins: int = 0
    labels: bool = False
    bias_field: bool = False
    models: tuple[NormModel, ...] = ()
    derived_dicom: bool = False
    deidentified_originals: bool = False
    deidentification: Deidentification = field(default_factory=Deidentification)
    sidecar_attributes: tuple[str, ...] = ()
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
