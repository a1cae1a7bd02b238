"""Imports go one way: the contracts of import-linter hold, and receiving loads nothing heavy."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def test_every_import_follows_the_map():
    done = subprocess.run(
        [LINT_IMPORTS, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_map_shows_every_room():
    layers = [
        c
        for c in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
            "contracts"
        ]
        if c["type"] == "layers"
    ]
    assert {container for contract in layers for container in contract["containers"]} >= {"node", "handlers"}
    assert all(contract["exhaustive"] for contract in layers)


def test_the_listener_process_loads_no_image_library():
    program = (
        "import sys, importlib, pkgutil, node.listener, node.spool, node.registration;"
        "[importlib.import_module(m.name) for m in pkgutil.walk_packages(node.listener.__path__, 'node.listener.')];"
        "print(*sorted({'SimpleITK', 'nibabel', 'highdicom', 'dbos', 'handlers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == ""
