"""A site's own package, built as a wheel and installed by pip, takes part through the entry points."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import data

pytestmark = pytest.mark.slow

MODULE = """
from dataclasses import replace
from pathlib import Path

from handlers.model import AppliedStep, Finding, Product, Severity


def scanner_of_the_day(series):
    names = {instance.header.get("StationName", "") for instance in series.instances}
    return [Finding("SITE-001", Severity.WARN, f"scanned on {', '.join(sorted(names))}")]


def broken_rule(series):
    raise ZeroDivisionError("a mistake in a site's rule")


def add_ten(volume):
    step = AppliedStep("add-ten", {"added": 10})
    return replace(volume, values=volume.values + 10, steps=(*volume.steps, step))


def count_file(outcome, folder: Path):
    path = folder / "count.txt"
    path.write_text(str(len(outcome.volumes)))
    return [Product("count", Path("count.txt"))]


def carrier_pigeon(product):
    return None
"""
ENTRY_POINTS = """
[prepnode.triage_rules]
scanner-of-the-day = site_plugin:scanner_of_the_day
broken-rule = site_plugin:broken_rule
[prepnode.steps]
add-ten = site_plugin:add_ten
[prepnode.writers]
count-file = site_plugin:count_file
[prepnode.destinations]
pigeon = site_plugin:carrier_pigeon
"""


@pytest.fixture(scope="module")
def site_packages(tmp_path_factory) -> Path:
    """Build a wheel by the wheel specification and let pip install it into a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    wheel = folder / "site_plugin-1.0-py3-none-any.whl"
    info = "site_plugin-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("site_plugin.py", MODULE)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: site-plugin\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/entry_points.txt", ENTRY_POINTS)
        archive.writestr(f"{info}/RECORD", "")
    target = folder / "installed"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-index",
        "--no-deps",
        "--target",
        str(target),
        str(wheel),
    ]
    subprocess.run(command, check=True, timeout=60)
    return target


def prepnode(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "node", *arguments],
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_plugins_lists_built_ins_and_installed_ones(site_packages: Path) -> None:
    done = prepnode(site_packages, "plugins", "--json")
    listed = {(row["group"], row["name"]) for row in json.loads(done.stdout)}
    assert ("prepnode.steps", "add-ten") in listed
    assert ("prepnode.destinations", "pigeon") in listed
    assert ("prepnode.destinations", "folder") in listed
    assert ("prepnode.handlers", "default") in listed
    assert any(group == "prepnode.triage_rules" and name != "broken-rule" for group, name in listed)


def test_a_profile_runs_the_rule_step_and_writer_that_it_names(site_packages: Path, tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text(
        '[profile.site]\nrules = ["scanner-of-the-day"]\nsteps = ["add-ten"]\nwriters = ["count-file"]\n'
    )
    series = data.ct_series(slices=12, rows=32, columns=32, StationName="CT99")
    data.write(series, tmp_path / "study")
    arguments = ["run", str(tmp_path / "study"), "--out", str(tmp_path / "out"), "-c", str(config)]
    for profile in ("default", "site"):
        done = prepnode(site_packages, *arguments, "--profile", profile)
        assert done.returncode == 0, done.stderr
        folder = tmp_path / "out" / series[0].SeriesInstanceUID
        report = json.loads((folder / "report.json").read_text())
        codes = {finding["code"]: finding for finding in report["findings"]}
        assert ("SITE-001" in codes) is (profile == "site")
        assert (folder / "count.txt").exists() is (profile == "site")
    assert "CT99" in codes["SITE-001"]["message"]
    sidecar = json.loads((folder / "v0.json").read_text())
    assert "add-ten" in json.dumps(sidecar)


def test_a_rule_that_raises_holds_the_series_and_the_next_rule_runs(
    site_packages: Path, tmp_path: Path
) -> None:
    config = tmp_path / "node.toml"
    config.write_text('[profile.site]\nrules = ["broken-rule", "scanner-of-the-day"]\n')
    series = data.ct_series(slices=12, rows=32, columns=32)
    data.write(series, tmp_path / "study")
    done = prepnode(
        site_packages, "run", str(tmp_path / "study"), "--out", str(tmp_path / "out"), "-c", str(config), "--profile", "site"
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / series[0].SeriesInstanceUID / "report.json").read_text())
    assert report["verdict"] == "QUARANTINE"
    assert {"TRI-ERR-001", "SITE-001"} <= {finding["code"] for finding in report["findings"]}


def test_an_unknown_name_stops_start_up_and_lists_the_installed_ones(
    site_packages: Path, tmp_path: Path
) -> None:
    config = tmp_path / "node.toml"
    config.write_text('[profile.site]\nrules = ["no-such-rule"]\nsteps = ["no-such-step"]\n')
    done = prepnode(site_packages, "check-config", "-c", str(config))
    assert done.returncode == 2
    for word in ("no-such-rule", "scanner-of-the-day", "no-such-step", "add-ten"):
        assert word in done.stderr
