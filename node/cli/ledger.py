"""`prepnode ledger`: is everything that was acknowledged accounted for?"""

from __future__ import annotations

import getpass
import sys
from datetime import date, timedelta
from pathlib import Path

import click

from node.cli.main import config_option, load_config
from node.cli.printing import format_options, print_rows
from node.clock import utc_now
from node.config import Config
from node.errors import NodeError
from node.ledger import balance, problems
from node.registry.database import engine, read_engine
from node.registry.repository import Repository

COLUMNS = [
    "day",
    "calling_ae_title",
    "acknowledged",
    "registered",
    "pending",
    "receiving",
    "complete",
    "processing",
    "processed",
    "held",
    "failed",
    "lost",
    "balance",
]


@click.command()
@config_option
@click.option("--days", default=30, show_default=True, type=click.IntRange(1), help="Only so many days.")
@click.option(
    "--settle",
    nargs=2,
    metavar="DAY PEER",
    help="Take the difference of one day (YYYY-MM-DD) and calling AE title as known: it alarms no more.",
)
@format_options
def ledger(
    config_file: Path | None, days: int, settle: tuple[str, str] | None, output_format: str | None
) -> None:
    """Balance acknowledged objects against registered ones, for each peer and day (UTC).

    acknowledged = registered + pending, and registered = receiving + complete + processing +
    processed + held + failed, but for objects that came twice. --json and --csv show all
    terms. Exits 1 when a line does not balance, and says why and what to do.
    """
    config = load_config(config_file)
    if settle is not None:
        _settle(config, *settle)
        return
    since = utc_now().date() - timedelta(days=days - 1)
    lines = balance(read_engine(config.registry_url), config.spool_dir, since)
    print_rows([line.row() for line in lines], COLUMNS, output_format=output_format, title="ledger")
    found = [problem for line in lines for problem in problems(line)]
    for problem in found:
        click.echo(problem, err=True)
    sys.exit(1 if found else 0)


def _settle(config: Config, day: str, calling_ae_title: str) -> None:
    """Take the difference of one line as known.

    Raises:
        NodeError: there is nothing to settle.
    """
    try:
        wanted = date.fromisoformat(day)
    except ValueError:
        raise click.BadParameter(
            f"{day!r} is no day; write it as 2026-11-25", param_hint="--settle"
        ) from None
    lines = balance(read_engine(config.registry_url), config.spool_dir, wanted, with_rows=False)
    line = next(
        (each for each in lines if (each.day, each.calling_ae_title) == (wanted, calling_ae_title)), None
    )
    if line is None or not (line.lost or line.uncounted):
        raise NodeError(f"{day} {calling_ae_title}: nothing to settle; see `prepnode ledger --days 365`")
    amount = line.uncounted - line.lost
    peer = (line.day, line.calling_ae_title)
    repository = Repository(engine(config.registry_url))
    repository.settle(peer, amount, who=getpass.getuser(), now=utc_now())
    click.echo(f"{day} {calling_ae_title}: {abs(amount)} objects settled")
