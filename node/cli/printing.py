"""How commands print lists: a table for people, JSON or CSV for programs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

Command = TypeVar("Command", bound=Callable[..., Any])

VERDICT_STYLES = {
    "ACCEPT": "green",
    "ACCEPT_WARN": "yellow",
    "QUARANTINE": "magenta",
    "REJECT": "red",
    "FAILED": "red",
}


def format_options(command: Command) -> Command:
    """Add --json and --csv to a command; they arrive as `output_format`."""
    command = click.option(
        "--csv",
        "output_format",
        flag_value="csv",
        type=str,
        help="Print comma-separated values with a header line.",
    )(command)
    return click.option(
        "--json", "output_format", flag_value="json", type=str, help="Print a JSON array of objects."
    )(command)


def print_rows(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, output_format: str | None, title: str = ""
) -> None:
    """Print rows as a table of `columns`, or all their fields as JSON or CSV."""
    if output_format == "json":
        click.echo(json.dumps([dict(row) for row in rows], default=_plain, indent=2))
    elif output_format == "csv":
        names = list(rows[0]) if rows else list(columns)
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
    else:
        print_table(rows, columns, title=title)


def print_table(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    title: str = "",
    console: Console | None = None,
) -> None:
    """Print rows as a table; a long text folds, nothing is cut off."""
    console = console or (Console() if sys.stdout.isatty() else Console(width=200, soft_wrap=False))
    if not rows:
        console.print(f"{title or 'list'}: nothing", style="dim")
        return
    table = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        style = VERDICT_STYLES.get(str(row.get("verdict") or row.get("state")), "")
        table.add_row(*(_cell(row.get(name)) for name in columns), style=style)
    console.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (dict, list)):
        return json.dumps(value, default=_plain)
    return str(value)


def _plain(value: Any) -> Any:
    return value.isoformat() + "Z" if isinstance(value, datetime) else str(value)
