"""`prepnode query`: select series for research, by SQL conditions on the view `research_series`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from node.cli.main import config_option, load_config
from node.cli.printing import format_options, print_rows
from node.errors import NodeError
from node.registry.database import read_engine
from node.registry.research import research, research_columns

COLUMNS = [
    "Modality",
    "verdict",
    "kernel_class",
    "contrast_phase",
    "columns",
    "rows",
    "slices",
    "SeriesInstanceUID",
]
KINDS = {  # of the columns that are not text
    **dict.fromkeys(("revision", "SeriesNumber", "n_instances", "n_volumes", "n_findings"), "integer"),
    **dict.fromkeys(("volume_index", "columns", "rows", "slices", "n_missing"), "integer"),
    **dict.fromkeys(("spacing_column_mm", "spacing_row_mm", "spacing_slice_mm", "shear_deg"), "number"),
    **dict.fromkeys(("contrast_confidence", "cardiac_phase_percent"), "number"),
    **dict.fromkeys(("first_received_at", "processed_at"), "time"),
    "lossy": "truth",
}


@click.command()
@click.argument("where", default="1 = 1")
@config_option
@format_options
@click.option(
    "--parquet", "output_format", flag_value="parquet", type=str, help="Print Parquet; redirect it to a file."
)
@click.option(
    "--columns", "action", flag_value="columns", type=str, help="List the columns of the view and stop."
)
def query(where: str, config_file: Path | None, output_format: str | None, action: str | None) -> None:
    """Select series by an SQL condition on the view research_series; the registry is opened read-only.

    Example: prepnode query "Modality = 'CT' AND contrast_phase = 'ARTERIAL'" --csv
    """
    reader = read_engine(load_config(config_file).registry_url)
    if action == "columns":
        click.echo("\n".join(research_columns(reader)))
        return
    rows = research(reader, where)
    if output_format == "parquet":
        _print_parquet(rows, research_columns(reader))
    else:
        print_rows(rows, COLUMNS, output_format=output_format, title="research_series")


def _print_parquet(rows: list[dict[str, Any]], columns: list[str]) -> None:
    """Write rows as Parquet to standard output; a query without rows still writes the columns.

    Raises:
        NodeError: standard output is a terminal.
    """
    if sys.stdout.isatty():
        raise NodeError("Parquet is binary; redirect it: prepnode query ... --parquet > series.parquet")
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        "integer": pa.int64(),
        "number": pa.float64(),
        "truth": pa.bool_(),
        "time": pa.timestamp("us", "UTC"),
    }
    # Fixed types: a column without values would have none, and files of two queries would not fit together.
    schema = pa.schema([(name, kinds.get(KINDS.get(name, "text"), pa.string())) for name in columns])
    table = {name: [_utc(row[name]) for row in rows] for name in columns}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(table, schema=schema), sink)
    sys.stdout.buffer.write(sink.getvalue().to_pybytes())


def _utc(value: Any) -> Any:
    """Give a time of the registry, which is UTC without saying so, its zone."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
