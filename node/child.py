"""What runs in the child process of one series: limits first, then reading, the handler, and its report.

A child may crash, hang or run out of memory; whatever is lost with it is one series. The
science is imported here and nowhere else in the service, so the worker itself stays small.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import resource
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from node.config import Config

PR_SET_PDEATHSIG = 1  # prctl(2)
MIB = 1024 * 1024
# Objects made between two searches for reference cycles. Headers are many small objects that form none; with
# Python's 700 the search took a quarter of the time of judging 1,000 headers of 270 elements.
COLLECT_EVERY = 50_000
SCIENCE = ("handlers.preprocess", "handlers.reading")  # loaded before the first series comes


@dataclass(frozen=True, slots=True)
class Order:
    """Everything the child needs to know of one series at one revision; small, and plain values only.

    `siblings` maps the SeriesInstanceUID of the other series of the study to their header
    facts. `findings` are those of the registry (conflicts, late instances, completion) as
    in report.json. `writers` are run beyond those of the profile. `models`
    are the intensity models in use, of the kinds that the profile asks for. `labels` are the files of
    segmentations of the study, if the profile asks for them. `digests` are the SHA-256 of the
    data sets in `files`, where they are known. `recipe`, as report.json keeps it, takes the
    place of the profile's: a replay follows what was done then.
    """

    series_instance_uid: str
    study_instance_uid: str
    revision: int
    files: tuple[Path, ...]
    out: Path
    profile: str = "default"
    writers: tuple[str, ...] = ()
    release: bool = False
    reason: str = "folder"
    evidence: Mapping[str, Any] | None = None
    siblings: Mapping[str, Mapping[str, Any]] | None = None
    findings: tuple[Mapping[str, Any], ...] = ()
    models: tuple[Mapping[str, Any], ...] = ()
    labels: tuple[Path, ...] = ()
    digests: tuple[str, ...] = ()
    recipe: Mapping[str, Any] | None = None


def prepare(parent: int, memory_mb: int, modules: tuple[str, ...]) -> None:
    """Load the program of this child and set its limits: death with its parent, `memory_mb` for data.

    The limit is what the program takes once `modules` are loaded, plus `memory_mb`. RLIMIT_DATA
    counts private writable memory. RLIMIT_AS would also count the mapped libraries, some
    2 GB of addresses that cost nothing. Source: setrlimit(2).
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold patient data
    gc.set_threshold(COLLECT_EVERY)
    os.dup2(2, 1)  # what a decoder prints is a message, and standard output belongs to the supervisor
    for module in modules:
        importlib.import_module(module)
    limit = _data_bytes() + memory_mb * MIB
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def run(order: Order, config: Config) -> dict[str, Any]:
    """Process one series and return {"report": as report.json, "products": [...]}.

    Each product is {"kind", "path" (relative to the folder of the revision), "volume",
    "sha256", "size_bytes"}.
    """
    from handlers.api import load
    from handlers.outputs.report import report
    from node.recipes import recipe_of, recorded_recipe

    series = _series(order)
    profile = config.profiles.get(order.profile)
    if order.recipe is not None:
        recipe, profile = recorded_recipe(order.recipe, config), None
    else:
        recipe = recipe_of(order.profile, config, release=order.release, models=order.models)
        recipe = replace(recipe, writers=tuple(dict.fromkeys((*recipe.writers, *order.writers))))
    if profile is not None and profile.handler:
        outcome = _run_plug_in(load("prepnode.handlers", profile.handler), series, order.out)
    else:
        from handlers.preprocess import preprocess

        processes = max(1, len(os.sched_getaffinity(0)) // config.jobs.workers)
        outcome = preprocess(series, order.out, recipe, processes=processes)
    products = [
        {
            "kind": product.kind,
            "path": product.path.as_posix(),
            "volume": product.volume,
            "sha256": product.sha256,
            "size_bytes": product.size_bytes,
        }
        for product in outcome.products
    ]
    return {"report": report(outcome), "products": products}


def _series(order: Order) -> Any:
    """Build the series from its files, and add what the registry knows of it."""
    from handlers.model import Completion, Series, SiblingSeries
    from handlers.reading import series_from_files

    found, unreadable = series_from_files(order.files)
    own = [series for series in found if series.series_instance_uid == order.series_instance_uid]
    strangers = [
        (instance.path, f"belongs to series {series.series_instance_uid}")
        for series in found
        if series.series_instance_uid != order.series_instance_uid
        for instance in series.instances
    ]
    base = own[0] if own else Series(order.series_instance_uid, order.study_instance_uid, ())
    digests = dict(zip(order.files, order.digests, strict=False))
    instances = tuple(replace(each, sha256=digests.get(each.path, "")) for each in base.instances)
    siblings = (SiblingSeries(uid, facts) for uid, facts in (order.siblings or {}).items())
    return replace(
        base,
        instances=instances,
        study_instance_uid=order.study_instance_uid,
        revision=order.revision,
        study=tuple(siblings),
        completion=Completion(order.reason, order.evidence or {}),
        unreadable=(*base.unreadable, *unreadable, *strangers),
        findings=(*base.findings, *(_finding(each) for each in order.findings)),
        labels=tuple(
            instance for found in series_from_files(order.labels)[0] for instance in found.instances
        ),
    )


def _finding(entry: Mapping[str, Any]) -> Any:
    from handlers.model import Finding, Scope, Severity

    return Finding(
        entry["code"],
        Severity[entry["severity"]],
        entry["message"],
        Scope(entry.get("scope", "series")),
        entry.get("target", ""),
        entry.get("evidence", {}),
    )


def _run_plug_in(handler: Any, series: Any, out: Path) -> Any:
    """Run a site's own handler; its folder appears under its name only when it is whole."""
    from handlers.outputs.folder import published
    from handlers.outputs.report import FILE_NAME, write

    with published(out) as folder:
        outcome = handler(series, folder)
        if not (folder / FILE_NAME).exists():
            outcome = replace(outcome, products=(*outcome.products, *write(outcome, folder)))
    return outcome


def _data_bytes() -> int:
    """Return how much private writable memory this process has now (VmData, kilobytes in the file)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0
