"""Geometry of real CT and MR series against facts computed from their headers by other means."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import pytest

from handlers.model import Series
from handlers.reading import series_from_files
from handlers.volumes import split

SHARED = Path(__file__).parents[3] / "shared" / "data"

# Series that are not so many volumes of n_positions slices, and the findings that say why.
EXPLAINED = {
    # sheets of tiled slices: position and spacing would be those of the sheet
    "mr_mosaic_ep2d": {"SPL-007"},
    "mr_12bit_mosaic": {"SPL-007", "ING-002"},
    # two instances at one position, and nothing in the header tells them apart
    "ct_not_a_volume": {"SPL-003"},
    # three screens of three sizes; only the one that shows a localizer has a position
    "ct_philips_exam_summary": {"SPL-001"},
    # one slice, or one small stack, again and again in other transfer syntaxes
    "ct_all_transfer_syntaxes": {"ING-002", "SPL-003", "SPL-004"},
    "ect_compressed": {"ING-002", "SPL-003"},
}
# One instance in several files: the facts count the files, the series holds the instance once.
REPEATED = {"ct_ge_ct1_syntaxes", "pydicom_test_files"}


def rows() -> list[dict[str, str]]:
    """Rows of SERIES.csv that state positions of a CT or MR series; none where there is no real data."""
    if not (SHARED / "SERIES.csv").is_file():
        return []
    with (SHARED / "SERIES.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["modality"] in ("CT", "MR") and row["n_positions"]]


def names(row: dict[str, str]) -> str:
    return f"{row['group']}-{row['series_uid'][-8:]}"


def is_stack(row: dict[str, str]) -> bool:
    return row["slice_spacing_median"] != "" and row["group"] not in EXPLAINED


def is_uneven(row: dict[str, str]) -> bool:
    return row["uniform_1pct"] == "False"


@cache
def series_in(folder: Path) -> dict[str, Series]:
    found, _ = series_from_files(path for path in folder.rglob("*") if path.is_file())
    return {each.series_instance_uid: split(each) for each in found}


def read(row: dict[str, str]) -> Series:
    return series_in(SHARED / row["group"])[row["series_uid"]]


def codes(series: Series) -> set[str]:
    return {finding.code for finding in series.findings}


@pytest.mark.parametrize("row", rows(), ids=names)
def test_volumes_hold_the_positions_that_the_facts_count(row: dict[str, str]) -> None:
    series = read(row)
    if row["group"] in EXPLAINED:
        assert EXPLAINED[row["group"]] <= codes(series)
        return
    per_position = float(row["frames_per_position"])
    if per_position > 1 and row["group"] in REPEATED:
        assert "ING-002" in codes(series)
        per_position = 1
    assert [len(volume.frames) for volume in series.volumes] == [float(row["n_positions"])] * int(
        per_position
    )
    assert all(not volume.geometry.duplicates for volume in series.volumes)


@pytest.mark.parametrize("row", rows(), ids=names)
def test_spacing_orientation_and_shear_agree_with_the_facts(row: dict[str, str]) -> None:
    for volume in read(row).volumes:
        measured = volume.geometry
        if measured is None:
            assert row["group"] in EXPLAINED
            continue
        assert measured.orientation == row["orientation_ijk"]
        assert measured.spacing_mm[:2] == pytest.approx(
            (float(row["col_spacing"]), float(row["row_spacing"])), rel=0.01
        )
        if row["slice_spacing_median"]:
            assert measured.spacing_mm[2] == pytest.approx(float(row["slice_spacing_median"]), rel=0.01)
            assert measured.is_uniform == (row["uniform_1pct"] == "True")
            assert measured.shear_deg == pytest.approx(float(row["shear_deg"]), abs=0.1)


@pytest.mark.parametrize("row", [each for each in rows() if is_stack(each)], ids=names)
def test_first_and_last_slice_lie_where_the_facts_say(row: dict[str, str]) -> None:
    for volume in read(row).volumes:
        affine, last = volume.geometry.affine, len(volume.frames) - 1
        steps = last + sum(count for _, count in volume.geometry.missing)
        for index, column in ((0, "first_slice_ipp_lps"), (steps, "last_slice_ipp_lps")):
            expected = [float(value) for value in row[column].split("\\")]
            assert (affine @ [0, 0, index, 1])[:3] == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("row", [each for each in rows() if is_uneven(each)], ids=names)
def test_gaps_of_uneven_series_are_those_of_the_facts(row: dict[str, str]) -> None:
    (volume,) = read(row).volumes
    gaps = volume.geometry.gaps_mm
    assert (min(gaps), max(gaps)) == pytest.approx(
        (float(row["slice_spacing_min"]), float(row["slice_spacing_max"])), rel=0.01
    )
    assert volume.geometry.missing
