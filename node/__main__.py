"""The command `prepnode`."""

from __future__ import annotations

import sys

import click

from node.cli.main import cli
from node.errors import ConfigError, NodeError


def main() -> None:
    """Run the command; a mistake in the configuration exits with 2, any other failure with 1."""
    try:
        cli.main(standalone_mode=True)
    except ConfigError as error:
        for mistake in error.mistakes:
            click.echo(mistake, err=True)
        sys.exit(2)
    except NodeError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
