"""Conditions on metadata as SQL."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from rag.conditions import Condition
from rag.corpus.field import is_exact
from rag.errors import ConfigError
from rag.retrievers.indexes.row_fields import COLUMNS, Layout

__all__ = ["TYPES", "Where"]

TYPES = {
    "n": "float8",
    "x": "numeric",
    "t": 'text collate "C"',
    "tl": 'text[] collate "C"',
    "b": "bool",
    "d": "int8",
    "na": "float8[]",
    "xa": "numeric[]",
    "ta": 'text[] collate "C"',
    "ba": "bool[]",
    "da": "int8[]",
    "o": "bool",
}
"""Types of the kinds of columns."""

_OPERATORS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class Where:
    """A condition as SQL. What is not known (null) counts as false, so its opposite is ``is not true``.

    Args:
        condition: Condition of plain values.
        layout: The columns.

    Raises:
        DataError: The condition names a field that no document has, or another kind of value than it holds.
    """

    def __init__(self, condition: Condition, layout: Layout) -> None:
        self.parameters: dict[str, Any] = {}
        self._layout = layout
        self.sql = self._all(condition)

    def _all(self, condition: Condition) -> str:
        parts = []
        for name, value in condition.items():
            if name in ("and", "or"):
                parts.append(_joined(name, [self._all(part) for part in value]))
            elif name == "not":
                parts.append(f"({self._all(value)}) is not true")
            else:
                tests = value.items() if isinstance(value, Mapping) else [("eq", value)]
                parts += [self._test(name, test, operand) for test, operand in tests]
        return _joined("and", parts) if parts else "true"

    def _test(self, name: str, test: str, operand: Any) -> str:
        kinds, columns = self._layout.of(name)
        if test == "exists":
            there = f"num_nonnulls({', '.join(columns.values())}) > 0" if columns else "false"
            return there if operand else f"not ({there})"
        if test in ("eq", "ne", "in", "nin"):
            compared = [kinds.compared(value) for value in (operand if test in ("in", "nin") else [operand])]
            equal = self._equal(columns, compared)
            return equal if test in ("eq", "in") else f"({equal}) is not true"
        if isinstance(operand, str) and not _storable_text(operand):
            raise ConfigError(f"'{name}' cannot hold this character: {operand!r}", parameter="filter")
        if test in ("prefix", "contains"):
            kinds.check_texts(operand)
            value = self._parameter(operand, "text")
            form = f"{{}} ^@ {value}" if test == "prefix" else f"strpos({{}}, {value}) > 0"
            return _joined("or", [_any(columns[c], c, form) for c in ("t", "ta", "tl") if c in columns])
        kind, value = kinds.compared(operand, order=True)
        return self._ordered(columns, kind, _OPERATORS[test], value)

    def _equal(self, columns: Mapping[str, str], compared: Sequence[tuple[str, Any]]) -> str:
        parts = []
        for suffix, column in columns.items():
            values = [v for kind, value in compared if kind == COLUMNS[suffix] for v in _storable(suffix, value)]
            if values:
                operator = "&&" if suffix.endswith(("a", "l")) else "= any"
                parts.append(f"{column} {operator} ({self._parameter(values, _base(suffix) + '[]')})")
        return _joined("or", parts)

    def _ordered(self, columns: Mapping[str, str], kind: str, operator: str, operand: Any) -> str:
        parts = []
        for suffix, column in columns.items():
            if COLUMNS[suffix] != kind:
                continue
            symbol, value = operator, operand
            if suffix in ("n", "na") and not is_exact(operand):
                symbol, value = _between(operator, operand)
            elif suffix in ("x", "xa"):
                value = Decimal(operand)
            parts.append(_any(column, suffix, f"{{}} {symbol} {self._parameter(value, _base(suffix))}"))
        return _joined("or", parts)

    def _parameter(self, value: Any, type: str) -> str:
        name = f"c{len(self.parameters)}"
        self.parameters[name] = value
        return f"%({name})s::{type}"


def _base(suffix: str) -> str:
    return TYPES[suffix].partition(" ")[0].removesuffix("[]")


def _any(column: str, suffix: str, form: str) -> str:
    """A test of a single value, or of any value of an array; ``form`` has a gap for the value."""
    if not suffix.endswith(("a", "l")):
        return form.format(column)
    collated = ' collate "C"' if suffix in ("ta", "tl") else ""
    return f"exists (select 1 from unnest({column}) as e(x) where {form.format(f'x{collated}')})"


def _joined(word: str, parts: list[str]) -> str:
    if not parts:
        return "false"
    return parts[0] if len(parts) == 1 else "(" + f" {word} ".join(f"({part})" for part in parts) + ")"


def _storable(suffix: str, value: Any) -> list[Any]:
    """The value as a column has it; nothing where it cannot have it."""
    if suffix in ("n", "na"):
        if is_exact(value):
            return [float(value)]
        near = _float(value)
        return [near] if near == value else []
    if suffix in ("x", "xa"):
        return [Decimal(value)]
    return [value] if not isinstance(value, str) or _storable_text(value) else []


def _storable_text(value: str) -> bool:
    return "\0" not in value and not any("\ud800" <= mark <= "\udfff" for mark in value)


def _between(operator: str, value: int) -> tuple[str, float]:
    """A test of floats that says the same as one with a whole number that is none of them, or is too large to tell."""
    near = _float(value)
    if near == value:
        return operator, near
    below = near if near < value else math.nextafter(near, -math.inf)
    return (">" if operator.startswith(">") else "<="), below


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
