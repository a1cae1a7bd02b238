"""`prepnode bench`: measure this node on this machine."""

from __future__ import annotations

import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from node.benchmark.machine import describe
from node.benchmark.preparing import Preparing, peer
from node.cli.bench_process import Timings, idle_memory_mb, process_once
from node.cli.bench_receive import receive
from node.cli.printing import print_rows
from node.cli.progress import progress
from node.demo import TemporaryNode, write_series
from node.errors import NodeError
from node.phantom import ct_slices


@click.group()
def bench() -> None:
    """Measure this node on this machine; nothing outside a temporary folder is touched."""


bench.add_command(receive)


@bench.command()
@click.option("--slices", default=300, show_default=True, help="Slices of the CT phantom.")
@click.option("--size", default=512, show_default=True, help="Rows and columns of each slice.")
@click.option("--runs", default=3, show_default=True, help="Counted runs, after one that is not counted.")
@click.option(
    "--files",
    is_flag=True,
    help="Measure `prepnode run` on files instead: beside dcm2niix, triage, compressed series, growth.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def process(slices: int, size: int, runs: int, *, files: bool, as_json: bool) -> None:
    """Time a CT series from its last instance to its delivered NIfTI.

    Starts a node with a folder destination, sends the series by C-STORE, and reports, for
    each run, the wait for completion, the processing, the delivery, and their sum beyond the
    completion wait. Also reports the memory of the idle process tree.

    With --files no node is started: `prepnode run` and, where it is installed, dcm2niix take turns on
    the same files; then come the judgement of 1000 headers, JPEG-LS and JPEG 2000 beside a bare decode
    loop, resampling beside one call of SimpleITK, and series of 50 to 2000 slices. It takes some minutes.
    """
    if files:
        _of_files(slices, size, runs, as_json=as_json)
        return
    with tempfile.TemporaryDirectory(prefix="prepnode-bench-") as name:
        folder = Path(name)
        tables: dict[str, Any] = {
            "destination": [{"name": "bench", "kind": "folder", "path": str(folder / "delivered")}],
            "route": [{"name": "all", "match": {}, "destinations": ["bench"], "send": ["outputs"]}],
        }
        with TemporaryNode(tables, folder=folder / "node") as node:
            time.sleep(3)  # let start-up settle before memory is read
            memory_mb = idle_memory_mb(node)
            timings: list[Timings] = []
            for run in range(runs + 1):
                study = folder / f"study-{run}"
                write_series(
                    ct_slices(f"bench-{run}", slices=slices, size=size, spacing_mm=0.7, step_mm=1.0), study
                )
                timings.append(process_once(node, study, folder / "delivered"))
                click.echo(f"run {run}{' (not counted)' if run == 0 else ''}: {timings[-1]}", err=True)
    _print(timings[1:], memory_mb, f"{slices} x {size} x {size}", as_json=as_json)


def _of_files(slices: int, size: int, runs: int, *, as_json: bool) -> None:
    """Measure the science without a node, and print the rows."""
    with tempfile.TemporaryDirectory(prefix="prepnode-bench-") as name:
        preparing = Preparing(Path(name), slices, size, runs)
        machine = describe(Path(name))
        try:
            with progress("measuring", preparing.n_steps) as shown:
                rows = [row.as_row() for row in preparing.rows(shown.advance)]
        except NodeError as error:
            raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps({"machine": machine, "runs": runs, "peer": peer(), "rows": rows}))
        return
    click.echo(
        f"{machine['processor']}, Python {machine['python']}, {runs} runs in turns after one uncounted"
    )
    click.echo(peer())
    numbers = ("median", "low", "high")
    shown_rows = [{**row, **{name: f"{row[name]:.2f}" for name in numbers}} for row in rows]
    print_rows(shown_rows, ["series", "figure", *numbers, "unit"], output_format=None)


def _print(timings: list[Timings], memory_mb: float, shape: str, *, as_json: bool) -> None:
    figures = {
        name: statistics.median(getattr(timing, name) for timing in timings)
        for name in ("receive_s", "wait_s", "process_s", "deliver_s", "beyond_wait_s")
    }
    if as_json:
        click.echo(
            json.dumps(
                {"shape": shape, "runs": len(timings), "medians": figures, "idle_memory_mb": memory_mb}
            )
        )
        return
    click.echo(f"CT {shape}, {len(timings)} runs, Python {platform.python_version()}, {platform.machine()}")
    rows = [{"figure": name, "median": f"{value:.2f} s"} for name, value in figures.items()]
    rows.append({"figure": "idle memory of the process tree", "median": f"{memory_mb:.0f} MB"})
    print_rows(rows, ["figure", "median"], output_format=None)
