"""Fields of documents as columns of a Milvus collection, and conditions as its expressions.

Milvus cannot compare the elements of arrays by order or as parts of texts: beside an array stand its least and its
greatest value, and its texts joined.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rag.corpus.field import is_exact
from rag.errors import DataError
from rag.retrievers.indexes.remote.conditions import Translation, between
from rag.retrievers.indexes.remote.fields import Layout, Values

__all__ = ["LONGEST", "MOST_VALUES", "Expression", "columns_of", "stored_fields"]

_TYPES = {"n": "DOUBLE", "x": "VARCHAR", "t": "VARCHAR", "b": "BOOL", "d": "INT64", "o": "BOOL"}

LONGEST = 65_535
"""Bytes of a text that Milvus takes."""

MOST_VALUES = 4096
"""Values of a list that it takes."""

_BETWEEN = "\x1f"
"""Stands before and after each text of a list where they are joined."""

_OPERATORS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def columns_of(layout: Layout) -> dict[str, str]:
    """Type by name of all columns; of an array, that of its elements after ``ARRAY``."""
    columns = {}
    for name, (_, suffix) in layout.flat().items():
        kind = _TYPES[suffix[0]]
        if not _is_list(suffix):
            columns[name] = kind
            continue
        columns[name] = f"ARRAY {kind}"
        if suffix != "ba":
            columns |= {f"{name}_lo": kind, f"{name}_hi": kind}
        if suffix in ("ta", "tl"):
            columns[f"{name}_all"] = kind
    return columns


def stored_fields(layout: Layout, values: Values) -> dict[str, Any]:
    """A document's values by column, None where it has none.

    Raises:
        DataError: A text or a list that is too long for Milvus.
    """
    row: dict[str, Any] = dict.fromkeys(columns_of(layout))
    for (owner, suffix), value in values.items():
        name = layout.columns[owner][suffix]
        if not _is_list(suffix):
            row[name] = _plain(suffix, value)
        else:
            row[name] = [_plain(suffix, single) for single in value]
            if len(value) > MOST_VALUES:
                raise DataError(f"index 'milvus': the list of '{owner}' has {len(value)} values, {MOST_VALUES} go in")
            if suffix != "ba":
                row[f"{name}_lo"], row[f"{name}_hi"] = min(row[name]), max(row[name])
            if suffix in ("ta", "tl"):
                row[f"{name}_all"] = _joined(owner, value)
        for stored in (row[name], row.get(f"{name}_all")):
            _check_length(owner, stored)
    return row


def _joined(owner: str, texts: list[str]) -> str:
    if any(_BETWEEN in text for text in texts):
        raise DataError(f"index 'milvus': a text of '{owner}' has the character U+001F, which separates texts there")
    return _BETWEEN + _BETWEEN.join(texts) + _BETWEEN


def _check_length(owner: str, stored: Any) -> None:
    for text in stored if isinstance(stored, list) else [stored]:
        if isinstance(text, str) and len(text.encode()) > LONGEST:
            raise DataError(
                f"index 'milvus': a text of '{owner}' has {len(text.encode())} bytes, Milvus takes {LONGEST}: leave "
                "the field out (--drop-field, drop_fields)"
            )


def _plain(suffix: str, value: Any) -> Any:
    return sortable(value) if suffix in ("x", "xa") else value


def sortable(number: Any) -> str:
    """A number as a text: texts of numbers are ordered as the numbers are.

    Example:
        >>> sorted([10**20, -5, 0, 3, Decimal("2.5")], key=sortable) == [-5, 0, Decimal("2.5"), 3, 10**20]
        True
    """
    sign, digits, exponent = Decimal(number).as_tuple()  # not normalize(), which rounds to 28 digits
    assert isinstance(exponent, int)
    if not any(digits):
        return "1"
    shown = "".join(map(str, digits)).lstrip("0")
    text = f"{exponent + len(shown) + 50_000:06d}{shown.rstrip('0')}"
    return "0" + text.translate(_COMPLEMENT) + "~" if sign else "2" + text


_COMPLEMENT = str.maketrans("0123456789", "9876543210")


class Expression(Translation):
    """A condition as an expression of Milvus. Each test says that the column has a value, so that what is not known is
    false in every version of Milvus, and its opposite true.
    """

    never = "id < 0"
    always = "id >= 0"

    def _opposite(self, text: str) -> str:
        return f"not ({text})"

    def _exists(self, columns: Mapping[str, str]) -> str:
        return self._joined("or", [f"{column} is not null" for column in columns.values()])

    def _among(self, column: str, suffix: str, values: list[Any]) -> str:
        texts = list(map(_literal, values))
        if _is_list(suffix):
            test = f"array_contains_any({column}, [{', '.join(texts)}])"
        elif suffix == "b":
            test = self._joined("or", [f"{column} == {text}" for text in texts])
        else:
            test = f"{column} in [{', '.join(texts)}]"
        return _known(column, test)

    def _large(self, value: Any) -> list[Any]:
        return [sortable(value)]

    def _within(self, column: str, suffix: str, test: str, part: str) -> str:
        if not part:
            return f"{column} is not null"
        if _is_list(suffix):
            if _BETWEEN in part:
                return self.never
            pattern = "%" + (_BETWEEN if test == "prefix" else "") + _escaped(part) + "%"
            return _known(column, f"{column}_all like {_literal(pattern)}")
        if test == "contains":
            return _known(column, f"{column} like {_literal(f'%{_escaped(part)}%')}")
        end = _following(part)
        return _known(column, f"{column} >= {_literal(part)}" + (f" and {column} < {_literal(end)}" if end else ""))

    def _ordered(self, column: str, suffix: str, test: str, value: Any) -> str:
        symbol = _OPERATORS[test]
        if suffix in ("n", "na") and not is_exact(value):
            symbol, value = between(symbol, value)
            if math.isinf(value):
                return f"{column} is not null" if (value < 0) == symbol.startswith(">") else self.never
        elif suffix in ("x", "xa"):
            value = sortable(value)
        elif suffix in ("n", "na"):
            value = float(value)
        compared = column if not _is_list(suffix) else f"{column}_{'hi' if symbol.startswith('>') else 'lo'}"
        return _known(column, f"{compared} {symbol} {_literal(value)}")


def _is_list(suffix: str) -> bool:
    return suffix.endswith(("a", "l"))


def _known(column: str, test: str) -> str:
    return f"({column} is not null and ({test}))"


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value.translate(_ESCAPES)}"' if isinstance(value, str) else repr(value)


_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
"""Marks that cannot stand in a text of an expression as they are."""


def _escaped(part: str) -> str:
    """A text in a pattern of ``like``."""
    return part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _following(prefix: str) -> str:
    """The least text that is greater than all that start with a prefix; empty for none."""
    head = prefix.rstrip("\U0010ffff")
    if not head:
        return ""
    code = ord(head[-1]) + 1
    return head[:-1] + chr(0xE000 if code == 0xD800 else code)
