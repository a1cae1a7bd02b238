"""How long the science takes without a node around it: `prepnode run` beside others on the same files.

Every program is a process of its own, from start to end, since that is what a person waits for. Programs take
turns, so that a machine that is slow for a while is slow for all of them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from node.benchmark import headers
from node.benchmark.figures import Spread
from node.errors import NodeError
from node.phantom import ct_slices

TIMEOUT_S = 1800.0
PEER = "dcm2niix"
COMPRESSED = {"JPEG-LS": JPEGLSLossless, "JPEG 2000": JPEG2000Lossless}
COMPRESSED_SLICES = 100
TRIAGE_INSTANCES = 1000
TRIAGE_SIZE = 16  # rows and columns: headers alone are read
GROWTH = (50, 200, 500, 1000, 2000)  # slices
GROWTH_SIZE = 256
FLOAT32_BYTES = 4

Advance = Callable[[], None]
Measure = Callable[[], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: what was done to what, by whom; seconds or a ratio, over all runs."""

    series: str
    figure: str
    spread: Spread
    unit: str = "s"

    def as_row(self) -> dict[str, Any]:
        """Return it flat, for tables and JSON."""
        spread = {"median": self.spread.median, "low": self.spread.low, "high": self.spread.high}
        return {"series": self.series, "figure": self.figure, "unit": self.unit, **spread}


@dataclass(frozen=True, slots=True)
class Preparing:
    """A series of `slices` x `size` x `size`, measured `runs` times in a folder that the caller deletes."""

    folder: Path
    slices: int
    size: int
    runs: int

    @property
    def n_steps(self) -> int:
        """How often `advance` is called by `rows`."""
        return (self.runs + 1) * (5 + len(GROWTH))

    def rows(self, advance: Advance) -> list[Row]:
        """Measure everything, and call `advance` after each step.

        Raises:
            NodeError: a program failed or took too long.
        """
        return [
            *self._beside_dcm2niix(advance),
            *self._triage(advance),
            *(row for name in COMPRESSED for row in self._compressed(name, advance)),
            *self._resampling(advance),
            *self._growth(advance),
        ]

    def _beside_dcm2niix(self, advance: Advance) -> list[Row]:
        folder = self._series("plain", slices=self.slices, size=self.size)
        name = f"{self.slices} x {self.size} x {self.size}"
        programs: dict[str, Measure] = {"prepnode run": lambda: self._run(folder)}
        if shutil.which(PEER):
            programs |= {f"{PEER} -z {z}": lambda z=z: self._dcm2niix(folder, z) for z in "yn"}  # type: ignore[misc]
        seconds = self._alternate(programs, advance)
        peak = seconds.pop("prepnode run peak")
        volume_bytes = self.slices * self.size * self.size * FLOAT32_BYTES
        times = [each / volume_bytes for each in peak]
        return [
            *_rows(name, seconds, reference="prepnode run"),
            Row(name, "peak memory of prepnode run, in float32 volumes", Spread.of(times), "x"),
        ]

    def _triage(self, advance: Advance) -> list[Row]:
        folder = self._series("headers", slices=TRIAGE_INSTANCES, size=TRIAGE_SIZE, is_complete=True)
        seconds = self._alternate({"": lambda: _task("triage", folder)}, advance)
        return [Row(f"{TRIAGE_INSTANCES} headers", "triage, CPU", Spread.of(seconds["triage"]))]

    def _compressed(self, name: str, advance: Advance) -> list[Row]:
        folder = self._series(
            name.replace(" ", ""), slices=COMPRESSED_SLICES, size=self.size, syntax=COMPRESSED[name]
        )
        loop = "decode loop in 2 processes"
        programs: dict[str, Measure] = {
            "prepnode run": lambda: self._run(folder),
            loop: lambda: {loop: _timed(_command("decode", folder))[0]},
        }
        seconds = self._alternate(programs, advance)
        del seconds["prepnode run peak"]
        label = f"{COMPRESSED_SLICES} x {self.size} x {self.size} {name}"
        return _rows(label, seconds, reference="prepnode run")

    def _resampling(self, advance: Advance) -> list[Row]:
        folder = self.folder / "plain"
        seconds = self._alternate({"": lambda: _task("resample", folder)}, advance)
        name = f"{self.slices} x {self.size} x {self.size} to 1 mm"
        return _rows(name, seconds, reference="ours")

    def _growth(self, advance: Advance) -> list[Row]:
        rows = []
        for slices in GROWTH:
            folder = self._series(f"growth{slices}", slices=slices, size=GROWTH_SIZE)
            seconds = self._alternate({"": lambda folder=folder: self._run(folder)}, advance)  # type: ignore[misc]
            shutil.rmtree(folder)
            name = f"{slices} x {GROWTH_SIZE} x {GROWTH_SIZE}"
            rows.append(Row(name, "prepnode run", Spread.of(seconds["prepnode run"])))
        return rows

    def _alternate(self, programs: Mapping[str, Measure], advance: Advance) -> dict[str, list[float]]:
        """Run the programs in turns, once uncounted and then `runs` times; return the figures of each."""
        figures: dict[str, list[float]] = defaultdict(list)
        for run in range(self.runs + 1):
            for measure in programs.values():
                for name, value in measure().items():
                    if run:
                        figures[name].append(value)
            advance()
        return figures

    def _run(self, folder: Path) -> dict[str, float]:
        out = self.folder / "out"
        command = [sys.executable, "-m", "node", "run", str(folder), "--out", str(out)]
        seconds, peak_bytes = _timed(command)
        if not list(out.glob("*/v0.nii.gz")):
            raise NodeError(f"prepnode run wrote no volume of {folder}; see {out}/*/report.json")
        shutil.rmtree(out)
        return {"prepnode run": seconds, "prepnode run peak": peak_bytes}

    def _dcm2niix(self, folder: Path, compression: str) -> dict[str, float]:
        out = self.folder / "peer"
        out.mkdir()
        seconds, _ = _timed([PEER, "-p", "n", "-z", compression, "-o", str(out), str(folder)])
        if not [*out.glob("*.nii*")]:
            raise NodeError(f"{PEER} made no NIfTI of {folder}")
        shutil.rmtree(out)
        return {f"{PEER} -z {compression}": seconds}

    def _series(
        self, name: str, *, slices: int, size: int, syntax: str | None = None, is_complete: bool = False
    ) -> Path:
        """Write a CT phantom, compressed or with the header of a scanner."""
        folder = self.folder / name
        folder.mkdir()
        for number, dataset in enumerate(
            ct_slices(name, slices=slices, size=size, spacing_mm=0.7, step_mm=1.0)
        ):
            if is_complete:
                headers.complete(dataset, is_mr=False)
            if syntax is not None:
                dataset.compress(syntax, generate_instance_uid=False)
            dataset.save_as(folder / f"{number:05d}.dcm", enforce_file_format=True)
        return folder


def peer() -> str:
    """Say which dcm2niix takes part, and whether it compresses in several threads (pigz)."""
    if shutil.which(PEER) is None:
        return f"{PEER} is not installed, left out"
    said = subprocess.run([PEER, "--version"], capture_output=True, text=True, timeout=20, check=False).stdout
    with_pigz = "with" if shutil.which("pigz") else "without"
    return f"{PEER} {said.split()[-1] if said else ''} {with_pigz} pigz"


def _rows(series: str, seconds: Mapping[str, Sequence[float]], *, reference: str) -> list[Row]:
    """Return the seconds of each program, and the ratio of the reference to each other one, run by run."""
    rows = [Row(series, name, Spread.of(values)) for name, values in seconds.items()]
    for name, values in seconds.items():
        if name != reference:
            ratios = [ours / theirs for ours, theirs in zip(seconds[reference], values, strict=True)]
            rows.append(Row(series, f"{reference} to {name}", Spread.of(ratios), "x"))
    return rows


def _command(task: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "node.benchmark.tasks", task, str(folder)]


def _task(name: str, folder: Path) -> dict[str, float]:
    done = subprocess.run(
        _command(name, folder), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode:
        raise NodeError(f"the task {name} failed: {done.stderr.strip()[-500:]}")
    result: dict[str, float] = json.loads(done.stdout)
    return result


def _timed(command: Sequence[str]) -> tuple[float, float]:
    """Run a program to its end; return its wall time in seconds and its peak resident memory in bytes.

    The memory of its children is not in it.
    """
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    limit = threading.Timer(TIMEOUT_S, process.kill)
    limit.start()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    limit.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise NodeError(f"{Path(command[0]).name} ended with {process.returncode}: {' '.join(command)}")
    return seconds, usage.ru_maxrss * 1024.0
