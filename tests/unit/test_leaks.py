"""Attributes that tell the label are found; identifiers and noise are not."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

import data
from handlers.model import Severity
from handlers.triage.leakage import FreeTextInSidecar
from node.cli.leaks import leaks
from node.config import Config
from node.keywords import sidecar_keyword
from node.leak_score import by_chance, skill
from node.leak_table import rows_of
from phantoms import uid
from runs import Recipe, process
from triage_cases import series as series_of

ABAB = np.array([0, 1, 0, 1, 0, 1, 0, 1])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([*"xyxyxyxy"], 1.0),  # one value per label
        ([*"xyxyxyzz"], 0.75 * 2 - 1),  # z has one row of each label, which foretell each other wrongly
        ([*"abcdefgh"], 0.0),  # an identifier
        ([1.0, 9.0, 1.2, 9.1, 1.1, 9.3, 0.9, 9.2], 1.0),  # a number, different everywhere, in two heaps
        ([1, 2, 3, 4, 5, 6, 7, 8], 0.0),  # the neighbours bear the other label
        (
            [None, "a", None, "b", None, "c", None, "d"],
            0.5,
        ),  # absence tells one label; "a" to "d" half by luck
        ([True, False] * 4, 1.0),
    ],
)
def test_skill_is_what_the_other_rows_foretell(values, expected):
    assert skill(values, ABAB) == pytest.approx(expected)


def test_guessing_the_larger_class_is_no_skill():
    labels = np.array([0] * 18 + [1] * 2)
    assert skill(["same"] * 20, labels) == 0.0


def test_three_labels_are_scaled_to_their_own_chance():
    labels = np.array([0, 0, 1, 1, 2, 2])
    assert skill([*"aabbcc"], labels) == 1.0
    # "b" holds two labels: each of its four rows is foretold by one right and two wrong votes
    assert skill([*"aabbbb"], labels) == pytest.approx((1 / 3 - 1 / 3) / (2 / 3))


def test_chance_is_told_with_few_rows_and_excluded_with_many():
    few = np.array([0, 0, 1, 1])
    many = np.array([0, 1] * 20)
    assert by_chance([*"aabb"], few) > 0.2  # 2 of 6 labellings
    assert by_chance(["x", "y"] * 20, many) == pytest.approx(1 / 200)


@pytest.fixture
def outputs(tmp_path):
    """Six CT series: the label is told by kernel and description; sizes and noise tell nothing."""
    for number in range(6):
        is_ill = number % 2
        process(
            data.ct_series(
                slices=5,
                rows=16,
                columns=16,
                name=f"case {number}",
                kernel="B70f" if is_ill else "B30f",
                series_uid=uid("leak", number),
                study_uid=uid("leak study", number),
                SeriesDescription="TUMOUR PROTOCOL" if is_ill else "SCREENING",
                ReconstructionDiameter=200 + number // 2,
            ),
            tmp_path / str(number),
            Recipe(sidecar_attributes=("ReconstructionDiameter", "SeriesDescription")),
        )
        (tmp_path / str(number) / "out").rename(tmp_path / f"out-{number}")
    root = tmp_path / "outputs"
    root.mkdir()
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["SeriesInstanceUID", "diagnosis"])
        for number in range(6):
            (tmp_path / f"out-{number}" / uid("leak", number)).rename(root / uid("leak", number))
            writer.writerow([uid("leak", number), "ill" if number % 2 else "well"])
    return root


def found(outputs, *options):
    labels = outputs.parent / "labels.csv"
    result = CliRunner().invoke(leaks, [str(outputs), "--labels", str(labels), "--json", *options])
    return result, {row["attribute"]: row for row in json.loads(result.stdout or "[]")}


def test_attributes_that_tell_the_label_are_listed(outputs):
    result, attributes = found(outputs)
    assert result.exit_code == 1
    for name in ("sidecar.ConvolutionKernel", "sidecar.SeriesDescription", "report.volume.kernel.class"):
        assert attributes[name]["skill"] == 1.0
    assert "TUMOUR PROTOCOL -> ill" in attributes["sidecar.SeriesDescription"]["examples"]


def test_identifiers_and_unrelated_attributes_are_not(outputs):
    _, attributes = found(outputs)
    assert "sidecar.ReconstructionDiameter" not in attributes
    assert "report.SeriesInstanceUID" not in attributes
    assert "file.folder_0" not in attributes
    assert not any(name.startswith("report.provenance.versions") for name in attributes)


def test_a_folder_that_bears_the_label_is_found(outputs):
    for path in list(outputs.iterdir()):
        report = json.loads((path / "report.json").read_text())
        raised = next(each for each in report["volumes"])["kernel"]["raw"]
        site = outputs / ("hospital-a" if raised == "B30f" else "hospital-b")
        site.mkdir(exist_ok=True)
        path.rename(site / path.name)
    _, attributes = found(outputs)
    assert attributes["file.folder_0"]["skill"] == 1.0


def test_nothing_to_tell_exits_with_0(outputs):
    labels = outputs.parent / "labels.csv"
    lines = [f"{uid('leak', number)},{'ab'[number // 3]}" for number in range(6)]
    labels.write_text("SeriesInstanceUID,label\n" + "\n".join(lines) + "\n")
    result, attributes = found(outputs, "--threshold", "1")
    assert (attributes, result.exit_code) == ({}, 0)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("case,label\n1,a\n", "needs a column that is one of"),
        ("SeriesInstanceUID,a,b\n1,a,b\n", "--label"),
        ("SeriesInstanceUID,label\n1,a\n1,b\n", "gives 1 the labels a and b"),
        ("SeriesInstanceUID,label\n1,a\n", "at least two labels"),
    ],
)
def test_a_table_that_cannot_be_used_is_told(outputs, table, message):
    (outputs.parent / "labels.csv").write_text(table)
    result, _ = found(outputs)
    assert result.exit_code == 1
    assert message in result.stderr


def test_uids_are_looked_at_by_their_root_and_components(outputs):
    attributes = rows_of(outputs)[0].attributes
    whole = attributes["report.StudyInstanceUID"]
    assert attributes["sidecar.node.sources.SeriesInstanceUID"].startswith("2.25.")
    assert whole.startswith("2.25.")  # too short to have a root of five components


def test_free_text_in_the_sidecar_warns():
    (finding,) = FreeTextInSidecar(("SeriesDescription", "ReconstructionDiameter"))(series_of())
    assert (finding.code, finding.severity) == ("LEAK-001", Severity.WARN)
    assert finding.evidence == {"attributes": ["SeriesDescription"]}


def test_codes_and_numbers_in_the_sidecar_do_not():
    assert FreeTextInSidecar(("ReconstructionDiameter", "RotationDirection"))(series_of()) == []
    assert FreeTextInSidecar()(series_of()) == []


def test_what_a_profile_adds_stands_in_the_sidecar_and_is_told(tmp_path):
    series = data.ct_series(slices=5, rows=16, columns=16, SeriesDescription="A", ReconstructionDiameter=250)
    plain = process(series, tmp_path / "plain")
    adding = process(
        series,
        tmp_path / "adding",
        Recipe(sidecar_attributes=("SeriesDescription", "ReconstructionDiameter")),
    )
    sidecar = json.loads((adding.folder / "v0.json").read_text())
    assert (sidecar["SeriesDescription"], sidecar["ReconstructionDiameter"]) == ("A", 250.0)
    assert "LEAK-001" in adding.codes
    assert "LEAK-001" not in plain.codes
    assert "SeriesDescription" not in json.loads((plain.folder / "v0.json").read_text())


@pytest.mark.parametrize(
    "keyword",
    [
        "PatientName",
        "PatientAge",
        "StudyDate",
        "AccessionNumber",
        "InstitutionName",
        "Nonsense",
        "StationName",
    ],
)
def test_what_identifies_a_patient_or_site_is_refused(keyword):
    with pytest.raises(ValueError, match=keyword):
        sidecar_keyword(keyword)
    with pytest.raises(ValueError, match=keyword):
        Config(profile={"x": {"sidecar_attributes": [keyword]}})


def test_file_names_are_an_allow_list(tmp_path):
    """Nothing of the header gets into the name of a file, whatever it holds."""
    telling = "TUMOUR-LEFT"
    series = data.ct_series(
        slices=5, rows=16, columns=16, SeriesDescription=telling, StudyID=telling, StationName=telling,
        AccessionNumber=telling, ProtocolName=telling, PatientComments=telling,
    )  # fmt: skip
    recipe = Recipe(writers=("structured-report",), save_padding_mask=True)
    result = process(series, tmp_path, recipe)
    names = sorted(
        path.relative_to(result.folder).as_posix() for path in result.folder.rglob("*") if path.is_file()
    )
    assert names == ["dicom/report.dcm", "report.html", "report.json", "v0.json", "v0.nii.gz", "v0.png"]
    assert telling not in (result.folder / "v0.json").read_text()
