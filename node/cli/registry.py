"""`prepnode registry`: verify it, bring it up to date, or build it anew from the received files."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from node.cli.main import config_option, load_config
from node.cli.printing import format_options, print_rows
from node.cli.progress import progress
from node.clock import utc_now
from node.recovery import rebuild as rebuild_from
from node.registry import queries
from node.registry.database import engine, read_engine
from node.registry.database import migrate as bring_up_to_date
from node.registry.repository import Repository
from node.spool import Spool
from node.verification import Kind, Pace, Verification

COLUMNS = ["problem", "SOPInstanceUID", "calling_ae_title", "path", "todo"]


@click.group()
def registry() -> None:
    """Verify the registry, bring it up to date, or build it anew from the spool."""


@registry.command(short_help="Bring the tables to the newest version.")
@config_option
def migrate(config_file: Path | None) -> None:
    """Bring the tables to the newest version; `serve` does so at every start."""
    config = load_config(config_file)
    bring_up_to_date(engine(config.registry_url))
    click.echo(f"{config.registry_url}: up to date")


@registry.command(short_help="Register every received file of the spool anew.")
@config_option
def rebuild(config_file: Path | None) -> None:
    """Register every received file of the spool, after the registry was lost or damaged.

    Move a damaged registry away first, and stop the node. What is registered already stays as
    it is. Series that were unknown become complete, and are processed, once more.
    """
    config = load_config(config_file)
    spool = Spool(config.spool_dir)
    spool.lock()
    repository = Repository(engine(config.registry_url))
    bring_up_to_date(repository.engine)
    with progress("registering", sum(1 for _ in spool.stored())) as shown:
        count = rebuild_from(repository, spool, utc_now(), shown.advance)
    spool.close()
    click.echo(f"{count} instances of {config.spool_dir / 'store'} are registered")


@registry.command(short_help="Read every received file again and compare its digest.")
@config_option
@click.option(
    "--max-mb-per-s",
    type=click.FloatRange(min=0, min_open=True),
    help="Read no faster than this, to leave the disk to the node.",
)
@format_options
def verify(config_file: Path | None, max_mb_per_s: float | None, output_format: str | None) -> None:
    """Read every received file again, and compare it with the digest taken when it arrived.

    Lists rows whose file is missing, corrupt or unreadable, and files that no row names, each
    with what to do; exits 1 when there are any. Files that retention has removed are none of
    them. The node may be running.
    """
    config = load_config(config_file)
    reader = read_engine(config.registry_url)
    pace = None if max_mb_per_s is None else Pace(max_mb_per_s)
    verification = Verification(reader, config.spool_dir, pace=pace)
    with progress("verifying", queries.instance_count(reader)) as shown:
        problems = list(verification.rows(shown.advance))
    with progress("looking for files without a row", queries.series_count(reader)) as shown:
        problems += verification.files(shown.advance)
    counts = {str(kind).lower(): verification.counts[kind] for kind in Kind}
    repository = Repository(engine(config.registry_url))
    repository.record_event("registry.verified", utc_now(), counts=counts, bytes=verification.n_bytes)
    if problems or output_format:
        rows = [problem.row() for problem in problems]
        print_rows(rows, COLUMNS, output_format=output_format, title="problems")
    summary = ", ".join(f"{count} {name}" for name, count in counts.items())
    click.echo(f"{summary}; {verification.n_bytes / 1e9:.2f} GB read", err=True)
    sys.exit(1 if problems else 0)
