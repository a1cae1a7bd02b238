"""`prepnode bench receive` as a person runs it: real senders, real receivers, nothing left behind."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from node.benchmark import candidates, senders
from nodes import await_that, run_cli

pytestmark = [pytest.mark.slow, pytest.mark.servers]
COMMAND = ["bench", "receive", "--size", "64", "--objects", "40", "--runs", "1"]


@pytest.fixture(autouse=True)
def dcmtk():
    if why := senders.missing("storescu"):
        pytest.skip(why)


def processes_that_name(folder: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_text().replace("\0", " ")
        except OSError:  # it ended just now
            continue
        found += [command] if f"{folder}/" in command else []
    return found


@pytest.mark.timeout(300)
def test_every_installed_receiver_takes_every_object(tmp_path):
    done = run_cli(*COMMAND, "--associations", "2", "--json", "--folder", str(tmp_path))
    told = json.loads(done.stdout)
    installed = [name for name in candidates.NAMES if not candidates.missing(name)]
    expected = [
        each for name in installed for each in (["node-fsync", "node-flush"] if name == "node" else [name])
    ]
    assert [run["receiver"] for run in told["runs"]] == expected
    for run, median in zip(told["runs"], told["medians"], strict=True):
        assert run["error"] == ""
        assert run["objects"] == 40
        assert median["objects_per_s"] == pytest.approx(40 / run["seconds"])
        assert run["peak_mb"] > 1
        assert run["cpu_s"] > 0
    assert told["machine"]["dcmtk"].startswith("v3")
    assert list(tmp_path.iterdir()) == []


def test_a_large_object_is_told_with_the_growth_of_memory(tmp_path):
    done = run_cli(
        *COMMAND,
        "--large-mb",
        "64",
        "--receivers",
        "node",
        "--durability",
        "flush",
        "--folder",
        str(tmp_path),
    )
    assert "growth MB" in done.stdout
    assert "within" in done.stdout


def test_an_interrupted_measurement_leaves_no_process_and_no_file(tmp_path):
    command = [sys.executable, "-m", "node", *COMMAND, "--receivers", "storescp,node", "--runs", "50"]
    measuring = subprocess.Popen(
        [*command, "--nagle", "on", "--folder", str(tmp_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    await_that(lambda: any("storescu" in each for each in processes_that_name(tmp_path)), "a sender to start")
    measuring.send_signal(signal.SIGINT)
    _, told = measuring.communicate(timeout=60)
    assert measuring.returncode == 1
    assert "interrupted; everything that was started has stopped" in told
    assert processes_that_name(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
