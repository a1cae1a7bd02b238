"""What is built in goes through the doors that a site uses: every entry point of pyproject.toml loads."""

import inspect
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from handlers.api import GROUPS
from handlers.preprocess import REPORTS, WRITERS
from handlers.triage.rules import HEADER_RULES, VALUE_RULES

PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
OFFERED = PYPROJECT["project"]["entry-points"]


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in OFFERED for name in OFFERED[group]])
def test_every_entry_point_loads(group, name):
    assert group in GROUPS
    assert callable(EntryPoint(name, OFFERED[group][name], group).load())


def test_every_triage_rule_without_options_is_offered_under_its_name():
    rules = {name: rule for name, rule in (*HEADER_RULES, *VALUE_RULES) if inspect.isfunction(rule)}
    expected = {name: f"{rule.__module__}:{rule.__name__}" for name, rule in rules.items()}
    assert OFFERED["prepnode.triage_rules"] == expected


def test_every_writer_is_offered_under_its_name():
    expected = {name: f"{writer.__module__}:{writer.__name__}" for name, writer in (*WRITERS, *REPORTS)}
    assert OFFERED["prepnode.writers"].items() >= expected.items()
    assert "structured-report" in OFFERED["prepnode.writers"]
