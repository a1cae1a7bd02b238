"""`prepnode replay`: make a recorded result again and compare it, byte for byte."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from node.cli.main import config_option, load_config
from node.config import Config
from node.errors import NodeError
from node.registry.database import read_engine
from node.replay import Recorded, Replay, folder_of, registered
from node.replay import replay as replay_of

DIFFERENT = 1


@click.command(short_help="Make a result again from its originals and compare digests.")
@click.argument("series")
@click.option(
    "--originals",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with the DICOM files that a folder of results was made from.",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for what was made; else it is removed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
def replay(
    series: str, originals: Path | None, keep: Path | None, *, as_json: bool, config_file: Path | None
) -> None:
    """Make a recorded result again and say exactly what differs.

    SERIES is the SeriesInstanceUID of a series of this node, or a folder of results (or its
    report.json) together with --originals. The recipe is the one that the report keeps.
    Software of other versions than recorded is told as PRV-001.

    Exits with 0 when every file is as recorded, with 1 when one is not or the result cannot be made again.
    """
    config = load_config(config_file)
    try:
        recorded = _recorded(series, originals, config)
        with tempfile.TemporaryDirectory(prefix="prepnode-replay-") as scratch:
            found = replay_of(recorded, config, (keep or Path(scratch)).resolve())
    except NodeError as error:
        click.echo(str(error), err=True)
        sys.exit(DIFFERENT)
    _print(found, as_json=as_json)
    sys.exit(0 if found.is_same else DIFFERENT)


def _recorded(series: str, originals: Path | None, config: Config) -> Recorded:
    if Path(series).exists():
        if originals is None:
            raise click.UsageError("a folder of results needs --originals, the folder of its DICOM files")
        return folder_of(Path(series).resolve(), originals.resolve())
    if originals is not None:
        raise click.UsageError(f"--originals goes with a folder of results, and {series!r} is none")
    engine = read_engine(config.registry_url)
    try:
        return registered(series, config, engine)
    finally:
        engine.dispose()


def _print(found: Replay, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"is_same": found.is_same, **asdict(found)}, indent=2))
        return
    for finding in found.findings:
        click.echo(f"{finding['code']} {finding['severity']}: {finding['message']}")
    for change in found.changes:
        click.echo(f"changed: {change}")
    for file in found.files:
        click.echo(f"{file.path}: {file.sameness}")
        for line in file.differences:
            click.echo(f"    {line}")
    click.echo("the result is the same" if found.is_same else "the result is not the same")
