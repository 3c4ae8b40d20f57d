"""Conditions on metadata as SQL."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rag.corpus.field import is_exact
from rag.retrievers.indexes.remote.conditions import Translation, between

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


class Where(Translation):
    """A condition as SQL, with parameters. What is not known is null there, so its opposite is ``is not true``."""

    def _opposite(self, text: str) -> str:
        return f"({text}) is not true"

    def _exists(self, columns: Mapping[str, str]) -> str:
        return f"num_nonnulls({', '.join(columns.values())}) > 0"

    def _among(self, column: str, suffix: str, values: list[Any]) -> str:
        operator = "&&" if suffix.endswith(("a", "l")) else "= any"
        return f"{column} {operator} ({self._parameter(values, _base(suffix) + '[]')})"

    def _large(self, value: Any) -> list[Any]:
        return [Decimal(value)]

    def _within(self, column: str, suffix: str, test: str, part: str) -> str:
        value = self._parameter(part, "text")
        return _any(column, suffix, f"{{}} ^@ {value}" if test == "prefix" else f"strpos({{}}, {value}) > 0")

    def _ordered(self, column: str, suffix: str, test: str, value: Any) -> str:
        symbol = _OPERATORS[test]
        if suffix in ("n", "na") and not is_exact(value):
            symbol, value = between(symbol, value)
        elif suffix in ("x", "xa"):
            value = Decimal(value)
        return _any(column, suffix, f"{{}} {symbol} {self._parameter(value, _base(suffix))}")

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
