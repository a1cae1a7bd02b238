"""What every finding code means, in plain words for the person who reads a report.

The words are data, in `findings.toml` beside this file; `docs/findings.md` is made from them.
A code never changes its meaning: a rule that changes gets a new number.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from handlers.model import Severity

TABLE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True, slots=True)
class CodeInfo:
    """One finding code: what it says, what the node does about it, and what a person should do.

    `severity` is the usual one; a rule that is more or less sure in a given case may differ.
    `title` has at most 64 characters, so that it fits a DICOM Code Meaning.
    """

    code: str
    severity: Severity
    title: str
    meaning: str
    action_taken: str
    advice: str


def _load(path: Path) -> Mapping[str, CodeInfo]:
    with path.open("rb") as file:
        table = tomllib.load(file)
    return MappingProxyType(
        {
            code: CodeInfo(
                code, Severity[row["severity"]], row["title"], row["meaning"], row["action"], row["advice"]
            )
            for code, row in table.items()
        }
    )


CODES: Mapping[str, CodeInfo] = _load(TABLE)
