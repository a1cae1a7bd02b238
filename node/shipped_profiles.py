"""The profiles that come with the node, as `conf/profiles.toml` has them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any


@cache
def text() -> str:
    """Return the file of the profiles as it is written, comments and all."""
    return resources.files("conf").joinpath("profiles.toml").read_text(encoding="utf-8")


@cache
def tables() -> Mapping[str, Mapping[str, Any]]:
    """Return the profiles, name -> keys as in a table `[profile.<name>]` of node.toml."""
    found: Mapping[str, Mapping[str, Any]] = tomllib.loads(text())["profile"]
    return found


def text_of(name: str) -> str:
    """Return one profile with the comment above it, ready to be copied into node.toml.

    Raises:
        KeyError: there is none of this name.
    """
    lines = text().splitlines()
    header = f"[profile.{name}]"
    if header not in lines:
        raise KeyError(name)
    start = end = lines.index(header)
    while start and lines[start - 1].startswith("# "):
        start -= 1
    while end < len(lines) and lines[end].strip():
        end += 1
    return "\n".join(lines[start:end]) + "\n"
