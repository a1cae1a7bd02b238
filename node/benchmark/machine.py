"""The machine that figures were taken on: without it they mean little."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

from node.benchmark.receivers import orthanc_binary

IN_MEMORY = ("tmpfs", "ramfs")


def describe(folder: Path) -> dict[str, str]:
    """Return processor, memory, disk of `folder`, how busy it is now, and all versions that take part."""
    model = _from_file("/proc/cpuinfo", "model name") or platform.machine()
    return {
        "processor": f"{os.cpu_count()} cores of {model}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB",
        "kernel": f"{platform.system()} {platform.release()}",
        "file_system": file_system(folder),
        "load": f"{os.getloadavg()[0]:.1f} before",
        "prepnode": version("prepnode"),
        "python": platform.python_version(),
        "pynetdicom": version("pynetdicom"),
        "dcmtk": _said_by(["storescu", "--version"], r"storescu (v\S+)"),
        "orthanc": _said_by([orthanc_binary() or "Orthanc", "--version"], r"Orthanc (\S+)"),
    }


def file_system(folder: Path) -> str:
    """Return the type of the file system that `folder` is on."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, mounted, found = line.split()[:3]
        if folder.resolve().is_relative_to(mounted) and len(mounted) >= len(best):
            best, kind = mounted, found
    return kind


def _from_file(path: str, key: str) -> str:
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "")


def _said_by(command: list[str], pattern: str) -> str:
    """Return what a program says of its version; it may exit with anything."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return "not installed"
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else "unknown"
