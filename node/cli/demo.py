"""`prepnode demo`: a node from nothing to results, before your eyes."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections import Counter
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
COLUMNS = ["series", "modality", "n", "complete because", "verdict", "findings"]
MEANINGS = {
    "ACCEPT": "",
    "ACCEPT_WARN": " (written, read the warnings)",
    "QUARANTINE": " (held until a person has looked)",
    "REJECT": " (not usable as a volume)",
    "FAILED": " (could not be processed)",
}
PHANTOM = "PHANTOM"  # what the descriptions of the phantom's series begin with
CLOSED = "the demo was interrupted; the node has stopped"


@click.command()
@click.argument("study", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Keep the node's folder here.")
def demo(study: Path | None, out: Path | None) -> None:
    """Start a node on free loopback ports, send STUDY to it by C-STORE, show what it makes of it.

    Without STUDY (a file or folder) it sends the DICOM files that come with pydicom and a CT
    phantom built in code: plain, with a tilted gantry, and with a missing slice. The results
    stay in a folder that is named at the end; no process stays behind.
    """
    console = Console(width=None if sys.stdout.isatty() else 160)
    folder = (out or Path(tempfile.mkdtemp(prefix="prepnode-demo-"))).resolve()
    console.print(f"starting a node in {folder} ...")
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _interrupt)  # so that the node below is stopped on the way out
    try:
        with TemporaryNode(PATIENCE, folder=folder) as node:
            where = f"AE title PREPNODE at 127.0.0.1:{node.port}"
            console.print(f"ready: {where}, status page http://127.0.0.1:{node.web_port} while it runs")
            _send(node, study or _default_study(folder / "study", console), console)
            rows = _await_results(node, console)
    except KeyboardInterrupt:
        raise NodeError(CLOSED) from None
    _show(rows, node.data_dir / "outputs", console)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _default_study(folder: Path, console: Console) -> Path:
    left_out = write_default_study(folder)
    console.print("sending the DICOM files that come with pydicom, and a CT phantom")
    console.print(f"left out: {left_out} of pydicom's files, broken on purpose: they name no study or series")
    return folder


def _send(node: TemporaryNode, study: Path, console: Console) -> None:
    address = f"127.0.0.1:{node.port}"
    arguments = [str(study), "--to", address, "--called", "PREPNODE", "--calling", "DEMO"]
    if send.main(arguments, standalone_mode=False):
        console.print("not everything was taken; the lines above say why", style="yellow")


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
    """Print what became of each series, the phantom last: nearest to the eye when the table is long."""
    shown = sorted(
        series, key=lambda one: (_name(one).startswith(PHANTOM), one["Modality"] or "", _name(one))
    )
    rows = [
        {
            "series": _name(one),
            "modality": one["Modality"],
            "n": one["n_instances"],
            "complete because": one["reason"],
            "state": one["state"],
            "verdict": one["verdict"] or one["state"],
            "findings": " ".join(sorted({finding["code"] for finding in one["findings"]})),
        }
        for one in shown
    ]
    console.print()
    print_table(
        rows, COLUMNS, title="what the node made of it; n is the number of instances", console=console
    )
    counts = Counter(row["verdict"] for row in rows)
    ends = ", ".join(f"{counts[name]} {name}{text}" for name, text in MEANINGS.items() if counts[name])
    console.print(f"\n{len(rows)} series: {ends}", highlight=False)
    console.print("docs/findings.md says what each finding means, and what to do", highlight=False)
    if not shown:
        return
    best = next((one for one in shown if _name(one) == "PHANTOM MISSING SLICE"), shown[-1])
    report = outputs / best["StudyInstanceUID"] / best["SeriesInstanceUID"] / f"r{best['revision']}"
    console.print(f"all results: {outputs}", soft_wrap=True, highlight=False)
    console.print(f"open one in a browser: {report / 'report.html'}", soft_wrap=True, highlight=False)


def _name(one: dict[str, Any]) -> str:
    return one["SeriesDescription"] or f"...{one['SeriesInstanceUID'][-16:]}"
