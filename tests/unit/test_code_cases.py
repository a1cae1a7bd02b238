"""Every finding code is raised by some rule, and has a test that shows it and one that shows its absence."""

from __future__ import annotations

import ast

import pytest

from code_cases import _is_emptiness, _judged, cases, literals
from handlers.findings import CODES

# What is owed: a code leaves its list when its rule or test exists, or this test fails.
NOT_RAISED = {"SPL-007", "SPL-008"}  # the code comes from the room that knows the sheet
NO_POSITIVE: set[str] = set()
NO_NEGATIVE: set[str] = set()


@pytest.mark.parametrize(
    ("owed", "kind"), [(NOT_RAISED, "raised"), (NO_POSITIVE, "positive"), (NO_NEGATIVE, "negative")]
)
def test_every_code_is_raised_and_tested_both_ways(owed, kind):
    without = {code for code, found in cases().items() if not getattr(found, kind)}
    assert sorted(without - owed) == [], f"no code that is {kind}"
    assert sorted(owed - without) == [], "these have one now: take them off the list"


def judged(text: str) -> tuple[set[str], set[str]]:
    (test,) = ast.parse(text).body
    assert isinstance(test, ast.FunctionDef)
    return _judged(test, {"lossy_history": {"LOS-001", "LOS-002"}}, {})


@pytest.mark.parametrize(
    ("body", "positive", "negative"),
    [
        ('code = "LOS-001"; assert code', set(), set()),  # a mention
        ('assert "LOS-001" in found', {"LOS-001"}, set()),
        ('assert "LOS-001" not in found', set(), {"LOS-001"}),
        ('assert ("LOS-001" in found) is False', set(), {"LOS-001"}),
        ("assert lossy_history(series) == []", set(), {"LOS-001", "LOS-002"}),
        ('assert codes(lossy_history(series)) == ["LOS-001"]', {"LOS-001"}, {"LOS-002"}),
        ('only(lossy_history(series), "LOS-001")', {"LOS-001"}, set()),
        ("assert other(series) == []", set(), set()),
        ("lossy_history(series)", set(), set()),
    ],
)
def test_mentions_do_not_count_and_assertions_do(body, positive, negative):
    assert judged(f"def test_it(): {body}") == (positive, negative)


def test_a_docstring_is_no_literal():
    assert literals(ast.parse('def rule():\n    """Find LOS-001."""\n    # LOS-001\n')) == set()
    assert "LOS-001" in CODES


def test_emptiness_is_a_comparison_with_nothing():
    def test_of(text: str) -> bool:
        return _is_emptiness(ast.parse(text, mode="eval").body)

    assert test_of("found == []")
    assert test_of("found == ()")
    assert test_of("found == set()")
    assert not test_of("found == [1]")
    assert not test_of("found != []")
