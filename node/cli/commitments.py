"""`prepnode commitments`: what senders asked to be kept, and whether they know the result."""

from __future__ import annotations

from pathlib import Path

import click

from node.cli.main import config_option, load_config
from node.cli.printing import format_options, print_rows
from node.clock import utc_now
from node.errors import NodeError
from node.registry import queries
from node.registry.database import engine, read_engine
from node.registry.repository import Repository
from node.registry.states import CommitmentState

COLUMNS = [
    "id",
    "calling_ae_title",
    "state",
    "n_references",
    "n_failed",
    "received_at",
    "due_at",
    "attempts",
    "TransactionUID",
    "error",
]


@click.group()
def commitments() -> None:
    """List storage commitments, and have their results reported again."""


@commitments.command("list")
@config_option
@click.option(
    "--state",
    type=click.Choice(list(CommitmentState), case_sensitive=False),
    help="Only commitments in this state.",
)
@click.option("--limit", default=100, show_default=True, help="At most so many, the latest first.")
@format_options
def list_commitments(
    config_file: Path | None, state: str | None, limit: int, output_format: str | None
) -> None:
    """List storage commitments, the latest first."""
    reader = read_engine(load_config(config_file).registry_url)
    rows = queries.commitments_list(reader, state=state, limit=limit)
    print_rows(rows, COLUMNS, output_format=output_format, title="commitments")


@commitments.command()
@config_option
@click.argument("ids", nargs=-1, type=int)
@click.option("--failed", is_flag=True, help="Report every result that was given up.")
def retry(config_file: Path | None, ids: tuple[int, ...], failed: bool) -> None:  # noqa: FBT001 - a click flag
    """Report results now, by their ids, or all that FAILED."""
    config = load_config(config_file)
    if failed:
        rows = queries.commitments_list(read_engine(config.registry_url), state="FAILED", limit=100_000)
        ids = tuple({*ids, *(row["id"] for row in rows)})
    if not ids:
        raise NodeError("nothing to retry: give ids (see `prepnode commitments list`) or --failed")
    repository = Repository(engine(config.registry_url))
    for commitment_id in sorted(ids):
        repository.retry_commitment(commitment_id, now=utc_now())
        click.echo(f"commitment {commitment_id}: due now")
