"""`prepnode profiles`: which recipes there are, and how one is written."""

from __future__ import annotations

from pathlib import Path

import click

from node import shipped_profiles
from node.cli.main import config_option, load_config
from node.cli.printing import format_options, print_rows
from node.errors import NodeError
from node.profile_keys import Profile
from node.recipes import DEFAULT_PROFILE

COLUMNS = ["name", "origin", "orientation", "spacing_mm", "intensity", "policy"]


@click.group()
def profiles() -> None:
    """List the profiles that a route or `prepnode run --profile` can name, and show how one is written."""


@profiles.command("list")
@config_option
@format_options
def list_profiles(config_file: Path | None, output_format: str | None) -> None:
    """List the profiles: built in, shipped with the node, or of the configuration, which wins."""
    config = load_config(config_file)
    known = {DEFAULT_PROFILE: Profile(), **config.profiles}
    rows = [
        {"name": name, "origin": _origin(name, config.profile), **keys.model_dump(mode="json")}
        for name, keys in known.items()
    ]
    print_rows(rows, COLUMNS, output_format=output_format, title="profiles")


@profiles.command()
@click.argument("name")
def show(name: str) -> None:
    """Print a shipped profile as it is written, ready to be copied into node.toml and changed."""
    try:
        click.echo(shipped_profiles.text_of(name), nl=False)
    except KeyError:
        known = ", ".join(shipped_profiles.tables())
        raise NodeError(f"no profile {name!r} comes with the node; there are: {known}") from None


def _origin(name: str, own: dict[str, Profile]) -> str:
    if name in own:
        return "configuration"
    return "built in" if name == DEFAULT_PROFILE else "shipped"
