"""What can be checked of a configuration before anything starts: plug-ins, files, folders."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

from handlers.api import installed
from node.config import Config
from node.errors import ConfigError

PLUGIN_KEYS = (
    ("rules", "prepnode.triage_rules"),
    ("steps", "prepnode.steps"),
    ("writers", "prepnode.writers"),
)


def check(config: Config) -> None:
    """Check what the shape of the file alone does not show.

    Raises:
        ConfigError: with every mistake found.
    """
    from node.forwarding import destinations
    from node.web.app import read_token

    mistakes = [*_plugin_mistakes(config), *_node_mistakes(config), *_tls_mistakes(config)]
    for look in (destinations.check, read_token):
        mistakes += _mistakes_of(look, config)
    if mistakes:
        raise ConfigError(mistakes)


def _mistakes_of(look: Callable[[Config], object], config: Config) -> list[str]:
    try:
        look(config)
    except ConfigError as error:
        return error.mistakes
    return []


def _plugin_mistakes(config: Config) -> Iterator[str]:
    for name, profile in config.profile.items():
        asked = [(key, group, each) for key, group in PLUGIN_KEYS for each in getattr(profile, key)]
        if profile.handler:
            asked.append(("handler", "prepnode.handlers", profile.handler))
        for key, group, each in asked:
            known = installed(group)
            if each not in known:
                yield f"profile.{name}.{key}: no plug-in {each!r}; installed: {', '.join(known) or 'none'}"


def _node_mistakes(config: Config) -> Iterator[str]:
    if config.node.port == 0 and config.node.listeners > 1:
        yield "node.port: 0 (any free port) works with one listener only; give a port, or listeners = 1"
    folder = config.node.data_dir
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        yield f"node.data_dir: {existing} is not a folder"
    elif not os.access(existing, os.W_OK | os.X_OK):
        what = "cannot be written" if existing == folder else f"cannot be made: {existing} cannot be written"
        yield f"node.data_dir: {folder} {what}; give it to the user that runs the node"


def _tls_mistakes(config: Config) -> Iterator[str]:
    tls = config.tls
    if not tls.enabled:
        return
    for key, path in (("cert", tls.cert), ("key", tls.key), ("ca", tls.ca)):
        if path and not os.access(path, os.R_OK):
            yield f"tls.{key}: {path} cannot be read"
    if tls.require_client_cert and not tls.ca:
        yield "tls.ca: needed to check client certificates; or set require_client_cert = false"
    if Path(tls.cert).is_file() and Path(tls.key).is_file():
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.cert, tls.key)
        except (ssl.SSLError, OSError) as error:
            yield f"tls: {tls.cert} and {tls.key} do not make a pair: {error}"
