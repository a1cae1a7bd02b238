"""The CT table in the picture: which side of the patient it lies on, and what is no table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from handlers.model import Severity
from handlers.triage import table_side
from triage_cases import codes, only, series, volume

HOUNSFIELD = "[hnsf'U]"
AIR, TISSUE = -1000, 40


def patient_on_table(*, table_row, touching=False):
    """A body at rows 60 to 140 of 200, columns 40 to 160 (1 mm pixels), and a flat table at `table_row`."""
    values = np.full((10, 200, 200), -1000, np.int16)
    values[:, 60:140, 40:160] = 40
    row = (140 if table_row > 100 else 56) if touching else table_row
    values[:, row : row + 4, 20:180] = 100
    return values


def table_findings(values, **attributes):
    made = volume("CT", slices=10, values=values, units=HOUNSFIELD, PixelSpacing=[1, 1], **attributes)
    return table_side.table_side(series(made))


@pytest.mark.parametrize(("position", "row"), [("HFS", 40), ("FFS", 40), ("HFP", 160)])
def test_a_table_on_the_wrong_side_is_held(position, row):
    finding = only(table_findings(patient_on_table(table_row=row), PatientPosition=position))
    assert (finding.code, finding.severity) == ("GEO-017", Severity.REVIEW)


@pytest.mark.parametrize(("position", "row"), [("HFS", 160), ("HFP", 40)])
def test_a_table_on_its_side_is_fine(position, row):
    assert table_findings(patient_on_table(table_row=row), PatientPosition=position) == []


def test_rows_that_run_upwards_turn_the_picture_round():
    turned = {"ImageOrientationPatient": [-1, 0, 0, 0, -1, 0], "PatientPosition": "HFS"}
    assert table_findings(patient_on_table(table_row=40), **turned) == []
    assert codes(table_findings(patient_on_table(table_row=160), **turned)) == ["GEO-017"]


@pytest.mark.parametrize(
    ("values", "attributes"),
    [
        (patient_on_table(table_row=40, touching=True), {"PatientPosition": "HFS"}),
        (patient_on_table(table_row=40), {"PatientPosition": "HFDR"}),
        (patient_on_table(table_row=40), {"PatientPosition": None}),
        (
            patient_on_table(table_row=40),
            {"PatientPosition": "HFS", "ImageOrientationPatient": [1, 0, 0, 0, 0, -1]},
        ),
        (np.full((10, 200, 200), -1000, np.int16), {"PatientPosition": "HFS"}),
    ],
    ids=["table touches the body", "on the side", "position unknown", "coronal", "nothing there"],
)
def test_what_is_not_clear_is_no_finding(values, attributes):
    assert table_findings(values, **attributes) == []


def scene(*boxes, size=(200, 200), slices=10):
    """Air, and boxes of (first row, first column, rows, columns), of tissue or of a fifth figure in HU."""
    values = np.full((slices, *size), AIR, np.int16)
    for row, column, rows, columns, *hu in boxes:
        values[:, row : row + rows, column : column + columns] = hu[0] if hu else TISSUE
    return values


def seen(values, *, spacing=(1.0, 1.0), position="HFS", **geometry):
    """What is told of an image of a patient who lies on the back: a table above is on the wrong side."""
    made = volume(
        "CT", slices=len(values), values=values, PixelSpacing=list(spacing), PatientPosition=position
    )
    return codes(table_side.table_side(series(replace(made, geometry=replace(made.geometry, **geometry)))))


BODY = (60, 40, 80, 120)  # rows 60 to 139, columns 40 to 159
WRONG = ["GEO-017"]


@pytest.mark.parametrize(
    ("body", "width", "spacing", "expected"),
    [
        (BODY, 150, (1.0, 1.0), WRONG),  # as long as a table has to be, 150 mm
        (BODY, 149, (1.0, 1.0), []),
        (BODY, 75, (0.5, 2.0), WRONG),  # columns are 2 mm apart, rows 0.5 mm
        (BODY, 74, (0.5, 2.0), []),
        ((60, 40, 80, 400), 160, (1.0, 1.0), WRONG),  # 40 % of the width of a large body
        ((60, 40, 80, 400), 159, (1.0, 1.0), []),
        ((60, 40, 80, 200), 80, (0.5, 2.0), WRONG),
        ((60, 40, 80, 200), 79, (0.5, 2.0), []),
    ],
)
def test_a_table_is_wide(body, width, spacing, expected):
    assert seen(scene(body, (20, 20, 4, width), size=(200, 500)), spacing=spacing) == expected


@pytest.mark.parametrize(
    ("rows", "spacing", "expected"),
    [(40, (1.0, 1.0), WRONG), (41, (1.0, 1.0), []), (20, (2.0, 1.0), WRONG), (21, (2.0, 1.0), [])],
)
def test_a_table_is_flat(rows, spacing, expected):
    assert seen(scene((60, 40, 80, 120), (5, 20, rows, 160)), spacing=spacing) == expected


@pytest.mark.parametrize(
    ("row", "position", "expected"),
    [
        (77, "HFS", WRONG),  # its middle lies above the upper quarter of the body
        (78, "HFS", []),
        (119, "HFP", WRONG),  # below the lower quarter
        (118, "HFP", []),
    ],
)
def test_a_table_lies_above_or_below_the_body_not_beside_it(row, position, expected):
    beside = (row, 130, 4, 160)
    assert seen(scene((60, 0, 80, 120), beside, size=(200, 300)), position=position) == expected


@pytest.mark.parametrize(("rows", "expected"), [(20, WRONG), (19, [])])
def test_a_body_fills_two_percent_of_the_picture(rows, expected):
    assert seen(scene((100, 60, rows, 40), (40, 20, 4, 160))) == expected


@pytest.mark.parametrize(("hu", "expected"), [(-699, WRONG), (-700, [])])
def test_foam_is_no_material(hu, expected):
    assert seen(scene(BODY, (20, 20, 4, 160, hu))) == expected


@pytest.mark.parametrize(("slices", "expected"), [(5, WRONG), (4, [])])
def test_five_slices_are_enough(slices, expected):
    assert seen(scene(BODY, (20, 20, 4, 160), slices=slices)) == expected


@pytest.mark.parametrize(
    ("geometry", "expected"),
    [
        ({"normal": (0.3, 0.0, 0.95)}, WRONG),
        ({"normal": (0.3, 0.0, 0.949)}, []),
        ({"column_cosine": (0.0, 0.95, 0.3)}, WRONG),
        ({"column_cosine": (0.0, 0.949, 0.3)}, []),
        ({"normal": (0.0, 0.0, 0.9), "column_cosine": (0.0, 0.9, 0.4)}, []),
    ],
)
def test_planes_have_to_be_nearly_axial(geometry, expected):
    assert seen(scene(BODY, (20, 20, 4, 160)), **geometry) == expected


@pytest.mark.parametrize("present", [range(5), range(4, 9)], ids=["first five", "last five"])
def test_all_of_nine_slices_are_looked_at(present):
    values = scene(BODY, slices=9)
    values[list(present), 20:24, 20:180] = -650  # alone in most slices; the mean with air would be too dark
    assert seen(values) == WRONG


def test_an_arm_beside_the_body_hides_no_table():
    assert seen(scene(BODY, (70, 165, 60, 30), (20, 20, 4, 160))) == WRONG


def test_tables_on_both_sides_are_none():
    assert seen(scene(BODY, (20, 20, 4, 160), (170, 20, 4, 160))) == []


def test_the_first_image_states_the_position():
    made = volume(
        "CT", slices=10, values=scene(BODY, (20, 20, 4, 160)), PixelSpacing=[1, 1],
        PatientPosition=lambda k: "HFS" if k == 0 else None,
    )  # fmt: skip
    found = only(table_side.table_side(series(made)))
    assert found.evidence == {"PatientPosition": "HFS", "seen": "anterior", "expected": "posterior"}


def test_every_volume_is_looked_at():
    fine = volume("CT", slices=10, values=scene(BODY, (170, 20, 4, 160)), PixelSpacing=[1, 1])
    wrong = volume("CT", index=1, slices=10, values=scene(BODY, (20, 20, 4, 160)), PixelSpacing=[1, 1])
    assert [each.target for each in table_side.table_side(series(fine, wrong))] == ["v1"]
