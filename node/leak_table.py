"""What a set of outputs tells of each volume, as one flat row: sidecar, report, file name, registry."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from node.errors import NodeError

KEYS = ("volume_uid", "file", "SeriesInstanceUID", "StudyInstanceUID")  # what a table of labels may name
UID = re.compile(r"\d+(\.\d+){4,}", re.ASCII)
ROOT_COMPONENTS = 5  # "1.2.840.113619.2": who gave the UID, hence vendor or site
MAX_LIST = 16  # an affine has 4 x 4 numbers; longer lists are known by their length


@dataclass(frozen=True, slots=True)
class Row:
    """One volume: what identifies it (see `KEYS`), and everything that is told of it."""

    keys: Mapping[str, str]
    attributes: dict[str, Any] = field(default_factory=dict)


def rows_of(outputs: Path, registry: Mapping[str, Mapping[str, Any]] | None = None) -> list[Row]:
    """Read every report below a folder; one row for each volume that has a file.

    `registry` maps a SeriesInstanceUID to its columns of `research_series`.

    Raises:
        NodeError: a report or sidecar cannot be read, or there is no volume.
    """
    found = [
        row for path in sorted(outputs.rglob("report.json")) for row in _rows(path, outputs, registry or {})
    ]
    if not found:
        raise NodeError(f"no volume with a report.json in {outputs}")
    return found


def labels_of(path: Path, *, label: str | None, key: str | None) -> tuple[str, dict[str, str]]:
    """Read a CSV file of labels; return what its key column is (see `KEYS`), and key -> label.

    Raises:
        NodeError: the file has no such columns, or gives one key two labels.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = list(csv.DictReader(file))
    columns = list(lines[0]) if lines else []
    key = key or next((name for name in KEYS if name in columns), None)
    rest = [name for name in columns if name not in KEYS]
    label = label or ("label" if "label" in columns else rest[0] if len(rest) == 1 else None)
    if key not in KEYS or key not in columns:
        raise NodeError(
            f"{path} needs a column that is one of {', '.join(KEYS)}; it has: {', '.join(columns)}"
        )
    if label is None or label not in columns:
        raise NodeError(f"say with --label which column is the label; {path} has: {', '.join(columns)}")
    result: dict[str, str] = {}
    for line in lines:
        if line[label] and result.setdefault(line[key], line[label]) != line[label]:
            raise NodeError(f"{path} gives {line[key]} the labels {result[line[key]]} and {line[label]}")
    return key, result


def _rows(path: Path, outputs: Path, registry: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:
    report = _loaded(path)
    series_uid = str(report.get("SeriesInstanceUID", ""))
    whole = {key: value for key, value in report.items() if key not in {"volumes", "findings", "products"}}
    of_series = dict(_flat("report", whole)) | dict(_findings("report.findings", report.get("findings", ())))
    for name, value in registry.get(series_uid, {}).items():
        of_series |= dict(_flat(f"registry.{name}", value))
    for volume in report.get("volumes", ()):
        if not volume.get("file"):
            continue
        file = path.parent / volume["file"]
        beside = file.with_name(f"v{volume['index']}.json")
        sidecar = _loaded(beside) if beside.is_file() else {}
        block = sidecar.get("node", {})
        relative = file.relative_to(outputs)
        row = Row(
            {
                "volume_uid": str(block.get("volume_uid", "")),
                "file": relative.as_posix(),
                "SeriesInstanceUID": series_uid,
                "StudyInstanceUID": str(report.get("StudyInstanceUID", "")),
            },
            dict(of_series),
        )
        row.attributes.update(_flat("report.volume", volume))
        row.attributes.update(_flat("sidecar", sidecar))
        row.attributes.update(_findings("sidecar.findings", block.get("findings", ())))
        row.attributes.update(_path(relative))
        row.attributes["file.size_bytes"] = file.stat().st_size if file.is_file() else None
        yield row


def _path(relative: Path) -> Iterator[tuple[str, Any]]:
    for depth, part in enumerate(relative.parts[:-1]):
        yield from _flat(f"file.folder_{depth}", part)
    yield "file.name", relative.name


def _findings(name: str, findings: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Say which codes are there; and the evidence of each, which may quote free text."""
    for finding in findings:
        yield f"{name}.{finding['code']}", True
        yield from _flat(f"{name}.{finding['code']}.evidence", finding.get("evidence", {}))


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, number or text); a UID also by its root and its further components, as numbers."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(f"{name}.{key}", item)
    elif isinstance(value, (list, tuple)):
        yield f"{name}.length", len(value)
        if len(value) <= MAX_LIST and not any(isinstance(item, Mapping) for item in value):
            for place, item in enumerate(value):
                yield from _flat(f"{name}.{place}", item)
    elif isinstance(value, str) and UID.fullmatch(value):
        parts = value.split(".")
        yield name, value
        yield f"{name} (root)", ".".join(parts[:ROOT_COMPONENTS])
        for place, part in enumerate(parts[ROOT_COMPONENTS:], ROOT_COMPONENTS):
            yield f"{name} (component {place})", int(part)
    elif isinstance(value, datetime):
        yield name, value.timestamp()  # the order of arrival
    else:
        yield name, value


def _loaded(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NodeError(f"{path} cannot be read: {error}") from error
    return found
