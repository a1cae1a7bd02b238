"""`prepnode user-password`: make the line of one user for `listener.users_file`."""

from __future__ import annotations

import click

from node.listener.users import line_for


@click.command("user-password", short_help="Make a line for the file of users.")
@click.argument("name")
@click.password_option("--passcode", help="Asked for when left out, so that no history of a shell keeps it.")
def user_password(name: str, passcode: str) -> None:
    """Print a line for the file of users, from which the passcode cannot be read.

    Append it to `listener.users_file` and reload the node. A sender gives NAME and passcode
    in its association request (user identity negotiation, type 2).
    """
    try:
        click.echo(line_for(name, passcode))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
