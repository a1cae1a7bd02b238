"""What can be checked of a configuration before anything starts: names, plug-ins, files, folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from functools import partial

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from handlers.api import installed
from node.config import Config
from node.errors import ConfigError
from node.header_facts import WANTED
from node.profile_keys import Profile
from node.recipes import recipe_of

PLUGIN_KEYS = (
    ("rules", "prepnode.triage_rules"),
    ("steps", "prepnode.steps"),
    ("writers", "prepnode.writers"),
)
NODE_FACTS = ("CalledAET", "CallingAET", "source")  # what a route can ask for beside DICOM keywords
DATABASES = ("sqlite", "postgresql")


def check(config: Config) -> None:
    """Check what the shape of the file alone does not show.

    Raises:
        ConfigError: with every mistake found.
    """
    from node.forwarding import destinations
    from node.listener import tls, users
    from node.web.app import read_token

    mistakes = [
        *_node_mistakes(config),
        *_database_mistakes(config),
        *_route_mistakes(config),
        *_profile_mistakes(config),
        *_plugin_mistakes(config),
        *(each for name in config.profile for each in _mistakes_of(partial(recipe_of, name), config)),
    ]
    looks: tuple[Callable[[Config], object], ...] = (
        lambda each: tls.tls_context(each.tls),
        lambda each: users.users(each.listener.users_file),
        destinations.check,
        read_token,
    )
    for look in looks:
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
                yield (
                    f"profile.{name}.{key}: no plug-in {each!r}{_perhaps(each, known)};"
                    f" installed: {', '.join(known) or 'none'}"
                )


def _route_mistakes(config: Config) -> Iterator[str]:
    """A route that asks for what no series has would never match, and nobody would be told."""
    known = {*(keyword for keyword, _ in WANTED.values()), *NODE_FACTS}
    for index, route in enumerate(config.route):
        for key in route.match:
            if key not in known:
                yield (
                    f"route {route.name!r}: match: nothing is known of {key!r}{_perhaps(key, known)};"
                    f" there are: {', '.join(sorted(known))}"
                )
        if any(route.name == other.name for other in config.route[:index]):
            yield f"route {route.name!r} is defined twice"


def _profile_mistakes(config: Config) -> Iterator[str]:
    for name, profile in config.profile.items():
        if profile.intensity != "none":
            known = ("none", *_intensities())
            if profile.intensity not in known:
                yield f"profile.{name}.intensity: {profile.intensity!r} is not among {', '.join(known)}"
        yield from (f"profile.{name}.policy: {each}" for each in _unknown_codes(profile))


def _unknown_codes(profile: Profile) -> Iterator[str]:
    if profile.rules or profile.steps or profile.handler:
        return  # they may bring codes of their own
    from handlers.findings import CODES

    for code in profile.policy:
        if code not in CODES:
            yield f"there is no finding {code!r}{_perhaps(code, CODES)}; docs/findings.md lists them"


def _intensities() -> tuple[str, ...]:
    from handlers.normalization.intensity import FOREGROUND_METHODS, windows

    return (*FOREGROUND_METHODS, *windows())


def _perhaps(word: str, known: Iterable[str]) -> str:
    """Return what was perhaps meant, as the middle of a sentence."""
    close = get_close_matches(word, list(known), n=1)
    return f", perhaps {close[0]!r}" if close else ""


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


def _database_mistakes(config: Config) -> Iterator[str]:
    for key, url in (("registry.url", config.registry_url), ("jobs.url", config.jobs_url)):
        try:
            kind = make_url(url).get_backend_name()
        except ArgumentError:
            yield f"{key}: it is not a database URL; conf/node.toml has examples"
            continue
        if kind not in DATABASES:
            yield f"{key}: {kind!r} is not among {', '.join(DATABASES)}"
