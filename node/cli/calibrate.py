"""`prepnode calibrate`: fit the confidence of contrast phases on cases that a person has reviewed."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from node.cli.main import DEFAULT_CONFIG, config_option, load_config
from node.cli.printing import print_rows
from node.errors import NodeError

FILE_NAME = "contrast-calibration.json"


@click.command()
@click.argument("cases", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--reports",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of report.json files. Default: the registry.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Default: beside the configuration."
)
@config_option
def calibrate(cases: Path, reports: Path | None, out: Path | None, config_file: Path | None) -> None:
    """Fit the confidence of contrast phases on CASES, a CSV file with SeriesInstanceUID and label.

    Prints a reliability table, of cases that the fit has not seen, and writes the calibration. A profile
    uses it by `contrast_calibration`. A series with several volumes is left out: the label does not say
    which one is meant.
    """
    from handlers.triage import phase_calibration

    labels = dict(_labels(cases))
    scores = _of_reports(reports) if reports else _of_registry(config_file, labels)
    usable = [
        (scores[uid], code)
        for uid, label in sorted(labels.items())
        if scores.get(uid) and (code := phase_calibration.code_of(label))
    ]
    click.echo(f"{len(usable)} of {len(labels)} cases can be used", err=True)
    try:
        content = phase_calibration.fit(usable)
    except ValueError as error:
        raise NodeError(f"no calibration: {error}") from None
    path = out or (config_file or DEFAULT_CONFIG).parent / FILE_NAME
    version = 1 + (json.loads(path.read_text("utf-8")).get("version", 0) if path.exists() else 0)
    sealed = phase_calibration.sealed({"version": version, **content})
    path.write_text(json.dumps(sealed, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print_rows(
        content["reliability"]["after"],
        ["from", "to", "cases", "confidence", "right"],
        output_format=None,
        title="reliability",
    )
    gap = content["calibration_error"]
    click.echo(f"temperature {content['temperature']}")
    click.echo(f"calibration error {gap['before']} before, {gap['after']} after")
    click.echo(f"version {version} written to {path}")


def _labels(path: Path) -> Iterator[tuple[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not {"SeriesInstanceUID", "label"} <= set(reader.fieldnames or ()):
            raise NodeError(f"{path} needs the columns SeriesInstanceUID and label")
        for row in reader:
            yield row["SeriesInstanceUID"].strip(), row["label"] or ""


def _of_reports(folder: Path) -> dict[str, Mapping[str, float]]:
    found = {}
    for path in sorted(folder.rglob("report.json")):
        report = json.loads(path.read_text("utf-8"))
        found[report["SeriesInstanceUID"]] = _only(report["volumes"])
    return found


def _of_registry(config_file: Path | None, uids: Mapping[str, str]) -> dict[str, Mapping[str, float]]:
    from node.registry import queries
    from node.registry.database import read_engine

    engine = read_engine(load_config(config_file).registry_url)
    shown = {uid: queries.series_show(engine, uid) for uid in uids}
    return {uid: _only([v["description"] for v in row["volumes"]]) for uid, row in shown.items() if row}


def _only(volumes: list[dict[str, Any]]) -> Mapping[str, float]:
    """Return the scores of the only volume that has some; {} when there are several."""
    scores = [s for volume in volumes if (s := (volume.get("contrast") or {}).get("scores"))]
    return scores[0] if len(scores) == 1 else {}
