"""What all tests share: the builders on the path, real files where present, long forms on demand, and nothing left behind."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS))  # so that `import data` works from every folder of tests

from census import Census, surplus_that_stays  # noqa: E402 - needs the path

COUNTED = ("faults", "protocol", "fuzz")  # folders whose tests must leave no thread and no descriptor


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--soak", action="store_true", help="also run the long forms (make soak); they take hours"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Try the same generated examples in every run, and new ones in the long forms: what fails, fails again."""
    settings.register_profile("repeatable", derandomize=True)
    settings.load_profile("default" if config.getoption("--soak") else "repeatable")


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


@pytest.fixture(autouse=True)
def nothing_stays(request: pytest.FixtureRequest) -> Iterator[None]:
    """Count threads and descriptors of this process around every test that deals with peers and faults."""
    if request.path.parent.name not in COUNTED:
        yield
        return
    base = Census.take()
    yield
    surplus = surplus_that_stays(base)
    assert not surplus, surplus
