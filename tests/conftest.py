"""What all tests share: the builders on the path, and the folder of real files where it is present."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS))  # so that `import data` works from every folder of tests


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real DICOM files with known answers, beside the repository; skips where there is none."""
    folder = TESTS.parent.parent / "shared" / "data"
    if not (folder / "SERIES.csv").is_file():
        pytest.skip(f"no real data at {folder}")
    return folder
