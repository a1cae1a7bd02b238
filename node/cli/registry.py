"""`prepnode registry`: bring the registry up to date, or build it anew from the received files."""

from __future__ import annotations

from pathlib import Path

import click

from node.cli.main import config_option, load_config
from node.cli.progress import progress
from node.clock import utc_now
from node.recovery import rebuild as rebuild_from
from node.registry.database import engine
from node.registry.database import migrate as bring_up_to_date
from node.registry.repository import Repository
from node.spool import Spool


@click.group()
def registry() -> None:
    """Bring the registry up to date, or build it anew from the spool."""


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
