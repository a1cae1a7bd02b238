"""Libraries of tests/shims, compiled once and loaded into every process of a node, between it and its C library."""

import shutil
import subprocess
from pathlib import Path

import pytest

from node.demo import TemporaryNode

SOURCES = Path(__file__).parent / "shims"


def compiled(name: str, folder: Path) -> Path:
    """Compile one of the libraries; skips where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is installed")
    library = folder / f"{name}.so"
    warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-format-truncation"]
    source = str(SOURCES / f"{name}.c")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", *warnings, "-o", str(library), source, "-ldl", "-pthread"],
        check=True,
    )
    return library


def preload(node: TemporaryNode, library: Path, **environment: Path) -> None:
    """Have the processes of a node load the library; `environment` is what the library reads."""
    settings = [f"{name}={value}" for name, value in environment.items()]
    node.command = ["env", f"LD_PRELOAD={library}", *settings, *node.command]
