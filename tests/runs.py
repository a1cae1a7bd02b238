"""The whole science on files, from bytes to report, for tests that look at the result from outside."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset

import data
from handlers.api import Recipe
from handlers.preprocess import preprocess
from handlers.reading import series_from_files

ACCEPTED = ("ACCEPT", "ACCEPT_WARN")
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Result:
    """The folder of one processed series and the report in it."""

    folder: Path
    report: dict[str, Any]

    @property
    def codes(self) -> set[str]:
        return {finding["code"] for finding in self.report["findings"]}

    @property
    def accepted(self) -> list[dict[str, Any]]:
        return [volume for volume in self.report["volumes"] if volume["verdict"] in ACCEPTED]

    @property
    def refused(self) -> list[dict[str, Any]]:
        return [volume for volume in self.report["volumes"] if volume["verdict"] not in ACCEPTED]

    def values(self, volume: dict[str, Any]) -> NDArray[Any]:
        """Values as written, shape (slices, rows, columns)."""
        return np.asarray(nib.load(self.folder / volume["file"]).dataobj).transpose(2, 1, 0)

    def points(self, volume: dict[str, Any]) -> NDArray[np.float64]:
        """LPS mm of every voxel as the NIfTI file says, shape (slices, rows, columns, 3)."""
        image = nib.load(self.folder / volume["file"])
        i, j, k = np.indices(image.shape)
        index = np.stack([i, j, k, np.ones_like(i)], axis=-1).transpose(2, 1, 0, 3)
        return index @ (RAS_TO_LPS @ image.affine).T[:, :3]

    def evidence(self, code: str) -> dict[str, Any]:
        return next(finding["evidence"] for finding in self.report["findings"] if finding["code"] == code)


def process(datasets: Iterable[FileDataset], folder: Path, recipe: Recipe = Recipe()) -> Result:  # noqa: B008 - frozen
    """Write data sets of one series to files, read them back and process them."""
    paths = data.write(datasets, folder / "in")
    (series,), unreadable = series_from_files(paths)
    assert unreadable == []
    out = folder / "out" / series.series_instance_uid
    preprocess(series, out, recipe)
    return Result(out, json.loads((out / "report.json").read_text("utf-8")))


def expected_hu(points: NDArray[np.float64], field_mm: float = 32.0) -> NDArray[np.float64]:
    """What the phantom measures at these points, shape (..., 3) in LPS mm."""
    return np.asarray(data.HU)[data.Phantom(field_mm).material(points)]
