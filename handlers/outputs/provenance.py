"""What made a result: software, versions, configuration, plan, and the identity of what it was made from."""

from __future__ import annotations

import hashlib
import platform
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from handlers.api import Recipe
from handlers.model import Finding, Series, Severity, Volume
from handlers.outputs.json_values import canonical, digest
from handlers.tables import table_versions

PIPELINE_VERSION = "1"  # raised with any change of an output value, together with the golden files
# Names of volumes and derived objects live in this namespace (RFC 4122 version 5).
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "prepnode.handlers.outputs")
# Distributions whose code can change an output value; read without importing them.
DISTRIBUTIONS = (
    "numpy",
    "pydicom",
    "SimpleITK",
    "nibabel",
    "isal",
    "pillow",
    "highdicom",
    "python-gdcm",
    "pylibjpeg",
    "pylibjpeg-openjpeg",
    "pylibjpeg-rle",
    "pyjpegls",
)
# The keys of a recipe that decide voxel values; the others decide verdicts and files.
PLAN_KEYS = (
    "orientation",
    "spacing_mm",
    "interpolator",
    "soften_kernel",
    "intensity",
    "suv",
    "mr_values",
    "fill_missing",
    "resample_variable",
    "dtype",
    "keep_units",
    "frequency_bins",
    "labels",
    "bias_field",
    "steps",
)


def provenance(series: Series, recipe: Recipe) -> dict[str, Any]:
    """Describe how a series is processed; the same series, recipe and software give the same description."""
    as_data = asdict(recipe)
    return {
        "software": f"prepnode {software_version()}",
        "pipeline_version": PIPELINE_VERSION,
        "versions": versions(),
        "recipe": as_data,
        "config_sha256": digest(as_data),
        "plan": plan(recipe),
        "plan_sha256": digest(plan(recipe)),
        "sop_uid_digest": sop_uid_digest(instance.sop_instance_uid for instance in series.instances),
        "content_sha256": content_digest(series),
        "study_sha256": study_digest(series),
    }


def plan(recipe: Recipe) -> dict[str, Any]:
    """Return what is to be done to voxel values, as data."""
    as_data = asdict(recipe)
    models = {model.model_id: model.sha256 for model in recipe.models}
    return {
        "pipeline_version": PIPELINE_VERSION,
        **{key: as_data[key] for key in PLAN_KEYS},
        "models": dict(sorted(models.items())),
    }


def software_version() -> str:
    """Return the version of this package."""
    return version("prepnode")


def versions() -> dict[str, str]:
    """Return the versions of Python, and of every library and table that can change a verdict or a value."""
    found = {"python": platform.python_version(), "prepnode": software_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {**found, **table_versions()}


def sop_uid_digest(uids: Iterable[str]) -> str:
    r"""Return the SHA-256 of the sorted SOP Instance UIDs, joined by "\n"."""
    return hashlib.sha256("\n".join(sorted(uids)).encode("utf-8")).hexdigest()


def content_digest(series: Series) -> str | None:
    r"""Return the SHA-256 of the instances' sorted digests, joined by "\n"; None where one is not known."""
    digests = sorted(instance.sha256 for instance in series.instances)
    known = all(digests) and bool(digests)
    return hashlib.sha256("\n".join(digests).encode("ascii")).hexdigest() if known else None


def study_digest(series: Series) -> str:
    """Return the SHA-256 of what was known of the other series of the study: rules may look at them."""
    return digest(sorted([sibling.series_instance_uid, sibling.facts] for sibling in series.study))


def changed_versions(recorded: Mapping[str, Any]) -> list[Finding]:
    """Compare a recorded provenance with the software that runs now (PRV-001).

    The same input, plan and software give the same bytes; with other software a difference
    may be due to it, so the finding names what changed: library, version then, version now.
    """
    now = {"pipeline_version": PIPELINE_VERSION, **versions()}
    then = {"pipeline_version": recorded.get("pipeline_version"), **recorded.get("versions", {})}
    names = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    if not names:
        return []
    changes = {name: {"recorded": then.get(name), "now": now.get(name)} for name in names}
    words = ", ".join(f"{name} {then.get(name, 'absent')} -> {now.get(name, 'absent')}" for name in names)
    message = f"the result was made by other versions than those installed now: {words}"
    return [Finding("PRV-001", Severity.WARN, message, evidence={"versions": changes})]


def volume_uid(series: Series, volume: Volume) -> str:
    """Name a volume by what it was made of: series, split keys and frames. It never depends on the recipe."""
    frames = sorted(_frame_name(*frame.identity) for frame in volume.frames)
    content = canonical([series.series_instance_uid, volume.split_key, frames])
    return str(uuid.uuid5(NAMESPACE, content))


def _frame_name(sop_instance_uid: str, number: int, tile: int) -> str:
    return f"{sop_instance_uid}#{number}" + (f".{tile}" if tile else "")


def derived_uid(*parts: str) -> str:
    """Compute a DICOM UID from what a derived object is made of, so that a re-run makes the same object.

    Source: PS3.5 section B.2 (UUID derived UIDs, root 2.25).
    """
    return f"2.25.{uuid.uuid5(NAMESPACE, canonical(list(parts))).int}"
