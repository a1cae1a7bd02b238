"""The same instances give the same bytes: in any order of arrival, under any file names, on any number of threads."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

import data
from handlers.api import Recipe
from handlers.preprocess import preprocess
from handlers.reading import series_from_files

SMALL = {"rows": 16, "columns": 18, "spacing": (1.0, 1.2)}
RECIPE = Recipe(
    spacing_mm=(1.5, 1.5, 2.5),
    intensity="soft",
    fill_missing=True,
    save_padding_mask=True,
    writers=("structured-report",),
)
SERIES = {
    "tilted": data.ct_series(**SMALL, slices=7, tilt_deg=12, padding=0),
    "gap": data.ct_series(**SMALL, slices=11, missing=(5,), name="gap"),
    "twice": data.ct_series(**SMALL, slices=6, duplicate=2, name="twice"),
    "phases": [data.enhanced_mr(rows=16, columns=18, volumes=({}, {"DiffusionBValue": 1000.0}))],
    "mixed": [
        *data.ct_series(**SMALL, slices=5, kernel="B30f", name="mixed"),
        *data.ct_series(
            **SMALL, slices=5, kernel="B70f", name="mixed again",
            series_uid=data.ct_series(**SMALL, slices=1, name="mixed")[0].SeriesInstanceUID,
        ),
    ],
}  # fmt: skip
BYTES = {name: [data.file_bytes(each) for each in series] for name, series in SERIES.items()}
# Names as senders, file systems and archives give them; some sort against the order of slices.
NAMES = st.text("abzAZ019._- é", min_size=1, max_size=12).filter(lambda name: name.strip(". ") != "")
FOLDERS = st.sampled_from(["", "k", "K/kk", "km", "DICOM/00000001"])


def products(paths: list[Path], folder: Path) -> dict[str, str]:
    """Return path -> SHA-256 of everything that the handler writes."""
    (series,), unreadable = series_from_files(paths)
    assert unreadable == []
    preprocess(series, folder, RECIPE)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> dict[str, dict[str, str]]:
    """What comes of each series in the order in which it was built."""
    found = {}
    for name, series in SERIES.items():
        folder = tmp_path_factory.mktemp(name)
        found[name] = products(data.write(series, folder / "in"), folder / "out")
        assert {"report.json", "report.html", "dicom/report.dcm"} <= set(found[name])
    assert sum("v0.nii.gz" in names for names in found.values()) >= 3
    return found


@pytest.mark.parametrize("name", SERIES)
@settings(max_examples=8, deadline=None)
@given(draws=st.data())
def test_no_order_name_or_folder_changes_a_byte(expected, name, draws):
    contents = draws.draw(st.permutations(BYTES[name]))
    places = draws.draw(
        st.lists(st.tuples(FOLDERS, NAMES), min_size=len(contents), max_size=len(contents), unique=True)
    )
    with TemporaryDirectory() as root:
        paths = []
        for content, (folder, file_name) in zip(contents, places, strict=True):
            path = Path(root) / "in" / folder / file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            paths.append(path)
        assert products(paths, Path(root) / "out") == expected[name]


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_the_number_of_threads_changes_no_byte(expected, tmp_path, name, threads):
    before = SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads()
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    try:
        assert products(data.write(SERIES[name], tmp_path / "in"), tmp_path / "out") == expected[name]
    finally:
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
