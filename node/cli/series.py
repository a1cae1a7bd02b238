"""`prepnode series`: look at series, and give a person's word on them."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Engine

from node.cli.main import config_option, load_config
from node.cli.printing import format_options, print_rows
from node.clock import utc_now
from node.errors import NodeError
from node.registry import queries
from node.registry.database import engine, read_engine
from node.registry.repository import Repository
from node.registry.states import SeriesState

LIST_COLUMNS = [
    "last_received_at",
    "Modality",
    "n_instances",
    "state",
    "revision",
    "verdict",
    "reason",
    "SeriesInstanceUID",
]


@click.group()
def series() -> None:
    """List and show series; complete, reprocess, release or reject them."""


@series.command("list")
@config_option
@click.option(
    "--state", type=click.Choice(list(SeriesState), case_sensitive=False), help="Only series in this state."
)
@click.option("--modality", help="Only this Modality.")
@click.option("--limit", default=100, show_default=True, help="At most so many, the latest first.")
@format_options
def list_series(
    config_file: Path | None, state: str | None, modality: str | None, limit: int, output_format: str | None
) -> None:
    """List series, the latest first."""
    rows = queries.series_list(_reader(config_file), state=state, modality=modality, limit=limit)
    print_rows(rows, LIST_COLUMNS, output_format=output_format, title="series")


@series.command(short_help="Show one series and all that is known of it.")
@config_option
@click.argument("uid")
@format_options
def show(config_file: Path | None, uid: str, output_format: str | None) -> None:
    """Show one series: state, volumes, findings, outputs, deliveries, history."""
    found = queries.series_show(_reader(config_file), uid)
    if found is None:
        raise NodeError(f"no series {uid} in the registry; `prepnode series list` shows what there is")
    if output_format:
        print_rows([found], list(found), output_format=output_format)
        return
    folder, found = _within_its_folder(load_config(config_file).outputs_dir, found)
    for name, value in {**found, "folder": folder}.items():
        if not isinstance(value, (list, dict)) and value not in (None, ""):
            click.echo(f"{name:24} {value}")
    _section(
        "volumes", found, ["volume_index", "verdict", "Modality", "slices", "units", "contrast_phase", "file"]
    )
    _section("findings", found, ["code", "severity", "target", "message"])
    _section("outputs", found, ["kind", "path", "size_bytes"])
    _section("deliveries", found, ["id", "revision", "destination", "state", "attempts", "due_at", "error"])
    _section("events", found, ["at", "revision", "name", "details"])


@series.command()
@config_option
@click.argument("uids", nargs=-1, required=True)
def complete(config_file: Path | None, uids: tuple[str, ...]) -> None:
    """Take series as complete now, whatever the evidence says."""
    _act(config_file, uids, "complete")


@series.command()
@config_option
@click.argument("uids", nargs=-1, required=True)
def reprocess(config_file: Path | None, uids: tuple[str, ...]) -> None:
    """Process series again, as a new revision."""
    _act(config_file, uids, "reprocess")


@series.command(short_help="Let HELD series pass, after a look at them.")
@config_option
@click.argument("uids", nargs=-1, required=True)
def release(config_file: Path | None, uids: tuple[str, ...]) -> None:
    """Release HELD series: you have looked, and take responsibility; outputs are written and sent."""
    _act(config_file, uids, "release")


@series.command(short_help="Let HELD series not pass, after a look at them.")
@config_option
@click.argument("uids", nargs=-1, required=True)
def reject(config_file: Path | None, uids: tuple[str, ...]) -> None:
    """Reject HELD series: you have looked, and they are not to be used."""
    _act(config_file, uids, "reject")


def _act(config_file: Path | None, uids: tuple[str, ...], action: str) -> None:
    """Do one action on each series; say what came of it; exit 1 when one could not be done."""
    config = load_config(config_file)
    repository = Repository(engine(config.registry_url))
    failed = False
    for uid in uids:
        try:
            state = repository.act(uid, action, who=getpass.getuser(), now=utc_now())
        except NodeError as error:
            click.echo(str(error), err=True)
            failed = True
        else:
            click.echo(f"{uid}: {state}")
    sys.exit(1 if failed else 0)


def _within_its_folder(outputs: Path, found: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the folder of the results, and the series with paths relative to it: whole ones fill a table."""
    inner = f"{found['StudyInstanceUID']}/{found['SeriesInstanceUID']}/r{found['revision']}/"
    shorter = {
        name: [{**row, key: (row[key] or "").removeprefix(inner)} for row in found[name]]
        for name, key in (("volumes", "file"), ("outputs", "path"))
    }
    return str(outputs / inner) if found["outputs"] else "", {**found, **shorter}


def _section(name: str, found: dict[str, Any], columns: list[str]) -> None:
    if found[name]:
        click.echo()
        print_rows(found[name], columns, output_format=None, title=name)


def _reader(config_file: Path | None) -> Engine:
    return read_engine(load_config(config_file).registry_url)
