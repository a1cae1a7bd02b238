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


def told_wrong(count, right, chance=0.9):
    return [(scores("ART", chance), "ART" if k % 10 < 10 * right else "PV") for k in range(count)]


def best_temperature(judged):
    """The temperature whose misfit, and distance of its logarithm from 0 with a spread of 0.5, is least."""

    def cost(log_temperature):
        total = log_temperature**2 / (2 * 0.5**2)
        for case, label in judged:
            weights = {each: math.exp(value / math.exp(log_temperature)) for each, value in case.items()}
            wanted = sum(weights.values()) - weights["NC"] if label == "CE" else weights[label]
            total -= math.log(wanted / sum(weights.values()))
        return total

    return math.exp(min((math.log(0.25) + k * 0.0025 for k in range(1480)), key=cost))


@pytest.mark.parametrize(("right", "count"), [(0.5, 20), (0.7, 40), (1.0, 40), (0.9, 30)])
def test_the_temperature_agrees_with_a_plain_search(right, count):
    judged = told_wrong(count, right)
    made = phase_calibration.fit(judged)
    assert made["temperature"] == pytest.approx(best_temperature(judged), rel=0.012)  # steps of one percent
    assert made["temperature"] == round(made["temperature"], 3)


def test_contrast_of_open_phase_is_everything_but_unenhanced():
    judged = [*told_wrong(20, 0.5), *[(scores("NC", 0.7), "CE")] * 20]
    assert phase_calibration.fit(judged)["temperature"] == pytest.approx(best_temperature(judged), rel=0.012)
    assert phase_calibration._confidence((scores("PV", 0.7), "CE"), 1.0) == (pytest.approx(0.7), True)
    assert phase_calibration._confidence((scores("NC", 0.7), "CE"), 1.0) == (pytest.approx(0.7), False)


def test_reliability_is_that_of_cases_that_were_not_fitted():
    """The temperature of a case comes from the other four fifths, every fifth case left out in turn."""
    judged = [(scores("ART", 0.9), "PV" if k % 5 == 0 else "ART") for k in range(40)]
    temperatures = [
        phase_calibration._temperature([c for k, c in enumerate(judged) if k % 5 != fold])
        for fold in range(5)
    ]
    assert temperatures[0] < temperatures[1] == temperatures[4]
    expected = [phase_calibration._confidence(case, temperatures[k % 5]) for k, case in enumerate(judged)]
    assert phase_calibration.fit(judged)["reliability"]["after"] == phase_calibration._table(expected)


def test_the_table_has_bins_that_end_with_their_upper_limit():
    rows = phase_calibration._table(
        [(0.3, True), (0.30001, False), (0.5, True), (1.0, True), (0.95, False), (0.951, True)]
    )
    assert [(each["from"], each["to"], each["cases"], each["right"]) for each in rows] == [
        (0.0, 0.3, 1, 1.0), (0.3, 0.5, 2, 0.5), (0.9, 0.95, 1, 0.0), (0.95, 1.0, 2, 1.0),
    ]  # fmt: skip


def test_the_table_has_three_digits_and_the_error_four():
    judged = [(0.62345, True), (0.62345, False), (0.62345, False)]
    (row,) = phase_calibration._table(judged)
    assert (row["confidence"], row["right"]) == (0.623, 0.333)
    assert phase_calibration._error([*judged, (0.85, True)] * 3) == 0.255  # 9 of 12 by 0.29, 3 by 0.15
    assert phase_calibration._error([*judged] * 2 + [(0.8, True)]) == 0.2771  # 6 of 7 by 0.29, 1 by 0.2


@pytest.mark.parametrize(
    ("temperature", "is_taken"), [(0.5, True), (1, True), (0, False), (-1.0, False), (None, False)]
)
def test_a_calibration_has_a_temperature_above_nothing(tmp_path, temperature, is_taken):
    from handlers.triage import phase_lexicon

    content = {
        "table_version": phase_lexicon.version(),
        **({} if temperature is None else {"temperature": temperature}),
    }
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(phase_calibration.sealed(content)), encoding="utf-8")
    if is_taken:
        assert phase_calibration.load(path)["temperature"] == temperature
    else:
        with pytest.raises(ValueError, match="it is no calibration"):
            phase_calibration.load(path)
