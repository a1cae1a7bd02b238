"""The versioned tables in `conf/`: the numbers and words that rules and steps go by, read once."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

# Every table that can change a verdict or a value.
NAMES = (
    "aorta", "cohorts", "confidentiality", "derived", "gating", "geometry", "hounsfield", "kernels", "pet",
    "phases", "privacy", "private_tags", "projections", "windows",
)  # fmt: skip
SHORT = 12  # hexadecimal digits of a digest that tell two tables apart


@cache
def table(name: str) -> Mapping[str, Any]:
    """Return `conf/<name>.toml`.

    Raises:
        OSError: the installation lacks the file.
        tomllib.TOMLDecodeError: the file was edited and is no TOML any more.
    """
    return tomllib.loads(_content(name).decode("utf-8"))


@cache
def table_versions() -> dict[str, str]:
    """Return version and digest of every table, so that an edited one is seen in what it made.

    "conf/geometry.toml" -> "1 (sha256 3fa9c2d1...)".
    """
    return {
        f"conf/{name}.toml": f"{table(name)['version']} (sha256 {_digest(name)[:SHORT]})" for name in NAMES
    }


def _content(name: str) -> bytes:
    return resources.files("conf").joinpath(f"{name}.toml").read_bytes()


def _digest(name: str) -> str:
    return hashlib.sha256(_content(name)).hexdigest()
