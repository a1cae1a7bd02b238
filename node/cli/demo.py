"""`prepnode demo`: a node from nothing to results, before your eyes."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from node.cli.printing import print_table
from node.cli.send import send
from node.demo import TemporaryNode, write_default_study
from node.errors import NodeError
from node.registry import queries
from node.registry.database import read_engine
from node.registry.states import SeriesState

WAIT_TIMEOUT_S = 300.0
PATIENCE = {"completion": {"quiet_s": 4, "cap_s": 8}}  # the default waits an hour for a slice that is missing
POLL_S = 0.25
END_STATES = (SeriesState.PROCESSED, SeriesState.HELD, SeriesState.FAILED)
COLUMNS = ["series", "modality", "instances", "complete because", "state", "verdict", "findings", "output"]


@click.command()
@click.argument("study", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Keep the node's folder here.")
def demo(study: Path | None, out: Path | None) -> None:
    """Start a node on free loopback ports, send STUDY to it by C-STORE, show what it makes of it.

    Without STUDY (a file or folder) it sends the DICOM files that come with pydicom and a CT
    phantom built in code: plain, with a tilted gantry, and with a missing slice. The results
    stay in a folder that is named at the end; no process stays behind.
    """
    console = Console(width=None if sys.stdout.isatty() else 200)
    folder = (out or Path(tempfile.mkdtemp(prefix="prepnode-demo-"))).resolve()
    console.print(f"starting a node in {folder} ...")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the node below is stopped on the way out
    with TemporaryNode(PATIENCE, folder=folder) as node:
        console.print(
            f"ready: AE title PREPNODE at 127.0.0.1:{node.port}, status page http://127.0.0.1:{node.web_port}"
        )
        study = study or write_default_study(folder / "study")
        arguments = [
            str(study),
            "--to",
            f"127.0.0.1:{node.port}",
            "--called",
            "PREPNODE",
            "--calling",
            "DEMO",
        ]
        code = send.main(arguments, standalone_mode=False)
        if code:
            console.print("not everything was taken; the lines above say why", style="yellow")
        rows = _await_results(node, console)
    _show(rows, node.data_dir / "outputs", console)


def _await_results(node: TemporaryNode, console: Console) -> list[dict[str, Any]]:
    """Wait until every series has reached an end state; return the series.

    Raises:
        NodeError: nothing arrived, or some series took too long.
    """
    engine = read_engine(f"sqlite:///{node.data_dir / 'registry.db'}")
    deadline = time.monotonic() + WAIT_TIMEOUT_S
    told = -1
    with console.status("waiting for results ...") as status:
        while True:
            rows = queries.series_list(engine, limit=1000)
            done = sum(row["state"] in END_STATES for row in rows)
            if done != told:
                status.update(f"{done} of {len(rows)} series are done")
                told = done
            if rows and done == len(rows):
                break
            if time.monotonic() > deadline:
                raise NodeError(f"{len(rows) - done} of {len(rows)} series are not done; see {node.log_file}")
            time.sleep(POLL_S)
    shown = [queries.series_show(engine, row["SeriesInstanceUID"]) for row in rows]
    engine.dispose()
    return [series for series in shown if series is not None]


def _show(series: list[dict[str, Any]], outputs: Path, console: Console) -> None:
    rows = [
        {
            "series": one["SeriesDescription"] or f"...{one['SeriesInstanceUID'][-24:]}",
            "modality": one["Modality"],
            "instances": one["n_instances"],
            "complete because": one["reason"],
            "state": one["state"],
            "verdict": one["verdict"] or one["state"],
            "findings": " ".join(sorted({finding["code"] for finding in one["findings"]})),
            "output": f"...{one['SeriesInstanceUID'][-12:]}/r{one['revision']}",
        }
        for one in series
    ]
    print_table(rows, COLUMNS, title="what the node made of it")
    reports = sorted(outputs.rglob("report.html"))
    console.print(f"\noutputs: {outputs}")
    best = next((one for one in series if one["SeriesDescription"] == "PHANTOM MISSING SLICE"), None)
    path = (
        outputs / best["StudyInstanceUID"] / best["SeriesInstanceUID"] / "r1" / "report.html"
        if best
        else None
    )
    if reports:
        console.print(
            f"{len(reports)} reports; one to open in a browser:\n  {path or reports[0]}", soft_wrap=True
        )
