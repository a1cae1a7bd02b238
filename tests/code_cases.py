"""Which tests show a finding code raised, and which show its rule looking and saying nothing: read from the syntax trees.

A mention does not count. A code is *raised* where its literal stands in code (docstrings and
comments never equal it). A test is *positive* when an assertion compares something with the
literal or unpacks exactly one finding of it, or a parameter of a test that asserts is the literal. A
test is *negative* when it asserts that the code is not there, or that what a function reaching that
literal found is nothing, or an exact list of other codes.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from handlers.findings import CODES

ROOT = Path(__file__).resolve().parent.parent
SEQUENCES = (ast.List, ast.Tuple, ast.Set)
ASSERTING = frozenset({"only", "evidence"})  # helpers of the tests that fail unless the code is there


@dataclass
class Cases:
    """What is known of one code: where it is raised, and the tests for and against it."""

    raised: set[str] = field(default_factory=set)
    positive: set[str] = field(default_factory=set)
    negative: set[str] = field(default_factory=set)


@cache
def cases() -> dict[str, Cases]:
    """Return the cases of every code of `handlers/findings.toml`."""
    found = {code: Cases() for code in CODES}
    reachable: dict[str, set[str]] = defaultdict(set)  # public name -> codes
    for place, tree in _rooms():
        for name, codes in _raising(tree).items():
            reachable[name] |= codes
            for code in codes:
                found[code].raised.add(f"{place}:{name}")
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if path.stem in {"test_findings", "test_code_cases"}:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        for test in _tests(tree):
            name = f"{path.relative_to(ROOT)}::{test.name}"
            positive, negative = _judged(test, reachable, _tables(tree))
            for code in positive & found.keys():
                found[code].positive.add(name)
            for code in negative & found.keys():
                found[code].negative.add(name)
    return found


def _rooms() -> Iterator[tuple[str, ast.Module]]:
    """Yield every room as its tree; the steps of normalization as one, since tests run them by the pipeline."""
    steps = ROOT / "handlers" / "normalization"
    together = ast.Module([], [])
    for path in sorted([*(ROOT / "handlers").rglob("*.py"), *(ROOT / "node").rglob("*.py")]):
        tree = ast.parse(path.read_text("utf-8"))
        if path.parent == steps:
            together.body += tree.body
        else:
            yield path.relative_to(ROOT).as_posix(), tree
    yield steps.relative_to(ROOT).as_posix(), together


def literals(node: ast.AST) -> set[str]:
    """Return the codes that stand in a piece of code as literals."""
    return {each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and each.value in CODES}


def names(node: ast.AST) -> set[str]:
    """Return the names that a piece of code uses, with or without a module before them."""
    plain = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return plain | {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}


def _raising(tree: ast.Module) -> dict[str, set[str]]:
    """Return the top-level functions, classes and constants of a module with the codes they come to."""
    own: dict[str, tuple[set[str], set[str]]] = {}
    for node in tree.body:
        for name in _defined(node):
            before = own.get(name, (set(), set()))
            own[name] = (before[0] | literals(node), before[1] | names(node))
    reached = {name: set(codes) for name, (codes, _) in own.items()}
    for _ in own:
        for name, (_, used) in own.items():
            reached[name] |= set().union(*(reached[other] for other in used & own.keys()))
    return {name: codes for name, codes in reached.items() if codes}


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _tests(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node


def _tables(tree: ast.Module) -> dict[str, ast.AST]:
    """Return the constants and helpers of a test module: tests take parameters from some, and call others."""
    return {
        name: node
        for node in tree.body
        if not (isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))
        for name in _defined(node)
    }


def _judged(
    test: ast.FunctionDef, reachable: dict[str, set[str]], tables: dict[str, ast.AST]
) -> tuple[set[str], set[str]]:
    """Return the codes that a test shows raised, and those that it shows not raised."""
    positive, negative = set(), set()
    asserts = [node.test for node in ast.walk(test) if isinstance(node, ast.Assert)]
    constants = {name: node for name, node in tables.items() if not isinstance(node, ast.FunctionDef)}
    parameters = [node for mark in test.decorator_list for node in _with_tables(mark, constants)]
    for node in _claims(test):
        positive |= literals(node)
    if asserts or positive:
        positive |= {code for node in parameters for code in literals(node)}
    for node in asserts:
        denied = {code for part in _denials(node) for code in literals(part)}
        negative |= denied
        positive |= literals(node) - denied
    says_nothing = any(map(_is_exact, asserts)) or (asserts and any(map(_holds_empty, parameters)))
    if says_nothing:
        used = _used(test, tables)
        seen = {code for name in used & reachable.keys() for code in reachable[name]}
        with_empty = any(map(_holds_empty, parameters)) or any(map(_is_emptiness, asserts))
        negative |= seen if with_empty else seen - positive
    return positive, negative


def _claims(test: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield what fails by itself unless a code is there: `only(...)`, and `(finding,) = [...]`."""
    for node in ast.walk(test):
        if isinstance(node, ast.Call) and names(node.func) & ASSERTING:
            yield node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            yield node.value


def _used(test: ast.FunctionDef, tables: dict[str, ast.AST]) -> set[str]:
    """Return the names that a test uses, also by way of its fixtures and of the helpers of its module."""
    used = names(test) | {argument.arg for argument in test.args.args}
    fresh = used
    while fresh := {name for each in fresh & tables.keys() for name in names(tables[each])} - used:
        used |= fresh
    return used


def _with_tables(node: ast.AST, tables: dict[str, ast.AST]) -> Iterable[ast.AST]:
    return [node, *(tables[name] for name in names(node) & tables.keys())]


def _denials(node: ast.AST) -> Iterator[ast.AST]:
    for each in ast.walk(node):
        if isinstance(each, ast.Compare):
            is_false = any(
                isinstance(part, ast.Constant) and part.value is False for part in each.comparators
            )
            if is_false or any(isinstance(op, (ast.NotIn, ast.NotEq)) for op in each.ops):
                yield each
        elif isinstance(each, ast.UnaryOp) and isinstance(each.op, ast.Not):
            yield each.operand


def _is_exact(node: ast.AST) -> bool:
    """Say whether an assertion compares with nothing, or with a whole list: then nothing else is there."""
    return _is_emptiness(node) or (
        isinstance(node, ast.Compare)
        and all(isinstance(op, ast.Eq) for op in node.ops)
        and any(isinstance(part, SEQUENCES) and literals(part) for part in node.comparators)
    )


def _is_emptiness(node: ast.AST) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return True
    if isinstance(node, ast.BoolOp):
        return any(map(_is_emptiness, node.values))
    if not isinstance(node, ast.Compare) or not all(isinstance(op, ast.Eq) for op in node.ops):
        return False
    return any(map(_is_empty, node.comparators))


def _holds_empty(node: ast.AST) -> bool:
    return any(map(_is_empty, ast.walk(node)))


def _is_empty(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in {"set", "frozenset"} and not node.args
    return isinstance(node, SEQUENCES) and not node.elts
