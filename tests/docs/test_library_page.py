"""The page on the handler as a library: its code runs, as it stands there, on a folder of files."""

from __future__ import annotations

import re
from pathlib import Path

import data

PAGE = Path(__file__).parents[2] / "docs" / "library.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks() -> list[str]:
    return BLOCK.findall(PAGE.read_text("utf-8"))


def test_the_first_example_has_ten_lines_at_most():
    assert len([line for line in blocks()[0].splitlines() if line]) <= 10


def test_the_code_of_the_page_runs_as_it_stands_there(tmp_path, monkeypatch, capsys):
    series = data.ct_series(slices=8, rows=24, columns=24), data.mr_series(slices=8, rows=24, columns=24)
    for number, datasets in enumerate(series):
        data.write(datasets, tmp_path / "dicom" / str(number))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code in blocks():
        exec(compile(code, str(PAGE), "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    for datasets in series:
        uid = datasets[0].SeriesInstanceUID
        assert any(line.startswith(f"{uid} ACCEPT") for line in printed)
        assert {path.name for path in (tmp_path / "out" / uid).iterdir()} >= {"report.json", "v0.nii.gz"}
    # 8 slices of 2 mm and 24 pixels of 0.5 mm, at 1 mm: the grid covers the same 16 x 12 x 12 mm
    assert any(line.startswith("v0.nii.gz (12, 12, 16)") for line in printed), printed


def test_the_page_names_every_field_of_the_outcome_that_it_speaks_of():
    from handlers.model import Outcome

    text = PAGE.read_text("utf-8")
    for name in re.findall(r"`outcome\.(\w+)`", text):
        assert name in Outcome.__slots__
