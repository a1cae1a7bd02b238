"""Small faults put into a source file, one at a time: the other comparison, the other operator, the next number."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
ATTRIBUTES = {"WARN": "INFO", "INFO": "WARN", "REVIEW": "WARN", "ERROR": "REVIEW", "VOLUME": "SERIES"}
CODE = re.compile(r"[A-Z]{2,4}(-[A-Z]{2,4})?-\d{3}")


@dataclass(frozen=True)
class Mutant:
    """One fault: what was changed, where, and the whole program with it."""

    line: int
    change: str
    program: ast.Module


def mutants(source: str) -> Iterator[Mutant]:
    """Yield every fault of a source text, in its order; docstrings, messages and annotations are let be."""
    tree = ast.parse(source)
    passed_over = _passed_over(tree)
    for place, node in enumerate(ast.walk(tree)):
        if id(node) in passed_over:
            continue
        for change, replacement in _replacements(node):
            program = _with(tree, place, replacement)
            yield Mutant(getattr(node, "lineno", 0), change, program)


def _passed_over(tree: ast.Module) -> set[int]:
    """Return the nodes that do nothing at run time, or only make text for people."""
    found: set[int] = set()
    for node in ast.walk(tree):
        skipped: list[ast.AST | None] = []
        match node:
            case ast.arg() | ast.AnnAssign():
                skipped = [node.annotation]
            case ast.FunctionDef():
                skipped = [node.returns, *node.decorator_list]
            case ast.ClassDef():
                skipped = list(node.decorator_list)
            case ast.JoinedStr():
                skipped = [node]
            case ast.Expr(value=ast.Constant()):
                skipped = [node]
        found |= {id(each) for part in skipped if part is not None for each in ast.walk(part)}
    return found


def _replacements(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:  # noqa: C901, PLR0912 - one branch per kind
    new = copy.copy(node)
    match node:
        case ast.Compare(ops=[op]):
            for other in COMPARISONS[type(op)]:
                yield (
                    f"{type(op).__name__} -> {other.__name__}",
                    ast.Compare(node.left, [other()], node.comparators),
                )
        case ast.Compare(ops=[*ops]):
            for index, op in enumerate(ops):
                for other in COMPARISONS[type(op)]:
                    changed = [*ops[:index], other(), *ops[index + 1 :]]
                    what = f"{type(op).__name__} ({index}) -> {other.__name__}"
                    yield what, ast.Compare(node.left, changed, node.comparators)
        case ast.BinOp(op=op) if type(op) in OPERATORS:
            other_op = OPERATORS[type(op)]
            yield f"{type(op).__name__} -> {other_op.__name__}", ast.BinOp(node.left, other_op(), node.right)
        case ast.BoolOp():
            swapped: ast.boolop = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield f"{type(node.op).__name__} -> {type(swapped).__name__}", ast.BoolOp(swapped, node.values)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield f"without {type(node.op).__name__}", node.operand
        case ast.Constant(value=bool()):
            yield f"{node.value} -> {not node.value}", ast.Constant(not node.value)
        case ast.Constant(value=int() | float()):
            yield f"{node.value} -> {node.value + 1}", ast.Constant(node.value + 1)
        case ast.Constant(value=str()) if CODE.fullmatch(node.value):
            yield f"{node.value} -> XXX-000", ast.Constant("XXX-000")
        case ast.Name(id=name) if name in NAMES:
            yield f"{name} -> {NAMES[name]}", ast.Name(NAMES[name], node.ctx)
        case ast.Attribute(attr=name) if name in ATTRIBUTES:
            yield f"{name} -> {ATTRIBUTES[name]}", ast.Attribute(node.value, ATTRIBUTES[name], node.ctx)
        case ast.Continue():
            yield "continue -> break", ast.Break()
        case ast.Break():
            yield "break -> continue", ast.Continue()
        case ast.IfExp():
            yield "the other branch", ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
        case ast.If() | ast.While():
            if not isinstance(node.test, (ast.Compare, ast.BoolOp, ast.UnaryOp)):
                new.test = ast.UnaryOp(ast.Not(), node.test)  # type: ignore[attr-defined]
                yield "not the condition", new


def _with(tree: ast.Module, place: int, replacement: ast.AST) -> ast.Module:
    """Return a copy of the tree in which the node at this place of the walk is another."""
    whole = copy.deepcopy(tree)
    target = next(node for index, node in enumerate(ast.walk(whole)) if index == place)
    replaced = _Replace(target, copy.deepcopy(replacement)).visit(whole)
    result: ast.Module = ast.fix_missing_locations(replaced)
    return result


class _Replace(ast.NodeTransformer):
    def __init__(self, target: ast.AST, replacement: ast.AST) -> None:
        self.target, self.replacement = target, replacement

    def visit(self, node: ast.AST) -> ast.AST:
        if node is self.target:
            return ast.copy_location(self.replacement, node)
        return super().visit(node)
