"""`prepnode leaks`: which attributes of outputs would tell a model the label that it is to learn."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from node.cli.main import config_option, load_config
from node.cli.printing import format_options, print_rows
from node.errors import NodeError

COLUMNS = ("attribute", "skill", "by_chance", "n_values", "examples")
FOUND = 1
EXAMPLES = 3
MAX_EXAMPLE = 40  # characters


@click.command()
@click.argument("outputs", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--labels",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="CSV with a column SeriesInstanceUID, StudyInstanceUID, volume_uid or file, and one of labels.",
)
@click.option("--label", help="The column of labels; not needed when it is `label` or the only other one.")
@click.option("--key", help="The column that names the volume, when there are several.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.9,
    show_default=True,
    help="List attributes of at least this skill.",
)
@click.option("--registry", is_flag=True, help="Look at the columns of the node's registry too.")
@format_options
@config_option
def leaks(  # noqa: PLR0913 - one argument per option
    outputs: Path,
    labels: Path,
    label: str | None,
    key: str | None,
    threshold: float,
    *,
    registry: bool,
    output_format: str | None,
    config_file: Path | None,
) -> None:
    """List the attributes of OUTPUTS that tell the label: sidecar, report, file name, registry.

    Each volume's label is foretold from the other volumes that have the same value of an
    attribute, or, for numbers, the nearest. Skill 0 is guessing, 1 is perfect; an identifier
    that differs everywhere has none. `by_chance` is the share of shuffled labels that are foretold
    as well: with few volumes, chance alone makes perfect attributes.

    Exits with 1 when there is such an attribute.
    """
    try:
        rows, given = _labelled(outputs, labels, label, key, _registry(config_file) if registry else {})
    except NodeError as error:
        click.echo(str(error), err=True)
        sys.exit(FOUND)
    names, found = _judged(rows, given, threshold)
    print_rows(found, COLUMNS, output_format=output_format, title="attributes that tell the label")
    counts = ", ".join(f"{n} x {name}" for name, n in sorted(Counter(given).items()))
    click.echo(f"{len(given)} volumes ({counts}); {len(found)} of {names} attributes that vary", err=True)
    sys.exit(FOUND if found else 0)


def _registry(config_file: Path | None) -> dict[str, Mapping[str, Any]]:
    from node.registry.database import read_engine
    from node.registry.research import research

    engine = read_engine(load_config(config_file).registry_url)
    try:
        return {row["SeriesInstanceUID"]: row for row in research(engine)}
    finally:
        engine.dispose()


def _labelled(
    outputs: Path,
    labels: Path,
    label: str | None,
    key: str | None,
    registry: Mapping[str, Mapping[str, Any]],
) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Return the attributes of each volume that has a label, and the labels.

    Raises:
        NodeError: there are fewer than two labels, or one of them has fewer than two volumes.
    """
    from node.leak_table import labels_of, rows_of

    by, given = labels_of(labels, label=label, key=key)
    rows = [row for row in rows_of(outputs, registry) if row.keys[by] in given]
    found = [given[row.keys[by]] for row in rows]
    counts = Counter(found)
    if len(counts) < 2 or min(counts.values()) < 2:
        said = ", ".join(f"{n} x {name}" for name, n in sorted(counts.items())) or "none"
        raise NodeError(f"at least two labels with two volumes each are needed; matched by {by}: {said}")
    return [row.attributes for row in rows], found


def _judged(
    rows: Sequence[Mapping[str, Any]], given: Sequence[str], threshold: float
) -> tuple[int, list[dict[str, Any]]]:
    """Return how many attributes vary, and those of enough skill, the most telling first."""
    import numpy as np

    from node.leak_score import by_chance, skill

    order = {name: place for place, name in enumerate(sorted(set(given)))}
    labels = np.array([order[name] for name in given], np.intp)
    found, n_varying = [], 0
    for name in sorted({name for row in rows for name in row}):
        values = [row.get(name) for row in rows]
        texts = [str(value) for value in values]
        if len(set(texts)) == 1:
            continue
        n_varying += 1
        reached = skill(values, labels)
        if reached >= threshold:
            found.append(
                {
                    "attribute": name,
                    "skill": round(reached, 4),
                    "by_chance": by_chance(values, labels),
                    "n_values": len(set(texts)),
                    "examples": _examples(texts, given),
                }
            )
    return n_varying, sorted(found, key=lambda row: (-row["skill"], row["attribute"]))


def _examples(texts: Sequence[str], given: Sequence[str]) -> str:
    """Return some values with the label that each tells."""
    seen = dict(zip(given, texts, strict=True))
    return "; ".join(f"{value[:MAX_EXAMPLE]} -> {name}" for name, value in sorted(seen.items())[:EXAMPLES])
