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

from node.cli.bench_process import Timings, idle_memory_mb, process_once
from node.cli.bench_receive import receive
from node.cli.printing import print_rows
from node.demo import TemporaryNode, write_series
from node.phantom import ct_slices


@click.group()
def bench() -> None:
    """Measure this node on this machine; nothing outside a temporary folder is touched."""


bench.add_command(receive)


@bench.command()
@click.option("--slices", default=300, show_default=True, help="Slices of the CT phantom.")
@click.option("--size", default=512, show_default=True, help="Rows and columns of each slice.")
@click.option("--runs", default=3, show_default=True, help="Counted runs, after one that is not counted.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def process(slices: int, size: int, runs: int, as_json: bool) -> None:  # noqa: FBT001 - a click flag
    """Time a CT series from its last instance to its delivered NIfTI.

    Starts a node with a folder destination, sends the series by C-STORE, and reports, for
    each run, the wait for completion, the processing, the delivery, and their sum beyond the
    completion wait. Also reports the memory of the idle process tree.
    """
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
