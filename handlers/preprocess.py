"""The series-complete handler: judge a series, make its volumes canonical, write products and report.

    split -> header rules -> per volume: modality units -> value rules -> verdict -> canonical form
    -> NIfTI, sidecar, preview -> values dropped -> report

Bad data never raises: whatever is found ends as a finding with a code, and every series gets
a report. Volumes are decoded one at a time, so memory holds one.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from handlers.api import Recipe, TriageRule, Writer, is_on_values, is_per_volume, load
from handlers.errors import HandlerError
from handlers.findings import CODES
from handlers.model import (
    Finding,
    Outcome,
    Product,
    Scope,
    Series,
    Severity,
    Verdict,
    Volume,
    volume_facts,
)
from handlers.normalization.labels import PlaceLabels
from handlers.normalization.pipeline import to_canonical, to_modality_units
from handlers.normalization.softening import SoftenKernel
from handlers.normalization.statistics import measure_values
from handlers.outputs import (
    deidentified_originals,
    derived_dicom,
    nifti,
    preview,
    report,
    report_page,
    sidecar,
)
from handlers.outputs.folder import published
from handlers.outputs.number_format import set_number_format
from handlers.outputs.provenance import provenance
from handlers.triage import contrast_phase
from handlers.triage.rules import VALUE_RULES, contrast_from_values, header_rules, judge
from handlers.triage.verdict import series_verdict, volume_verdict
from handlers.volumes import split

WRITERS: tuple[tuple[str, Writer], ...] = (
    ("nifti", nifti.write),
    ("sidecar", sidecar.write),
    ("preview", preview.write),
    ("derived-dicom", derived_dicom.write),
    ("deidentified-originals", deidentified_originals.write),
)
REPORTS: tuple[tuple[str, Writer], ...] = (("report", report.write), ("report-page", report_page.write))
ACCEPTED = (Verdict.ACCEPT, Verdict.ACCEPT_WARN)
# Products that must not stay when a volume turns out not to be accepted after all.
VALUE_PRODUCTS = frozenset(
    {"nifti", "companion", "padding_mask", "sidecar", derived_dicom.KIND, deidentified_originals.KIND}
)
# Steps after which every value is still one that was measured.
VALUE_PRESERVING_STEPS = frozenset({"placement", "reorient"})
SHARED_POSITION = "SPL-003"
STEP_FAILED = "NRM-ERR-001"
WRITER_FAILED = "OUT-005"

Result = TypeVar("Result")


@dataclass
class _Work:
    """What has become of a series so far; it lives for one call of `preprocess`."""

    series: Series
    recipe: Recipe
    folder: Path
    rules: tuple[tuple[str, TriageRule], ...]
    writers: tuple[tuple[str, Writer], ...]
    processes: int = 1
    findings: list[Finding] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    unfinished: set[str] = field(default_factory=set)

    def note(self, findings: Iterable[Finding]) -> None:
        """Add findings, each once."""
        for finding in findings:
            if finding not in self.findings:
                self.findings.append(finding)

    def verdict(self, volume: Volume) -> Verdict:
        """Judge a volume by all that is known so far.

        One that could not be decoded or brought to canonical form is held at least: a policy, or a
        person, may let pass what a rule holds, but not what does not exist.
        """
        verdict = volume_verdict(self.findings, volume, self.recipe)
        return Verdict.QUARANTINE if volume.name in self.unfinished and verdict in ACCEPTED else verdict


def preprocess(series: Series, out: Path, recipe: Recipe = Recipe(), *, processes: int = 1) -> Outcome:  # noqa: B008 - frozen
    """Process a complete series and write what came of it to the folder `out`, whole or not at all.

    An older `out` is replaced. The same series, recipe and software give the same bytes, also where
    compressed frames are decoded by several `processes` (forks of this one).

    Returns:
        The outcome, without voxel values; its products are relative to `out`.

    Raises:
        PluginError: the recipe names a rule, step or writer that is not installed.
        OSError: the results cannot be written.
        MemoryError: there is not enough memory for one volume.
    """
    rules = _named("prepnode.triage_rules", recipe.rules, but=(*header_rules(recipe), *VALUE_RULES))
    writers = _named("prepnode.writers", recipe.writers, but=(*WRITERS, *REPORTS))
    _named("prepnode.steps", recipe.steps)  # run by the pipeline; a wrong name is told before any work
    with published(out) as folder:
        return _process(_Work(series, recipe, folder, rules, writers, processes))


def _named(
    group: str, names: Iterable[str], but: Iterable[tuple[str, Any]] = ()
) -> tuple[tuple[str, Any], ...]:
    """Load plug-ins by name; what is built in and runs anyway (`but`) is passed over."""
    always = {name for name, _ in but}
    return tuple((name, load(group, name)) for name in dict.fromkeys(names) if name not in always)


def _process(work: _Work) -> Outcome:
    work.note(work.series.findings)
    split_series = _guarded(work, lambda: split(work.series))
    if split_series is not None:
        work.series = split_series
        work.note(split_series.findings)
    for volume in work.series.volumes:
        work.note(volume.findings)
    site_rules = (rule for rule in work.rules if not is_on_values(rule[1]))
    work.note(judge(work.series, (*header_rules(work.recipe), *site_rules)))
    made = provenance(work.series, work.recipe)
    volumes = [_volume(work, volume, made) for volume in work.series.volumes]
    return _conclude(work, volumes, made)


def _volume(work: _Work, volume: Volume, made: dict[str, object]) -> Volume:
    """Take one volume from header to files; return it without its values."""
    if work.verdict(volume) is Verdict.REJECT:
        return volume
    decoded = _guarded(work, lambda: to_modality_units(volume, work.recipe, work.processes), volume)
    if decoded is None or decoded.values is None:
        work.unfinished.add(volume.name)
        return volume
    work.note(decoded.findings)
    _reopen_duplicates(work, decoded)
    value_rules = (*VALUE_RULES, *(rule for rule in work.rules if is_on_values(rule[1])))
    work.note(judge(replace(work.series, volumes=(decoded,)), value_rules))
    _judge_contrast(work, decoded)
    current = decoded
    if work.verdict(decoded) in ACCEPTED:
        canonical = _guarded(work, lambda: _canonical(work, decoded), volume)
        if canonical is None:
            work.unfinished.add(volume.name)
        else:
            work.note(canonical.findings)
            current = canonical
    current = replace(current, written=_written(decoded, current))
    verdict = work.verdict(current)
    if verdict is not Verdict.REJECT:
        single = _outcome(work, (current,), (verdict,), made)
        _write(work, (*WRITERS, *(writer for writer in work.writers if is_per_volume(writer[1]))), single)
    described = tuple(replace(companion, values=None) for companion in current.companions)
    return replace(current, values=None, padding=None, interpolated=None, companions=described)


def _reopen_duplicates(work: _Work, volume: Volume) -> None:
    """Take back what the split said of shared positions (SPL-003): with pixels at hand, a rule can tell."""
    _reopen(work, volume, frozenset({SHARED_POSITION}))


def _reopen(work: _Work, volume: Volume, codes: frozenset[str]) -> None:
    """Take back what was said of a volume under these codes."""
    work.findings = [
        finding for finding in work.findings if finding.target != volume.name or finding.code not in codes
    ]


def _judge_contrast(work: _Work, volume: Volume) -> None:
    """Judge the contrast phase of a CT volume anew where the profile wants values to be looked at."""
    rules = contrast_from_values(work.series, work.recipe) if volume.modality == "CT" else ()
    if not rules:
        return
    seen = replace(work.series, volumes=(volume,), findings=tuple(work.findings))
    _reopen(work, volume, contrast_phase.CODES)
    work.note(judge(seen, rules))


def _canonical(work: _Work, volume: Volume) -> Volume:
    if work.recipe.soften_kernel and volume.modality == "CT":
        kernel = volume_facts(work.findings, volume).get("kernel", {})
        volume = SoftenKernel(work.recipe.soften_kernel, str(kernel.get("class", "")))(volume)
    canonical = to_canonical(volume, work.recipe)
    if work.recipe.labels:
        canonical = PlaceLabels(work.series.labels)(canonical)
    return set_number_format(canonical, work.recipe.dtype)


def _written(decoded: Volume, current: Volume) -> dict[str, object]:
    """Return what must be known of the arrays after they are gone."""
    values = current.values
    if values is None:
        return {}
    facts: dict[str, object] = {
        "shape": tuple(int(size) for size in values.shape[2::-1]),
        "padding_voxels": _voxels(decoded.padding),
        "interpolated_voxels": _voxels(current.interpolated),
    }
    later_steps = current.steps[len(decoded.steps) :]
    if any(step.name not in VALUE_PRESERVING_STEPS for step in later_steps):
        facts["statistics"] = measure_values(current).measured
    return facts


def _voxels(mask: np.ndarray | None) -> int:
    return 0 if mask is None else int(np.count_nonzero(mask))


def _conclude(work: _Work, volumes: Sequence[Volume], made: dict[str, object]) -> Outcome:
    """Reach the final verdicts, take back what no longer holds, and write the reports."""
    at_the_end = [writer for writer in work.writers if not is_per_volume(writer[1])]
    if at_the_end:
        verdicts = tuple(work.verdict(volume) for volume in volumes)
        _write(work, at_the_end, _outcome(work, tuple(volumes), verdicts, made))
    verdicts = tuple(work.verdict(volume) for volume in volumes)
    for volume, verdict in zip(volumes, verdicts, strict=True):
        if verdict not in ACCEPTED:
            _withdraw(work, volume)
    outcome = _outcome(work, tuple(volumes), verdicts, made)
    for _, writer in REPORTS:
        outcome = replace(outcome, products=(*outcome.products, *writer(outcome, work.folder)))
    return outcome


def _outcome(
    work: _Work, volumes: tuple[Volume, ...], verdicts: tuple[Verdict, ...], made: dict[str, object]
) -> Outcome:
    return Outcome(
        series=work.series,
        verdict=series_verdict(work.findings, volumes, verdicts, work.recipe),
        volumes=volumes,
        volume_verdicts=verdicts,
        findings=tuple(work.findings),
        products=tuple(work.products),
        provenance=made,
    )


def _write(work: _Work, writers: Iterable[tuple[str, Writer]], outcome: Outcome) -> None:
    """Run writers one after the other; one that fails yields OUT-005, and the next one runs."""
    for name, writer in writers:
        volume = outcome.volumes[0] if is_per_volume(writer) else None
        stage = partial(writer, outcome, work.folder)
        for product in _guarded(work, stage, volume, writer=name) or []:
            work.note(product.findings)
            work.products.append(replace(product, findings=()))


def _withdraw(work: _Work, volume: Volume) -> None:
    """Delete the values of a volume that was held or refused after they had been written."""
    for product in list(work.products):
        if product.volume == volume.index and product.kind in VALUE_PRODUCTS:
            (work.folder / product.path).unlink(missing_ok=True)
            work.products.remove(product)


def _guarded(
    work: _Work, stage: Callable[[], Result], volume: Volume | None = None, *, writer: str = ""
) -> Result | None:
    """Run one stage, or a writer; what it raises becomes a finding about the volume, or about the series."""
    scope, target = (Scope.SERIES, "") if volume is None else (Scope.VOLUME, volume.name)
    try:
        return stage()
    except HandlerError as error:
        usual = CODES[error.code].severity if error.code in CODES else Severity.ERROR
        # A step that could not be done must not pass as a warning; a writer beside the volume may.
        severity = usual if writer else max(usual, Severity.REVIEW)
        work.note([Finding(error.code, severity, str(error), scope, target)])
    except (OSError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - the mouth of the per-volume loop: a site's code may raise anything
        code, what = STEP_FAILED, "an unexpected error stopped the processing"
        if writer:
            code, what = WRITER_FAILED, f"the writer {writer!r} failed, so its file is missing"
        message = f"{what}: {type(error).__name__}: {str(error)[:200]}"
        work.note([Finding(code, CODES[code].severity, message, scope, target, _where(error))])
    return None


def _where(error: Exception) -> dict[str, str]:
    """Name the innermost line of code that raised, without any path of this machine."""
    frames = traceback.extract_tb(error.__traceback__)
    return {"raised_at": f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"} if frames else {}
