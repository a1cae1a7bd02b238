"""The same abuses on this node and on other receivers; the table goes to docs/reliability.md (make compare).

    python tests/benchmarks/side_by_side.py [--only ROW] [--print]

Every cell is a fresh process on a free loopback port, stopped by its pid, and bounded in time.
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from abuses import ROWS, TLS_ROW, full_disk, silent_on_tls
from opponents import START, versions

PAGE = Path(__file__).parent.parent.parent / "docs" / "reliability.md"
BEGIN, END = "<!-- side by side: begin (make compare) -->", "<!-- side by side: end -->"


def cell(row: str, name: str, folder: Path) -> str:
    """Run one abuse against one receiver."""
    action = ROWS[row]
    mounted: Path | None = None
    if action is full_disk:
        mounted = folder / {"prepnode": "data/spool", "Orthanc": "db"}.get(name, "in")
        if not mount(mounted):
            return "needs root"
    try:
        with START[name](folder) as peer:
            return action(peer)
    except Exception as error:  # noqa: BLE001 - a cell that fails says so, and the next one runs
        return f"failed: {type(error).__name__}: {error}".splitlines()[0][:80]
    finally:
        if mounted is not None:
            subprocess.run(["umount", str(mounted)], check=True)


def mount(folder: Path) -> bool:
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        return False
    assert os.path.ismount(folder)
    return True


def table(only: str | None) -> str:
    found = versions()
    lines = [
        "| | " + " | ".join(f"{name} {version}" for name, version in found.items()) + " |",
        "|---" * (len(found) + 1) + "|",
    ]
    for row in ROWS:
        if only and only not in row:
            continue
        cells = []
        for name in found:
            with tempfile.TemporaryDirectory(prefix="side-by-side-") as folder:
                started = time.monotonic()
                cells.append(cell(row, name, Path(folder) / "peer"))
                print(f"{row} | {name}: {cells[-1]} ({time.monotonic() - started:.0f} s)", file=sys.stderr)
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    if not only or only in TLS_ROW:
        with tempfile.TemporaryDirectory(prefix="side-by-side-") as folder:
            lines.append(f"| {TLS_ROW} | {silent_on_tls(Path(folder))} |" + " - |" * (len(found) - 1))
    return "\n".join(lines)


def machine() -> str:
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    release = platform.freedesktop_os_release()["PRETTY_NAME"]
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} by `make compare` on {os.cpu_count()} cores ({cpu}), {memory_gb:.0f} GB, "
        f"{release}, Linux {platform.release()}, Python {platform.python_version()}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="rows that contain this text")
    parser.add_argument("--print", action="store_true", help="print the table, leave the page as it is")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what runs is stopped and unmounted
    made = f"{machine()}\n\n{table(options.only)}"
    if options.print or options.only:
        print(made)
        return
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{made}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
