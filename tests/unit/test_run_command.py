"""`prepnode run`: folders in, results out, exit codes that a script can trust."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

import data
from node.cli.run import run

SMALL = {"slices": 12, "rows": 32, "columns": 24}


def invoke(*arguments):
    return CliRunner().invoke(run, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path):
    """Two series in nested folders, a file that is no DICOM, and one that is cut short."""
    root = tmp_path / "in"
    data.write(data.ct_series(**SMALL), root / "a" / "deep")
    data.write(data.mr_series(**SMALL), root / "b")
    (root / "notes.txt").write_text("not DICOM")
    (root / "b" / "half.dcm").write_bytes((root / "a" / "deep" / "0000.dcm").read_bytes()[:200])
    return root


def test_every_series_gets_its_folder(folder, tmp_path):
    result = invoke(folder, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    folders = sorted((tmp_path / "out").iterdir())
    assert len(folders) == 2
    for each in folders:
        assert json.loads((each / "report.json").read_text("utf-8"))["SeriesInstanceUID"] == each.name


def test_summary_names_verdict_codes_and_report(folder, tmp_path):
    result = invoke(folder, "--out", tmp_path / "out", "--json")
    rows = json.loads(result.stdout)
    assert {row["modality"] for row in rows} == {"CT", "MR"}
    for row in rows:
        assert row["instances"] == 12
        assert row["volumes"] == 1
        assert row["verdict"] in ("ACCEPT", "ACCEPT_WARN")
        assert (tmp_path / "out" / row["series"] / "report.json").samefile(row["report"])


def test_files_that_are_no_dicom_are_listed(folder, tmp_path):
    result = invoke(folder, "--out", tmp_path / "out")
    assert "notes.txt" in result.stderr
    assert "half.dcm" in result.stderr


def test_a_refused_series_is_judged_and_exits_with_0(tmp_path):
    data.write([data.secondary_capture()], tmp_path / "in")
    result = invoke(tmp_path / "in", "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0
    assert [row["verdict"] for row in json.loads(result.stdout)] == ["REJECT"]


def test_nothing_to_judge_exits_with_1(tmp_path):
    (tmp_path / "in").mkdir()
    result = invoke(tmp_path / "in", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "no DICOM series" in result.stderr


def test_a_result_that_cannot_be_written_exits_with_1(folder, tmp_path):
    (tmp_path / "out").write_text("a file where the folder should be")
    result = invoke(folder, "--out", tmp_path / "out" / "below")
    assert result.exit_code == 1
    assert "could not be judged" in result.stderr


def test_results_of_an_earlier_run_are_not_read_as_input(folder, tmp_path):
    for _ in range(2):
        result = invoke(folder, "--out", folder / "results", "--json")
        assert result.exit_code == 0
        assert len(json.loads(result.stdout)) == 2


def test_one_file_is_a_series_too(tmp_path):
    (path,) = data.write([data.projection("DX")], tmp_path / "in")
    result = invoke(path, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)) == 1


def test_a_profile_of_the_configuration_is_used(folder, tmp_path):
    (tmp_path / "node.toml").write_text("[profile.coarse]\nspacing_mm = [2.0, 2.0, 4.0]\n")
    result = invoke(
        folder, "--out", tmp_path / "out", "--profile", "coarse", "-c", tmp_path / "node.toml", "--json"
    )
    assert result.exit_code == 0, result.output
    for row in json.loads(result.stdout):
        (volume,) = json.loads((tmp_path / "out" / row["series"] / "report.json").read_text("utf-8"))[
            "volumes"
        ]
        assert volume["spacing_mm"] == [2.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", "--out", "out"], "does not exist"),
        (["."], "--out"),
        ([".", "--out", "out", "--profile", "nonesuch"], "profile 'nonesuch' is not defined"),
        ([".", "--out", "out", "-c", "nowhere.toml"], "no such file"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_why(tmp_path, arguments, told):
    done = subprocess.run(
        [sys.executable, "-m", "node", "run", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert told in done.stderr


def test_a_plug_in_that_is_not_installed_is_a_mistake_of_the_configuration(tmp_path):
    (tmp_path / "node.toml").write_text('[profile.odd]\nwriters = ["pdf-by-fax"]\n')
    done = subprocess.run(
        [sys.executable, "-m", "node", "run", ".", "--out", "out", "--profile", "odd", "-c", "node.toml"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "pdf-by-fax" in done.stderr
