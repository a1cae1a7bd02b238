"""`prepnode landmarks`: what was measured of cohorts, and the intensity models fitted to it."""

from __future__ import annotations

import getpass
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Engine

from node.cli.main import config_option, load_config
from node.cli.printing import format_options, print_rows
from node.clock import utc_now
from node.errors import NodeError
from node.registry import intensity
from node.registry.database import engine, read_engine
from node.registry.repository import Repository

KINDS = ("nyul", "histogram", "frequency")
MEASURED_AS = {"histogram": "nyul"}  # both map the same landmarks
kind_option = click.option(
    "--kind", type=click.Choice(KINDS), default="nyul", show_default=True, help="Kind of model."
)


@click.group()
def landmarks() -> None:
    """See the intensity landmarks of accepted volumes; fit, activate and watch models of cohorts.

    A model is fitted to the volumes that you choose, is a candidate first, and is used by profiles with
    `intensity = "nyul"` or "histogram", or `frequency_bins`, once you have activated it.
    """


@landmarks.command("list")
@config_option
@format_options
def list_cohorts(config_file: Path | None, output_format: str | None) -> None:
    """List the cohorts: how many volumes of each are known, and which model is active."""
    reader = _reader(config_file)
    counts = Counter((row["kind"], row["cohort"]) for row in intensity.landmarks_of(reader))
    active = {
        (row["kind"], row["cohort"]): row["model_id"] for row in intensity.models(reader, state=_ACTIVE)
    }
    rows = [
        {
            "kind": kind,
            "cohort": cohort,
            "volumes": counts[kind, cohort],
            "active": active.get((kind, cohort)),
        }
        for kind, cohort in sorted({*counts, *active})
    ]
    print_rows(rows, ["kind", "cohort", "volumes", "active"], output_format=output_format, title="cohorts")


@landmarks.command()
@config_option
@click.argument("cohort")
@kind_option
@format_options
def volumes(config_file: Path | None, cohort: str, kind: str, output_format: str | None) -> None:
    """List the volumes of a cohort that a model can be fitted to."""
    rows = intensity.landmarks_of(_reader(config_file), MEASURED_AS.get(kind, kind), cohort)
    columns = ["volume_uid", "manufacturer", "profile", "created_at", "SeriesInstanceUID", "volume_index"]
    print_rows(rows, columns, output_format=output_format, title="volumes")


@landmarks.command()
@config_option
@format_options
def models(config_file: Path | None, output_format: str | None) -> None:
    """List all models, whatever their state; --json shows what they hold."""
    columns = ["model_id", "state", "n", "drift", "created_at", "created_by", "sha256"]
    print_rows(intensity.models(_reader(config_file)), columns, output_format=output_format, title="models")


@landmarks.command()
@config_option
@click.argument("cohort")
@click.argument("volume_uids", nargs=-1)
@kind_option
@click.option("--all", "take_all", is_flag=True, help="Fit to every volume of the cohort.")
@click.option(
    "--volumes", "file", type=click.Path(path_type=Path, exists=True), help="A file: one volume_uid a line."
)
@click.option("--manufacturer", help="Fit to, and use for, volumes of this manufacturer only.")
def fit(config_file: Path | None, cohort: str, volume_uids: tuple[str, ...], **options: Any) -> None:
    """Fit a new version of the model of a cohort to the volumes that you choose; it becomes a candidate."""
    from node.landmarks import chosen, objection
    from node.landmarks import fit as fitted

    database = engine(load_config(config_file).registry_url)
    kind, maker, file = options["kind"], options["manufacturer"], options["file"]
    rows: Any = intensity.landmarks_of(database, MEASURED_AS.get(kind, kind), cohort, maker)
    named = {*volume_uids, *(file.read_text(encoding="utf-8").split() if file else ())}
    if bool(named) == options["take_all"]:
        raise NodeError("say which volumes: their volume_uids, --volumes FILE, or --all")
    rows = rows if options["take_all"] else chosen(rows, named)
    key = f"{cohort}/{maker}" if maker else cohort
    version = intensity.next_version(database, kind, key)
    model = fitted(rows, kind=kind, cohort=key, version=version)
    Repository(database).add_model(model, who=getpass.getuser(), now=utc_now())
    click.echo(f"{kind}:{key}:v{version}: {model['n']} volumes, sha256 {model['sha256']}")
    if problem := objection(model):
        click.echo(f"it cannot be activated: {problem}", err=True)


@landmarks.command()
@config_option
@click.argument("model_id")
def activate(config_file: Path | None, model_id: str) -> None:
    """Use a model from now on; the version that was in use is retired and kept."""
    from node.landmarks import objection

    database = engine(load_config(config_file).registry_url)
    model = _model(database, model_id)
    if problem := objection(model):
        raise NodeError(f"{model_id} cannot be activated: {problem}")
    _set_state(database, model, _ACTIVE)


@landmarks.command()
@config_option
@click.argument("model_id")
def retire(config_file: Path | None, model_id: str) -> None:
    """Use a model no more; it is kept for what was made with it."""
    database = engine(load_config(config_file).registry_url)
    _set_state(database, _model(database, model_id), intensity.ModelState.RETIRED)


@landmarks.command()
@config_option
@format_options
def drift(config_file: Path | None, output_format: str | None) -> None:
    """Compare the newest volumes of cohorts with their active models; exit 1 when one has drifted."""
    from node.landmarks import drift as drift_of

    reader = _reader(config_file)
    rows = []
    for model in intensity.models(reader, state=_ACTIVE):
        if model["kind"] == "nyul":
            cohort, maker = _parts(reader, model)
            rows.append(drift_of(model, intensity.landmarks_of(reader, "nyul", cohort, maker)))
    columns = ["model_id", "recent_volumes", "drift", "is_drifting"]
    print_rows(rows, columns, output_format=output_format, title="drift")
    sys.exit(1 if any(row["is_drifting"] for row in rows) else 0)


_ACTIVE = intensity.ModelState.ACTIVE


def _parts(reader: Engine, model: dict[str, Any]) -> tuple[str, str | None]:
    """Return the cohort of a model's volumes, and their manufacturer when it is for one alone."""
    head, _, last = model["cohort"].rpartition("/")
    is_of_one = bool(intensity.landmarks_of(reader, "nyul", head, last))
    return (head, last) if is_of_one else (model["cohort"], None)


def _model(database: Engine, model_id: str) -> dict[str, Any]:
    for row in intensity.models(database):
        if row["model_id"] == model_id:
            return row
    raise NodeError(f"there is no model {model_id}; see `prepnode landmarks models`")


def _set_state(database: Engine, model: dict[str, Any], state: intensity.ModelState) -> None:
    Repository(database).set_model_state(model, state, who=getpass.getuser(), now=utc_now())
    click.echo(f"{model['model_id']}: {state}")


def _reader(config_file: Path | None) -> Engine:
    return read_engine(load_config(config_file).registry_url)
