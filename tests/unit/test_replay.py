"""A recorded result is made again from its originals, and every difference is named."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

import data
from handlers.model import Severity
from handlers.outputs.comparison import differences
from handlers.outputs.json_values import plain
from handlers.outputs.provenance import PIPELINE_VERSION, changed_versions, versions
from node import digest, processing
from node.cli.replay import replay
from node.cli.run import run
from node.config import Config
from node.errors import ConfigError
from node.recipes import recipe_of, recorded_recipe
from node.runner import SeriesRunner
from registered import Node

SMALL = {"slices": 8, "rows": 24, "columns": 20}
PROFILE = """
[profile.small]
spacing_mm = [1.0, 1.0, 4.0]
intensity = "soft"
policy = { GEO-005 = "REJECT" }
"""


def invoke(command, *arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def replayed(*arguments):
    result = invoke(replay, *arguments, "--json")
    found = json.loads(result.stdout)
    return result.exit_code, {file["path"]: file for file in found["files"]}, found


@pytest.fixture
def originals(tmp_path):
    data.write(data.ct_series(**SMALL), tmp_path / "in")
    data.write(data.mr_series(**SMALL), tmp_path / "in")
    return tmp_path / "in"


@pytest.fixture
def results(originals, tmp_path):
    """Results of the CT series by a profile that the configuration of the replay does not have."""
    (tmp_path / "node.toml").write_text(PROFILE)
    made = invoke(
        run, originals, "--out", tmp_path / "out", "--profile", "small", "-c", tmp_path / "node.toml"
    )
    assert made.exit_code == 0, made.output
    return tmp_path / "out" / data.ct_series(**SMALL)[0].SeriesInstanceUID


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def test_a_result_is_made_again_by_the_recipe_that_its_report_keeps(results, originals):
    code, files, found = replayed(results, "--originals", originals)
    assert code == 0, found
    assert {"report.json", "report.html", "v0.nii.gz", "v0.json", "v0.png"} == set(files)
    assert {file["sameness"] for file in files.values()} == {"same"}
    assert found["changes"] == found["findings"] == []


def test_the_report_itself_may_name_the_result(results, originals):
    assert invoke(replay, results / "report.json", "--originals", originals).exit_code == 0


def test_other_versions_are_named_and_excused(results, originals):
    """PRV-001 names the library; what differs in report and sidecar is only that name."""

    def older(content):
        block = content.get("provenance", content.get("node"))
        block["versions"]["numpy"] = "1.0"

    edit(results / "v0.json", older)
    sidecar = results / "v0.json"

    def older_report(content):
        older(content)
        (entry,) = (each for each in content["products"] if each["path"] == "v0.json")
        entry["sha256"] = hashlib.sha256(sidecar.read_bytes()).hexdigest()

    edit(results / "report.json", older_report)
    code, files, found = replayed(results, "--originals", originals)
    assert code == 0, found
    assert [finding["code"] for finding in found["findings"]] == ["PRV-001"]
    assert list(found["findings"][0]["evidence"]["versions"]) == ["numpy"]
    assert found["findings"][0]["evidence"]["versions"]["numpy"]["recorded"] == "1.0"
    for name in ("report.json", "v0.json"):
        assert files[name]["sameness"].startswith("same but")
    assert files["v0.nii.gz"]["sameness"] == "same"


def test_a_changed_pixel_of_an_original_is_told_by_voxel(results, originals):
    path = sorted(originals.iterdir())[3]
    content = bytearray(path.read_bytes())
    content[-2 * SMALL["columns"] * 12 - 20] ^= 0x40  # the middle of the last-but-12th row
    path.write_bytes(bytes(content))
    code, files, _ = replayed(results, "--originals", originals)
    assert code == 1
    assert files["v0.nii.gz"]["sameness"] == "differs"
    assert "voxels differ, first at" in files["v0.nii.gz"]["differences"][0]


def test_missing_instances_are_told(results, originals):
    for path in sorted(originals.iterdir())[4:8]:
        path.unlink()
    code, files, found = replayed(results, "--originals", originals)
    assert code == 1
    assert any("instances are not those" in change for change in found["changes"])
    assert any("shape" in line for line in files["v0.nii.gz"]["differences"])


def test_an_output_that_was_altered_later_is_told(results, originals):
    path = results / "v0.nii.gz"
    values = bytearray(gzip.decompress(path.read_bytes()))
    values[352] ^= 1
    path.write_bytes(gzip.compress(bytes(values)))
    code, files, _ = replayed(results, "--originals", originals)
    assert code == 1
    assert "altered since" in files["v0.nii.gz"]["sameness"]
    assert "1 of" in files["v0.nii.gz"]["differences"][0]


def test_a_series_less_in_the_study_is_told(results, originals):
    for path in sorted(originals.iterdir())[8:]:
        path.unlink()
    _, _, found = replayed(results, "--originals", originals)
    assert [change for change in found["changes"] if "other series" in change]


def test_a_report_without_a_recipe_cannot_be_replayed(results, originals):
    edit(results / "report.json", lambda report: report["provenance"].pop("recipe"))
    result = invoke(replay, results, "--originals", originals)
    assert result.exit_code == 1
    assert "keeps no recipe" in result.stderr


def test_a_recipe_of_a_later_version_is_not_guessed_at(results, originals):
    edit(results / "report.json", lambda report: report["provenance"]["recipe"].update(sharpen=2))
    result = invoke(replay, results, "--originals", originals)
    assert result.exit_code == 1
    assert "'sharpen'" in result.stderr


def test_originals_go_with_folders_alone(results, originals):
    assert invoke(replay, results).exit_code == 2
    assert invoke(replay, "1.2.3", "--originals", originals).exit_code == 2


@pytest.fixture
def node(tmp_path, originals):
    """A registered, processed series."""
    made = Node(tmp_path / "data")
    datasets = data.ct_series(**SMALL)
    series, study = datasets[0].SeriesInstanceUID, datasets[0].StudyInstanceUID
    paths = sorted(originals.iterdir())[: len(datasets)]
    sops = [each.SOPInstanceUID for each in datasets]
    made.arrive(paths, series=series, study=study, sops=sops, digest=digest.digest)
    made.repository.complete(series, "contiguous", {"quiet_s": 1.0}, made.clock())
    runner = SeriesRunner(made.config)
    try:
        processing.SeriesWork(made.config, made.repository, runner, now=made.clock)(series, 1)
    finally:
        runner.stop()
    made.series, made.study, made.paths = series, study, paths
    (tmp_path / "of.toml").write_text(f'[node]\ndata_dir = "{tmp_path / "data"}"\n')
    made.options = (series, "-c", tmp_path / "of.toml")
    yield made
    made.close()


def test_a_registered_series_is_made_again(node):
    code, files, found = replayed(*node.options)
    assert code == 0, found
    assert len(files) == 5
    report = json.loads(
        (node.config.outputs_dir / node.study / node.series / "r1" / "report.json").read_text()
    )
    assert len(report["provenance"]["content_sha256"]) == 64


def test_a_stored_original_that_is_not_what_was_received_is_named(node):
    node.paths[2].write_bytes(node.paths[2].read_bytes()[:-2] + b"\x10\0")
    code, _, found = replayed(*node.options)
    assert code == 1
    assert found["changes"] == [f"the original {node.paths[2].name} is not what was received"]


def test_a_series_that_is_not_there_is_told(node):
    result = invoke(replay, "1.2.3", *node.options[1:])
    assert result.exit_code == 1
    assert "not registered" in result.stderr


def test_equal_versions_raise_nothing():
    recorded = {"pipeline_version": PIPELINE_VERSION, "versions": versions()}
    assert changed_versions(recorded) == []
    (finding,) = changed_versions({**recorded, "pipeline_version": "0"})
    assert (finding.code, finding.severity) == ("PRV-001", Severity.WARN)


def test_every_recipe_of_the_configuration_survives_its_record():
    keys = {
        "spacing_mm": [1, 2, 3],
        "policy": {"GEO-005": "REJECT"},
        "steps": ["drop_duplicates"],
        "accept_kernels": ["smooth"],
    }
    recipe = recipe_of("x", Config(profile={"x": keys}))
    assert recorded_recipe(plain(asdict(recipe)), Config()) == recipe
    with pytest.raises(ConfigError, match="orientation"):
        recorded_recipe({"orientation": 3}, Config())


def test_a_command_of_a_report_is_run_only_if_the_configuration_has_it():
    site = Config(profile={"x": {"contrast_classifier": ["classify", "--fast"]}})
    recorded = plain(asdict(recipe_of("x", site)))
    assert recorded_recipe(recorded, site).contrast.classifier == ("classify", "--fast")
    with pytest.raises(ConfigError, match="classify --fast"):
        recorded_recipe(recorded, Config())


def test_json_is_compared_key_by_key(tmp_path):
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    first.write_text(json.dumps({"node": {"versions": {"a": "1"}, "x": [1, {"y": True}]}, "gone": 1}))
    second.write_text(json.dumps({"node": {"versions": {"a": "2"}, "x": [1, {"y": 1}]}, "new": None}))
    assert differences(first, second) == [
        "gone: 1 -> absent",
        "new: absent -> null",
        "node.x.1.y: true -> 1",
    ]
