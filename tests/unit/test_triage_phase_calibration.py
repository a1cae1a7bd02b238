"""A temperature fitted on reviewed cases: known over-confidence is taken back, few cases change little."""

from __future__ import annotations

import csv
import json
import math

import pytest
from click.testing import CliRunner

from handlers.triage import phase_calibration
from handlers.triage.phase_fusion import classes
from node.cli.calibrate import calibrate
from node.config import Config, Profile
from node.errors import ConfigError
from node.recipes import recipe_of


def scores(best, chance=0.96):
    rest = (1 - chance) / (len(classes()) - 1)
    return {each: math.log(chance if each == best else rest) for each in classes()}


def cases(count, right):
    """`count` cases that say ART with 0.96; this share of them is right, spread over all folds, the rest are PV."""
    return [(scores("ART"), "ART" if k * 37 % 100 < 100 * right else "PV") for k in range(count)]


def test_too_sure_becomes_less_sure():
    made = phase_calibration.fit(cases(200, 0.6))
    assert made["temperature"] > 1.3
    assert made["calibration_error"]["before"] == pytest.approx(0.36, abs=0.01)  # 0.96 told, 0.60 right
    assert made["calibration_error"]["after"] < 0.1


def test_what_is_right_as_often_as_it_says_stays():
    assert phase_calibration.fit(cases(200, 0.96))["temperature"] == pytest.approx(1.0, abs=0.1)


def test_few_cases_move_it_less_than_many():
    few, many = (phase_calibration.fit(cases(n, 0.6))["temperature"] for n in (20, 400))
    assert 1 < few <= many
    with pytest.raises(ValueError, match="20 are needed"):
        phase_calibration.fit(cases(19, 0.6))


@pytest.mark.parametrize(
    ("label", "code"),
    [("ARTERIAL", "ART"), ("pv", "PV"), ("CE_UNSPECIFIED", "CE"), ("UNKNOWN", ""), ("", "")],
)
def test_reviewers_may_write_labels_or_codes(label, code):
    assert phase_calibration.code_of(label) == code


def test_the_command_writes_what_a_profile_then_uses(tmp_path):
    with (tmp_path / "cases.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["SeriesInstanceUID", "label"])
        for k, (given, label) in enumerate(cases(40, 0.6)):
            writer.writerow([f"1.2.{k}", label])
            folder = tmp_path / "out" / f"1.2.{k}"
            folder.mkdir(parents=True)
            report = {"SeriesInstanceUID": f"1.2.{k}", "volumes": [{"contrast": {"scores": given}}]}
            (folder / "report.json").write_text(json.dumps(report))
    made = tmp_path / "made.json"
    asked = [str(tmp_path / "cases.csv"), "--reports", str(tmp_path / "out"), "--out", str(made)]
    result = CliRunner().invoke(calibrate, asked, catch_exceptions=False)
    assert result.exit_code == 0
    config = Config(profile={"ct": Profile(contrast_calibration=str(made))})
    contrast = recipe_of("ct", config).contrast
    told = json.loads(made.read_text())
    assert contrast.temperature == told["temperature"] > 1
    assert contrast.calibration == {"version": 1, "cases": 40, "sha256": told["sha256"]}
    made.write_text(made.read_text().replace('"cases": 40', '"cases": 41', 1))
    with pytest.raises(ConfigError, match="changed after it was made"):
        recipe_of("ct", config)
