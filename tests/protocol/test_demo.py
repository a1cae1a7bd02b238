"""The demo: its study can be received whole, and no process stays behind, however it ends."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from node.demo import write_default_study
from node.header_facts import UNREADABLE, facts
from nodes import await_that


def test_every_file_of_the_default_study_can_be_received(tmp_path: Path) -> None:
    left_out = write_default_study(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 200
    assert [path for path in files if UNREADABLE in facts(path)] == []
    assert 0 < left_out < 20


def processes_that_name(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_text().replace("\0", " ")
            except OSError:  # it ended just now
                continue
            found += [command] if f"{folder}/" in command else []
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_demo_that_is_interrupted_while_its_node_starts_leaves_no_process(
    name: str, tmp_path: Path
) -> None:
    out = tmp_path / "demo"
    command = [sys.executable, "-m", "node", "demo", "--out", str(out)]
    demo = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    await_that(lambda: any("serve" in each for each in processes_that_name(out)), "the node to start")
    demo.send_signal(getattr(signal, name))
    _, told = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert "the demo was interrupted" in told
    assert processes_that_name(out) == []


@pytest.mark.slow
def test_the_demo_shows_the_phantom_and_where_its_report_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "node", "demo", "--out", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=True)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert next(line for line in lines if line.startswith("PHANTOM MISSING SLICE")).count("QUARANTINE") == 1
    assert Path(lines[-1].split(": ", 1)[1]).is_file()
    assert processes_that_name(tmp_path / "demo") == []
