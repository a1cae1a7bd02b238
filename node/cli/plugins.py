"""`prepnode plugins`: what is installed, by entry-point group."""

from __future__ import annotations

import click

from handlers.api import GROUPS, installed
from node.cli.printing import format_options, print_rows


@click.command()
@format_options
def plugins(output_format: str | None) -> None:
    """List the rules, steps, writers, handlers and destinations that a profile or destination can name.

    Built-ins and those of installed packages come through the same door: an entry point in
    one of these groups. docs/extending.md shows how to write one.
    """
    rows = [
        {"group": group, "name": name, "provided_by": value}
        for group in GROUPS
        for name, value in installed(group).items()
    ]
    print_rows(rows, ["group", "name", "provided_by"], output_format=output_format, title="plug-ins")
