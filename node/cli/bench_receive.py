"""`prepnode bench receive`: how fast this node takes objects, and how fast others do on the same machine."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from node.benchmark import senders
from node.benchmark.candidates import NAMES
from node.benchmark.figures import Run, summaries
from node.benchmark.machine import IN_MEMORY, describe, file_system
from node.benchmark.measure import alternate
from node.benchmark.objects import LARGEST_MB
from node.benchmark.plan import DURABILITIES, NAGLE, Plan
from node.benchmark.table import print_summaries, sender
from node.cli.printing import print_rows
from node.cli.progress import progress
from node.errors import NodeError

EXAMPLES = """\b
Examples:
  prepnode bench receive
  prepnode bench receive --size 64 --objects 1000 --nagle both
  prepnode bench receive --associations 4 --listeners 2
  prepnode bench receive --receivers node,storescp --durability flush --runs 9
  prepnode bench receive --large-mb 2048 --receivers node
  prepnode bench receive --registered 1000000 --durability fsync
"""


def _names(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(value.split(","))
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise click.BadParameter(f"no receiver {', '.join(unknown)!r}; there are {', '.join(NAMES)}")
    return names


@click.command(epilog=EXAMPLES)
@click.option(
    "--objects", type=click.IntRange(1, 100_000), default=300, show_default=True, help="Objects of one run."
)
@click.option(
    "--size",
    type=click.IntRange(16, 4096),
    default=512,
    show_default=True,
    help="Rows and columns: 512 is a CT of 0.5 MB, 64 an MR of 12 KB (below 256 it is MR).",
)
@click.option(
    "--associations",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Senders at the same time, each with its share. storescp forks when there are several.",
)
@click.option(
    "--listeners", type=click.IntRange(1, 64), default=1, show_default=True, help="Listeners of this node."
)
@click.option(
    "--runs", type=click.IntRange(1, 100), default=3, show_default=True, help="Runs of each receiver."
)
@click.option(
    "--receivers",
    default=",".join(NAMES),
    show_default=True,
    callback=_names,
    metavar="NAME,...",
    help="Which, and in which order.",
)
@click.option(
    "--nagle",
    type=click.Choice(list(NAGLE)),
    default="off",
    show_default=True,
    help="On: senders as shipped, of which some receivers take 11 objects/s. Off: with TCP_NODELAY=1.",
)
@click.option(
    "--sender",
    type=click.Choice(["storescu", "dcmsend"]),
    default="storescu",
    show_default=True,
    help="Which of dcmtk's senders.",
)
@click.option(
    "--durability",
    type=click.Choice(list(DURABILITIES)),
    default="both",
    show_default=True,
    help="Of this node, as `durability` in its configuration.",
)
@click.option(
    "--max-pdu",
    type=click.IntRange(4096, 131072),
    help="Longest PDU that all receivers take. Default: each as shipped (this node 131072, others 16384).",
)
@click.option(
    "--large-mb",
    type=click.IntRange(1, LARGEST_MB),
    is_flag=False,
    flag_value=2048,
    help="Send one multi-frame object of so many MB (without a number: 2048), and tell how memory grows.",
)
@click.option(
    "--registered",
    type=click.IntRange(1, 10_000_000),
    help="Compare this node with an empty registry and with one of so many instances; no other receivers.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(1),
    default=300.0,
    show_default=True,
    help="Seconds that the senders of one run may take.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Where to work: on the disk to be measured. Default: the system's temporary folder.",
)
@click.option(
    "--json",
    "output_format",
    flag_value="json",
    type=str,
    help="Print one JSON object: machine, plan, every run, medians.",
)
@click.option("--csv", "output_format", flag_value="csv", type=str, help="Print the medians as CSV.")
@click.pass_context
def receive(
    context: click.Context, /, output_format: str | None, folder: Path | None, **options: Any
) -> None:
    """Measure how fast this node receives, beside other receivers, in alternating runs.

    Real dcmtk senders send CT or MR objects to each receiver in turn (A B C A B C ...). Every
    receiver has a temporary folder and a free port of 127.0.0.1 for itself, and is stopped after
    its run. A run in which an object was not acknowledged, or is not held afterwards, gives no
    figure: it is told, and the exit code is 1.

    What the figures mean is told below the table, and in docs/benchmarks.md.
    """
    plan = Plan(**options)
    if why := senders.missing(plan.sender):
        raise NodeError(why)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)  # so that everything is stopped on the way out
    try:
        with tempfile.TemporaryDirectory(prefix="prepnode-bench-", dir=folder) as place:
            machine = describe(Path(place))
            runs = _measure(plan, Path(place))
    except KeyboardInterrupt:
        raise NodeError("interrupted; everything that was started has stopped") from None
    _print(plan, machine, runs, output_format)
    context.exit(1 if any(run.error for run in runs) else 0)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _measure(plan: Plan, folder: Path) -> list[Run]:
    """Make what is sent and who receives it; run, and tell of each run as it ends."""
    kind = file_system(folder)
    if kind in IN_MEMORY:
        click.echo(
            f"{folder} is on {kind}, where fsync costs nothing; name another place with --folder", err=True
        )
    for why in plan.missing():
        click.echo(f"skipped: {why}", err=True)
    if plan.registered:
        with progress("filling a registry", plan.registered) as bar:
            chosen = plan.candidates(folder, bar.advance)
    else:
        chosen = plan.candidates(folder)
    with progress("writing what is sent", plan.n_objects) as bar:
        load = plan.load(folder, bar.advance)
    total, runs = plan.runs * len(plan.kinds) * len(chosen), list[Run]()
    click.echo(f"{total} runs, each of {load.objects} objects, {load.size_bytes / 1e6:.1f} MB", err=True)
    for run in alternate(chosen, load, folder, runs=plan.runs, nagle=plan.kinds):
        runs.append(run)
        click.echo(f"{len(runs)} of {total}: {_told(run)}", err=True)
    return runs


def _told(run: Run) -> str:
    who = f"{run.receiver}, {sender(nagle=run.nagle)}"
    if run.error:
        return f"{who}: FAILED: {run.error}"
    return (
        f"{who}: {run.seconds:.2f} s, {run.objects_per_s:.0f} objects/s, {run.mb_per_s:.1f} MB/s, "
        f"CPU {run.cpu_s:.2f} s, peak {run.peak_mb:.0f} MB"
    )


def _print(plan: Plan, machine: dict[str, str], runs: Sequence[Run], output_format: str | None) -> None:
    found = summaries(runs)
    rows = [summary.as_row() for summary in found]
    if output_format == "json":
        told = {
            "machine": machine,
            "plan": asdict(plan),
            "runs": [asdict(run) for run in runs],
            "medians": rows,
        }
        click.echo(json.dumps(told, indent=2))
    elif output_format == "csv":
        print_rows(rows, [], output_format="csv")
    else:
        console = Console() if sys.stdout.isatty() else Console(width=200)
        console.print(", ".join(f"{key} {value}" for key, value in machine.items()), highlight=False)
        console.print(f"{plan}\n", highlight=False)
        print_summaries(console, found, is_large=plan.large_mb is not None)
