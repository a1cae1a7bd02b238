"""Let a researcher select series by an SQL condition, read-only, and see nothing but the research view.

The condition is SQL, so it is confined thrice: by its words (one condition, no query inside
it, no comment), by an engine on which the database refuses every change, and on SQLite by an
authorizer that denies every column that is not reached through the view.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, text

from node.errors import RegistryError
from node.registry.database import reading

VIEW = "research_series"
COLUMNS = (
    "SeriesInstanceUID", "StudyInstanceUID", "state", "revision", "verdict", "Modality",
    "BodyPartExamined", "Manufacturer", "ManufacturerModelName", "ProtocolName", "SeriesDescription",
    "SeriesNumber", "n_instances", "n_volumes", "n_findings", "volume_index", "columns", "rows",
    "slices", "spacing_column_mm", "spacing_row_mm", "spacing_slice_mm", "orientation", "shear_deg",
    "units", "ConvolutionKernel", "kernel_class", "contrast_phase", "contrast_confidence",
    "cardiac_phase_percent", "lossy", "n_missing", "file", "first_received_at", "processed_at",
)  # fmt: skip
TIMES = ("first_received_at", "processed_at")  # SQLite gives text, and 0 or 1 for `lossy`
LITERAL = re.compile(r"'(?:[^']|'')*'")
REFUSED = re.compile(
    r";|--|/\*|\b(?:select|with|union|intersect|except|from|into|attach|pragma|pg_\w+|current_setting)\b",
    re.IGNORECASE,
)
REFUSED_FUNCTIONS = frozenset(("load_extension", "randomblob", "zeroblob"))
ALLOWED_ACTIONS = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION))


def research_columns(engine: Engine | None = None) -> list[str]:
    """Return the names of the columns of `research_series`, in their order."""
    del engine  # the same for every registry
    return list(COLUMNS)


def research(engine: Engine, where: str = "1 = 1", *, limit: int | None = None) -> list[dict[str, Any]]:
    """Return the series that a condition selects; `engine` is a `read_engine`.

    Example: research(engine, "Modality = 'CT' AND contrast_phase = 'ARTERIAL'").

    Raises:
        RegistryError: the condition is not one, or asks for more than the view has.
    """
    _refuse(where)
    query = f"SELECT * FROM {VIEW} WHERE (\n{where}\n) ORDER BY StudyInstanceUID, SeriesInstanceUID"  # noqa: S608 - see above
    if limit is not None:
        query += f" LIMIT {int(limit)}"
    names = {name.lower(): name for name in COLUMNS}
    try:
        with reading(engine) as connection, _confined(connection):
            # text() reads :name as a parameter; a condition has none
            found = connection.execute(text(query.replace(":", r"\:")))
            return [
                _row({names[key.lower()]: value for key, value in row.items()}) for row in found.mappings()
            ]
    except RegistryError as error:
        raise RegistryError(
            f"the query cannot be answered: {str(error).removeprefix('the registry cannot be used: ')};"
            f" a condition on {VIEW} is wanted, as in \"Modality = 'CT' AND slices > 100\"."
            f" Columns: {', '.join(COLUMNS)}"
        ) from error


def _refuse(where: str) -> None:
    """Refuse what is more than one condition.

    Raises:
        RegistryError: with the word that is not taken.
    """
    bare = LITERAL.sub("''", where)
    found = REFUSED.search(bare)
    if found:
        raise RegistryError(f"a condition must not contain {found.group()!r}")
    depth = 0
    for character in bare:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
    if depth != 0 or "'" in bare.replace("''", ""):
        raise RegistryError("the parentheses or quotes of the condition do not match")


@contextmanager
def _confined(connection: Connection) -> Iterator[None]:
    """Deny SQLite everything but reading through the view."""
    raw = connection.connection.driver_connection
    if not isinstance(raw, sqlite3.Connection):
        yield
        return
    raw.set_authorizer(_authorize)
    try:
        yield
    finally:
        raw.set_authorizer(None)


def _authorize(
    action: int, first: str | None, second: str | None, _database: str | None, through: str | None
) -> int:
    """Answer SQLite's question whether a statement may do something. Source: sqlite3_set_authorizer."""
    is_denied = (
        action not in ALLOWED_ACTIONS
        or (action == sqlite3.SQLITE_READ and VIEW not in (first, through))
        or (action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in REFUSED_FUNCTIONS)
    )
    return sqlite3.SQLITE_DENY if is_denied else sqlite3.SQLITE_OK


def _row(row: dict[str, Any]) -> dict[str, Any]:
    for name in TIMES:
        if isinstance(row[name], str):
            row[name] = datetime.fromisoformat(row[name])
    if row["lossy"] is not None:
        row["lossy"] = bool(row["lossy"])
    return row
