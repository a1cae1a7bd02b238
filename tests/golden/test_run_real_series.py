"""Real CT and MR series: what is accepted agrees with facts computed apart from it; all else has a reason.

The facts are those of SERIES.csv: positions, spacing, orientation and tilt from the positions of the
frames, values as stored times slope plus intercept over all pixels.
"""

import csv
import json
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from handlers.preprocess import preprocess
from handlers.reading import series_from_files
from runs import RAS_TO_LPS, Result

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
SHEETS = {"mr_mosaic_ep2d"}  # their facts are those of the sheet, not of its slices: see test_real_mosaics.py
TILT = 0.1  # degrees; less is no tilt (GEO-008)


def rows():
    """CT and MR series with a geometry; none where the real data is not present."""
    table = SHARED / "SERIES.csv"
    if not table.is_file():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        found = [row for row in csv.DictReader(file) if row["modality"] in ("CT", "MR")]
    return [row for row in found if row["n_positions"] and row["series_uid"] and row["group"] not in SHEETS]


@cache
def files_of(group):
    with (SHARED / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        return tuple(SHARED / row["path"] for row in csv.DictReader(file) if row["group"] == group)


@cache
def series_of(group):
    found, _ = series_from_files(files_of(group))
    return {series.series_instance_uid: series for series in found}


def largest_step(series):
    """The largest rescale slope of any frame: how far apart neighbouring stored values can lie."""
    elements = (element for instance in series.instances for element in instance.header.iterall())
    slopes = [element.value for element in elements if element.keyword == "RescaleSlope"]
    return max([1.0, *(abs(float(slope)) for slope in slopes if slope is not None)])


def compare(row, result, series):
    """Return (kind, what differs) for all that differs between the facts and the accepted volumes."""
    sidecars = [
        json.loads((result.folder / volume["file"].replace(".nii.gz", ".json")).read_text("utf-8"))["node"]
        for volume in result.accepted
    ]
    frames = [len(sidecar["sources"]["frames"]) for sidecar in sidecars]
    if int(float(row["n_positions"])) not in frames:
        yield "positions", f"{row['n_positions']} expected, {frames} found"
    for volume, sidecar in zip(result.accepted, sidecars, strict=True):
        yield from compare_geometry(row, volume, sidecar)
        yield from compare_place(row, volume, sidecar, result)
    if row["value_min"] and not any(volume["padding_voxels"] for volume in result.accepted):
        low = min(volume["statistics"]["min"] for volume in result.accepted)
        high = max(volume["statistics"]["max"] for volume in result.accepted)
        allowed = largest_step(series) + 1e-3
        if abs(low - float(row["value_min"])) > allowed or abs(high - float(row["value_max"])) > allowed:
            yield "values", f"{row['value_min']} to {row['value_max']} expected, {low} to {high} found"


def compare_geometry(row, volume, sidecar):
    expected = [row["col_spacing"], row["row_spacing"], row["slice_spacing_median"]]
    acquired = sidecar["acquired"]
    for wanted, found in zip(expected, acquired["spacing_mm"], strict=True):
        if wanted and abs(found / float(wanted) - 1) > 0.01:
            yield "spacing", f"{expected} expected, {acquired['spacing_mm']} found"
            break
    if row["orientation_ijk"] and acquired["orientation"] != row["orientation_ijk"]:
        yield "orientation", f"{row['orientation_ijk']} expected, {acquired['orientation']} found"
    if volume["orientation"] != "LPS":
        yield "orientation", f"written as {volume['orientation']}"
    if row["shear_deg"] and abs(volume["shear_deg"] - float(row["shear_deg"])) > TILT:
        yield "shear", f"{row['shear_deg']} expected, {volume['shear_deg']} found"


def compare_place(row, volume, sidecar, result):
    """The corner of the first slice must be the centre of a corner voxel of the written array."""
    if not row["first_slice_ipp_lps"] or float(row["shear_deg"] or 0) > TILT:
        return
    image = nib.load(result.folder / volume["file"])
    corner = np.array([float(part) for part in row["first_slice_ipp_lps"].split("\\")] + [1.0])
    index = (np.linalg.inv(RAS_TO_LPS @ image.affine) @ corner)[:3]
    ends = np.array(image.shape) - 1
    if np.minimum(np.abs(index), np.abs(index - ends)).max() > 0.05:
        yield "place", f"the first slice begins at voxel {index.round(2).tolist()} of {image.shape}"


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row['group']}-{row['series_uid'][-8:]}")
@pytest.mark.usefixtures("shared_data")
def test_real_series_agrees_with_its_facts_or_is_held_with_a_reason(row, tmp_path):
    series = series_of(row["group"]).get(row["series_uid"])
    if series is None:
        pytest.skip("no file of this series can be read")
    preprocess(series, tmp_path / "out")
    result = Result(tmp_path / "out", json.loads((tmp_path / "out" / "report.json").read_text("utf-8")))
    if result.accepted:
        assert list(compare(row, result, series)) == []
    else:
        reasons = [f for f in result.report["findings"] if f["severity"] in ("REVIEW", "ERROR")]
        assert reasons, "held or refused without a reason"


@pytest.mark.usefixtures("shared_data")
def test_no_file_makes_the_reader_warn(recwarn):
    for row in rows():
        series_of(row["group"])
    assert [str(warning.message) for warning in recwarn.list] == []
