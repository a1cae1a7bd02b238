"""Real series by the name of their group: what the whole handler makes of them, each processed once a session."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from handlers.preprocess import preprocess
from handlers.reading import series_from_files

SHARED = Path(__file__).parents[2] / "shared" / "data"
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Judged:
    """The report of one series; its files are gone."""

    report: dict[str, Any]

    @property
    def verdict(self) -> str:
        return str(self.report["verdict"])

    @property
    def codes(self) -> set[str]:
        return {finding["code"] for finding in self.report["findings"]}

    @property
    def shapes(self) -> Counter[Shape]:
        """Columns, rows and slices of every volume, whether accepted or not."""
        return Counter(tuple(volume["shape"]) for volume in self.report["volumes"])

    @property
    def modalities(self) -> set[str]:
        return {volume["modality"] for volume in self.report["volumes"]}

    @property
    def volume(self) -> dict[str, Any]:
        """The only volume."""
        (volume,) = self.report["volumes"]
        return volume


def real(group: str, tail: str = "") -> Judged:
    """Return the series of a group whose SeriesInstanceUID ends like this; the only one where nothing is said.

    Skips where the real data is not present.
    """
    found = [judged for uid, judged in group_of(group)[0].items() if uid.endswith(tail)]
    assert len(found) == 1, f"{len(found)} series of {group} end with {tail!r}"
    return found[0]


@cache
def group_of(group: str) -> tuple[dict[str, Judged], dict[str, str]]:
    """Process every series of a group with the built-in profile.

    Returns:
        The series by their UID, and the files that belong to none, with the reason.
    """
    if not SHARED.is_dir():
        pytest.skip(f"no real data at {SHARED}")
    found, unread = series_from_files(path for path in (SHARED / group).rglob("*") if path.is_file())
    judged = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, series in enumerate(found):
            out = Path(folder) / str(number)
            preprocess(series, out)
            judged[series.series_instance_uid] = Judged(json.loads((out / "report.json").read_text("utf-8")))
    return judged, {path.name: reason for path, reason in unread}
