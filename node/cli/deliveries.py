"""`prepnode deliveries`: what is on its way to destinations."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from node.cli.main import config_option, load_config
from node.cli.printing import format_options, print_rows
from node.clock import utc_now
from node.errors import NodeError
from node.registry import queries
from node.registry.database import engine, read_engine
from node.registry.repository import Repository
from node.registry.states import DeliveryState

COLUMNS = ["id", "destination", "state", "attempts", "due_at", "SeriesInstanceUID", "revision", "error"]


@click.group()
def deliveries() -> None:
    """List, retry and drop what is on its way to destinations."""


@deliveries.command("list")
@config_option
@click.option(
    "--state",
    type=click.Choice(list(DeliveryState), case_sensitive=False),
    help="Only deliveries in this state.",
)
@click.option("--limit", default=100, show_default=True, help="At most so many, the latest first.")
@format_options
def list_deliveries(
    config_file: Path | None, state: str | None, limit: int, output_format: str | None
) -> None:
    """List deliveries, the latest first."""
    rows = queries.deliveries_list(
        read_engine(load_config(config_file).registry_url), state=state, limit=limit
    )
    print_rows(rows, COLUMNS, output_format=output_format, title="deliveries")


@deliveries.command()
@config_option
@click.argument("ids", nargs=-1, type=int)
@click.option("--failed", is_flag=True, help="Retry every delivery that was given up.")
def retry(config_file: Path | None, ids: tuple[int, ...], failed: bool) -> None:  # noqa: FBT001 - a click flag
    """Try deliveries again now, by their ids, or all that FAILED."""
    config = load_config(config_file)
    if failed:
        rows = queries.deliveries_list(read_engine(config.registry_url), state="FAILED", limit=100_000)
        ids = tuple({*ids, *(row["id"] for row in rows)})
    if not ids:
        raise NodeError("nothing to retry: give ids (see `prepnode deliveries list`) or --failed")
    repository = Repository(engine(config.registry_url))
    _each(sorted(ids), lambda one: repository.retry_delivery(one, now=utc_now()), "due now")


@deliveries.command()
@config_option
@click.argument("ids", nargs=-1, type=int, required=True)
def drop(config_file: Path | None, ids: tuple[int, ...]) -> None:
    """Have deliveries never happen, by their ids; `retry` takes that back."""
    repository = Repository(engine(load_config(config_file).registry_url))
    _each(ids, lambda one: repository.drop_delivery(one, now=utc_now()), "dropped")


def _each(ids: Iterable[int], act: Callable[[int], None], done: str) -> None:
    """Act on each delivery; say what came of it; exit 1 when one could not be done."""
    failed = False
    for delivery_id in ids:
        try:
            act(delivery_id)
        except NodeError as error:
            click.echo(str(error), err=True)
            failed = True
        else:
            click.echo(f"delivery {delivery_id}: {done}")
    sys.exit(1 if failed else 0)
