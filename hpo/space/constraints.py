"""Constraints: between parameters (``overlap < size``), and on metrics (``latency_p95_ms <= 50``)."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag.config.source import Node
from rag.errors import Mistakes, did_you_mean
from rag.hpo.objectives import ANSWERS, COSTS
from rag.hpo.space.parameter import Parameter

__all__ = ["Bound", "Rule"]

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_NUMBER = r"[-+]?[0-9.]+(?:[eE][-+]?\d+)?"
_BOUND = re.compile(rf"\s*(?P<metric>[^\s<>=]+)\s*(?P<sign>[<>]=?)\s*(?P<limit>{_NUMBER})\s*")
_REVERSED = re.compile(rf"\s*(?P<limit>{_NUMBER})\s*(?P<sign>[<>]=?)\s*(?P<metric>[^\s<>=]+)\s*")
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True)
class Bound:
    """A limit on a metric.

    Args:
        metric: The metric, such as ``latency_p95_ms``.
        sign: ``<``, ``<=``, ``>`` or ``>=``.
        limit: The limit.
    """

    metric: str
    sign: str
    limit: float

    @classmethod
    def parse(cls, text: str) -> Bound | None:
        """Parse a text such as ``latency_p95_ms <= 50``, with the number on either side; None for any other text."""
        match = _BOUND.fullmatch(text)
        sign = match["sign"] if match is not None else ""
        if match is None:
            match = _REVERSED.fullmatch(text)
            if match is None:
                return None
            sign = _MIRRORED[match["sign"]]
        try:
            return cls(match["metric"], sign, float(match["limit"]))
        except ValueError:
            return None

    def excess(self, value: float) -> float:
        """Amount by which a value breaks the bound; 0 or below means that it holds. Exactly at a strict limit it is the
        smallest positive number.
        """
        by = value - self.limit if self.sign.startswith("<") else self.limit - value
        return math.ulp(0.0) if by == 0 and not self.sign.endswith("=") else by

    def __str__(self) -> str:
        return f"{self.metric} {self.sign} {self.limit:g}"


@dataclass(frozen=True)
class Rule:
    """A condition on the parameters of one trial. It holds where one of its parameters does not exist.

    Args:
        text: The condition as written.
        tree: The parsed expression.
        names: Possible parameters of each name in the expression.
    """

    text: str
    tree: ast.expr
    names: Mapping[str, tuple[str, ...]]

    @classmethod
    def parse(cls, node: Node, parameters: Sequence[Parameter], mistakes: Mistakes) -> Rule | None:
        """The condition that a text states; a mistake in it is added to ``mistakes``, and None returned."""
        text = str(node.value)

        def wrong(message: str) -> None:
            mistakes.add(f"'{text}': {message}", "constraints", node.location)

        try:
            tree = ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError):
            wrong("not an expression such as overlap < size, or latency_p95_ms <= 50")
            return None
        names: dict[str, tuple[str, ...]] = {}
        for part in _parts(tree):
            if isinstance(part, (ast.Name, ast.Attribute)):
                name = ast.unparse(part)
                meant = _meant(name, parameters)
                if not meant and name in (*ANSWERS, *COSTS):
                    wrong(f"{name} is measured, not chosen: bound it by a number alone, such as {name} <= 50")
                    return None
                if not meant:
                    available = [*(parameter.name for parameter in parameters), *ANSWERS, *COSTS]
                    wrong(f"unknown parameter '{name}'{did_you_mean(name, available)}")
                    return None
                if len({re.sub(r"\[[^\]]*\]", "", full_name) for full_name in meant}) > 1:
                    wrong(f"'{name}' may be {' or '.join(meant)}: say more of the path, or give it a name")
                    return None
                names[name] = meant
            elif isinstance(part, ast.Constant):
                if not isinstance(part.value, (int, float, str)) and part.value is not None:
                    wrong(f"{part.value!r} cannot be compared with")
                    return None
            elif not isinstance(part, (ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.Compare)) or not _known(part):
                allowed = "names, numbers, + - * / // %, comparisons, and, or, not"
                wrong(f"'{ast.unparse(part)}' is not allowed: only {allowed}")
                return None
        if not isinstance(tree, (ast.Compare, ast.BoolOp, ast.UnaryOp)) or not names:
            wrong("compares no parameter with anything")
            return None
        return cls(text, tree, names)

    def holds(self, point: Mapping[str, Any]) -> bool:
        """Whether a point meets the condition. Values that cannot be compared (a text with a number) do not."""
        values: dict[str, Any] = {}
        for name, meant in self.names.items():
            present = [full_name for full_name in meant if full_name in point]
            if not present:
                return True
            values[name] = point[present[0]]
        try:
            return bool(_value(self.tree, values))
        except (TypeError, ZeroDivisionError):
            return False


def _meant(name: str, parameters: Sequence[Parameter]) -> tuple[str, ...]:
    exact = tuple(parameter.name for parameter in parameters if parameter.name == name)
    return exact or tuple(parameter.name for parameter in parameters if parameter.name.endswith(f".{name}"))


def _parts(tree: ast.expr) -> list[ast.expr]:
    """The subexpressions of a condition; a dotted name counts as one."""
    if isinstance(tree, ast.Attribute):
        return [tree]
    inside = [part for child in ast.iter_child_nodes(tree) if isinstance(child, ast.expr) for part in _parts(child)]
    return [tree, *inside]


def _known(part: ast.expr) -> bool:
    signs = [part.op] if isinstance(part, (ast.UnaryOp, ast.BinOp)) else getattr(part, "ops", [])
    return all(type(sign) in _OPERATORS for sign in signs)


def _value(tree: ast.expr, values: Mapping[str, Any]) -> Any:
    match tree:
        case ast.Constant():
            return tree.value
        case ast.Name() | ast.Attribute():
            return values[ast.unparse(tree)]
        case ast.UnaryOp():
            return _OPERATORS[type(tree.op)](_value(tree.operand, values))
        case ast.BinOp():
            return _OPERATORS[type(tree.op)](_value(tree.left, values), _value(tree.right, values))
        case ast.BoolOp():
            of = all if isinstance(tree.op, ast.And) else any
            return of(_value(operand, values) for operand in tree.values)
        case ast.Compare():
            operands = [_value(operand, values) for operand in (tree.left, *tree.comparators)]
            pairs = zip(tree.ops, operands[:-1], operands[1:], strict=True)
            return all(_OPERATORS[type(sign)](left, right) for sign, left, right in pairs)
    raise TypeError(ast.dump(tree))
