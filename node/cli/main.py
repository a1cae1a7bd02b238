"""The command line: which commands there are, each loaded only when it is called."""

from __future__ import annotations

import importlib
from importlib.metadata import version
from pathlib import Path

import click

from node.config import Config, load

DEFAULT_CONFIG = Path("/etc/prepnode/node.toml")

COMMANDS = {
    "serve": ("node.cli.serve:serve", "Run the node until it is stopped."),
    "check-config": ("node.cli.serve:check_config", "Check a configuration and list all its mistakes."),
    "demo": ("node.cli.demo:demo", "Start a node, send it a study, show what it makes of it."),
    "run": ("node.cli.run:run", "Prepare the series of a folder, without a node."),
    "send": ("node.cli.send:send", "Send files or folders by C-STORE."),
    "echo": ("node.cli.send:echo", "Ask a DICOM node whether it answers (C-ECHO)."),
    "series": ("node.cli.series:series", "List and show series; complete, reprocess, release, reject them."),
    "deliveries": (
        "node.cli.deliveries:deliveries",
        "List, retry and drop what is on its way to destinations.",
    ),
    "commitments": (
        "node.cli.commitments:commitments",
        "List storage commitments, and have their results reported again.",
    ),
    "query": ("node.cli.query:query", "Select series for research."),
    "registry": (
        "node.cli.registry:registry",
        "Verify the registry, bring it up to date, or build it anew from the spool.",
    ),
    "user-password": ("node.cli.user:user_password", "Make a line for the file of users."),
    "replay": ("node.cli.replay:replay", "Make a result again from its originals and compare digests."),
    "leaks": ("node.cli.leaks:leaks", "List what in outputs would tell a model the label."),
    "ledger": ("node.cli.ledger:ledger", "Balance what was acknowledged against what became of it."),
    "landmarks": (
        "node.cli.landmarks:landmarks",
        "Fit, activate and watch intensity models of cohorts.",
    ),
    "profiles": ("node.cli.profiles:profiles", "List the profiles there are, and show how one is written."),
    "calibrate": (
        "node.cli.calibrate:calibrate",
        "Fit the confidence of contrast phases on reviewed cases.",
    ),
    "plugins": ("node.cli.plugins:plugins", "List the rules, steps, writers, handlers and destinations."),
    "bench": ("node.cli.bench:bench", "Measure this node on this machine."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("prepnode"), prog_name="prepnode")
def cli() -> None:
    """Receive DICOM series, judge them, turn them into correct volumes, and send them on.

    Most commands work on the node that `-c FILE` describes; without it, /etc/prepnode/node.toml
    is used when it exists. Every key of the file can be overridden by environment:
    PREPNODE_NODE__PORT=104 overrides `port` in the table [node].
    """


config_option = click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file (TOML). Default: /etc/prepnode/node.toml if it exists, else built-in defaults.",
)


def load_config(config_file: Path | None) -> Config:
    """Load the given configuration, else the installed one, else the defaults.

    Raises:
        ConfigError: with all mistakes.
    """
    if config_file is None and DEFAULT_CONFIG.exists():
        config_file = DEFAULT_CONFIG
    return load(config_file)
