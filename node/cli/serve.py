"""`prepnode serve` and `prepnode check-config`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from node.cli.main import config_option, load_config


@click.command()
@config_option
@click.option(
    "--only",
    type=click.Choice(["listener", "worker", "web"]),
    help="Run one part alone, to spread a node over several machines that share data_dir and registry.",
)
@click.option(
    "--log-level", default="INFO", show_default=True, type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"])
)
def serve(config_file: Path | None, only: str | None, log_level: str) -> None:
    """Run the node until SIGTERM or Ctrl-C.

    Starts the listeners, the worker and the web page, restarts what dies, and on SIGTERM
    finishes the objects in flight within 30 seconds. What was not done is done at the next start.
    SIGHUP reads the configuration again: peers, limits, users and certificates.
    """
    from node import service

    read = partial(load_config, config_file)
    sys.exit(service.serve(read(), read=read, only=only, log_level=log_level))


@click.command("check-config")
@config_option
def check_config(config_file: Path | None) -> None:
    """Check a configuration and list all its mistakes; exit 2 when there are any.

    `serve` uses the same checks, so a configuration that passes here starts.
    """
    from node.precheck import check

    config = load_config(config_file)
    check(config)
    click.echo(
        f"configuration is valid: AE title {config.node.ae_title}, port {config.node.port}, "
        f"{len(config.destination)} destinations, {len(config.route)} routes, {len(config.profile)} profiles"
    )
