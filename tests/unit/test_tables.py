"""The tables in `conf/`: each has a version, and an edited one is seen in what it made."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from handlers import tables
from handlers.outputs.provenance import changed_versions, versions

CONF = Path(__file__).parents[2] / "conf"
OTHERS = {"node", "profiles", "example-pacs", "example-research"}  # configuration: in recipe and plan


def test_every_table_is_recorded():
    assert {path.stem for path in CONF.glob("*.toml")} == OTHERS | set(tables.NAMES)


@pytest.mark.parametrize("name", tables.NAMES)
def test_a_table_is_recorded_with_its_version_and_digest(name):
    content = (CONF / f"{name}.toml").read_bytes()
    version = tables.table(name)["version"]
    assert isinstance(version, int)
    digest = hashlib.sha256(content).hexdigest()
    assert versions()[f"conf/{name}.toml"] == f"{version} (sha256 {digest[:12]})"


def test_a_result_of_an_edited_table_is_told():
    now = {"pipeline_version": "1", "versions": versions()}
    assert changed_versions(now) == []
    edited = {**versions(), "conf/geometry.toml": "1 (sha256 000000000000)"}
    (finding,) = changed_versions({"pipeline_version": "1", "versions": edited})
    assert finding.code == "PRV-001"
    assert set(finding.evidence["versions"]) == {"conf/geometry.toml"}


@pytest.mark.parametrize("name", tables.NAMES)
def test_every_table_says_where_its_numbers_come_from(name):
    text = (CONF / f"{name}.toml").read_text("utf-8").lower()
    assert "source" in text or "engineering default" in text
