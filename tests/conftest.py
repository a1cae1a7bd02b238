"""What all tests share: the builders on the path, and the folder of real files where it is present."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS))  # so that `import data` works from every folder of tests


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--soak", action="store_true", help="also run the long forms (make soak); they take hours"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long forms out unless they are asked for; composes with any -m."""
    if config.getoption("--soak"):
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real DICOM files with known answers, beside the repository; skips where there is none."""
    folder = TESTS.parent.parent / "shared" / "data"
    if not (folder / "SERIES.csv").is_file():
        pytest.skip(f"no real data at {folder}")
    return folder
