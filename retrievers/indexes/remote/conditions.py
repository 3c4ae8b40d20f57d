"""Conditions on metadata in a server's language."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from rag.conditions import Condition
from rag.corpus.field import is_exact
from rag.errors import ConfigError
from rag.retrievers.indexes.remote.fields import COLUMNS, Layout, storable_text

__all__ = ["Translation", "between", "nearest_float"]


class Translation(ABC):
    """A condition as text of a server. What is not known (a column without a value) counts as false.

    Args:
        condition: Condition of plain values.
        layout: The columns.

    Raises:
        DataError: The condition names a field that no document has, or another kind of value than it holds.
    """

    never = "false"
    """What no row passes."""

    always = "true"
    """What every row passes."""

    def __init__(self, condition: Condition, layout: Layout) -> None:
        self.parameters: dict[str, Any] = {}
        self._layout = layout
        self.text = self._all(condition)

    def _all(self, condition: Condition) -> str:
        parts = []
        for name, value in condition.items():
            if name in ("and", "or"):
                parts.append(self._joined(name, [self._all(part) for part in value]))
            elif name == "not":
                parts.append(self._opposite(self._all(value)))
            else:
                tests = value.items() if isinstance(value, Mapping) else [("eq", value)]
                parts += [self._test(name, test, operand) for test, operand in tests]
        return self._joined("and", parts) if parts else self.always

    def _test(self, name: str, test: str, operand: Any) -> str:
        kinds, columns = self._layout.of(name)
        if test == "exists":
            there = self._exists(columns) if columns else self.never
            return there if operand else self._opposite(there)
        if test in ("eq", "ne", "in", "nin"):
            compared = [kinds.compared(value) for value in (operand if test in ("in", "nin") else [operand])]
            equal = self._equal(columns, compared)
            return equal if test in ("eq", "in") else self._opposite(equal)
        if isinstance(operand, str) and not storable_text(operand):
            raise ConfigError(f"'{name}' cannot hold this character: {operand!r}", parameter="filter")
        if test in ("prefix", "contains"):
            kinds.check_texts(operand)
            return self._joined(
                "or", [self._within(columns[c], c, test, operand) for c in ("t", "ta", "tl") if c in columns]
            )
        kind, value = kinds.compared(operand, order=True)
        return self._joined(
            "or",
            [
                self._ordered(column, suffix, test, value)
                for suffix, column in columns.items()
                if COLUMNS[suffix] == kind
            ],
        )

    def _equal(self, columns: Mapping[str, str], compared: Sequence[tuple[str, Any]]) -> str:
        parts = []
        for suffix, column in columns.items():
            values = [v for kind, value in compared if kind == COLUMNS[suffix] for v in self._stored(suffix, value)]
            if values:
                parts.append(self._among(column, suffix, values))
        return self._joined("or", parts)

    def _stored(self, suffix: str, value: Any) -> list[Any]:
        """The value as a column has it; nothing where it cannot have it."""
        if suffix in ("n", "na"):
            near = float(value) if is_exact(value) else nearest_float(value)
            return [near] if near == value else []
        if suffix in ("x", "xa"):
            return self._large(value)
        return [value] if not isinstance(value, str) or storable_text(value) else []

    def _joined(self, word: str, parts: list[str]) -> str:
        if not parts:
            return self.never
        return parts[0] if len(parts) == 1 else "(" + f" {word} ".join(f"({part})" for part in parts) + ")"

    # -- hooks --------------------------------------------------------------------------------------------------------

    @abstractmethod
    def _opposite(self, text: str) -> str:
        """Rows that do not pass."""

    @abstractmethod
    def _exists(self, columns: Mapping[str, str]) -> str:
        """Rows with a value in one of these columns, by kind."""

    @abstractmethod
    def _among(self, column: str, suffix: str, values: list[Any]) -> str:
        """Rows whose value, or a value of whose list, is one of these, as :meth:`_stored` has them."""

    @abstractmethod
    def _large(self, value: Any) -> list[Any]:
        """A number as a column of large whole numbers has it; nothing where it cannot have it."""

    @abstractmethod
    def _within(self, column: str, suffix: str, test: str, part: str) -> str:
        """Rows with a text that starts with a part (``prefix``), or has it anywhere (``contains``)."""

    @abstractmethod
    def _ordered(self, column: str, suffix: str, test: str, value: Any) -> str:
        """Rows with a value that is ``gt``, ``gte``, ``lt`` or ``lte`` this one."""


def between(operator: str, value: int) -> tuple[str, float]:
    """A test of floats that says the same as one with a whole number that is none of them, or is too large to tell.

    Args:
        operator: ``>``, ``>=``, ``<`` or ``<=``.
        value: The number.
    """
    near = nearest_float(value)
    if near == value:
        return operator, near
    below = near if near < value else math.nextafter(near, -math.inf)
    return (">" if operator.startswith(">") else "<="), below


def nearest_float(value: int) -> float:
    """The nearest float, also of a number beyond all."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
