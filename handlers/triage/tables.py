"""The versioned tables in `conf/`: read once, when the first rule asks."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "conf"  # beside `handlers`, in a checkout and in the wheel


@cache
def table(name: str) -> Mapping[str, Any]:
    """Return `conf/<name>.toml`.

    Raises:
        OSError: the installation lacks the file.
        tomllib.TOMLDecodeError: the file was edited and is no TOML any more.
    """
    with (FOLDER / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)
