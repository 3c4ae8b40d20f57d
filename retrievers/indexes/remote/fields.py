"""Fields of documents as typed columns of a server's table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from rag.corpus.field import is_exact
from rag.corpus.field_kinds import FieldKinds, Kind, no_such_field
from rag.corpus.fields import field_values, kinds_by_field
from rag.errors import DataError

__all__ = ["COLUMNS", "Layout", "Values", "corpus_kinds", "document_values", "storable_text"]

Values = dict[tuple[str, str], Any]
"""What a document has, by field and kind of column."""

COLUMNS = {
    "n": "numbers",
    "x": "numbers",
    "t": "texts",
    "tl": "texts",
    "b": "truth values",
    "d": "dates",
    "na": "numbers",
    "xa": "numbers",
    "ta": "texts",
    "ba": "truth values",
    "da": "dates",
    "o": "",
}
"""Kinds of columns and what they hold: ``n`` float64, ``x`` whole numbers that are too large for it, ``t`` texts that
an index takes, ``d`` microseconds since 1970, ``o`` that there is something that cannot be compared. Where a document
has several values of a kind, they stand in the column with an ``a``; texts of which one is long, in ``tl``."""

_SUFFIX = {"numbers": "n", "texts": "t", "truth values": "b", "dates": "d"}

_SHORT = 500
"""Bytes of a text that an index takes: those of PostgreSQL end at a third of a page."""

DOCUMENT = "id"
"""The field that is the documents' id; one of the metadata of that name is ``metadata.id``."""

_OWN_ID = "\0id"


@dataclass(frozen=True)
class Layout:
    """Fields of the documents, and the columns that hold them.

    Args:
        kinds: Kinds of values by field.
        columns: Name of the column by field and kind.
    """

    kinds: Mapping[str, list[str]] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def of(self, name: str) -> tuple[FieldKinds, Mapping[str, str]]:
        """The kinds of a field that a condition names, and its columns by kind.

        Raises:
            DataError: No document has it.
        """
        if name == DOCUMENT:
            return FieldKinds(name, ["texts"]), self.columns.get(name, {})
        key = _OWN_ID if name == "metadata.id" and name not in self.kinds else name
        if key not in self.kinds:
            raise no_such_field(name, (DOCUMENT if field == _OWN_ID else field for field in self.kinds))
        return FieldKinds(DOCUMENT if key == _OWN_ID else key, self.kinds[key]), self.columns.get(key, {})

    def extended(self, kinds: Mapping[str, Iterable[str]], values: Iterable[Values], most: int) -> Layout:
        """The layout that has room for more documents.

        Args:
            kinds: Kinds of values by field, from the corpus.
            values: Values of the documents.
            most: Columns that a table may have for fields.

        Raises:
            DataError: There are more fields than a table has room for.
        """
        columns = {name: dict(column) for name, column in self.columns.items()}
        needed = {key for name_of_field in values for key in name_of_field}
        for name, suffix in sorted(needed):
            column = columns.setdefault(name, {})
            position = list(columns).index(name)
            column.setdefault(suffix, f"f{position}_{suffix}")
        n_columns = sum(map(len, columns.values()))
        if n_columns > most:
            raise DataError(
                f"the documents' metadata takes {n_columns} columns, a table has room for {most}: leave fields out "
                "(--drop-field, drop_fields)"
            )
        names = {*self.kinds, *kinds, *columns} - {DOCUMENT}
        merged = {name: sorted({*self.kinds.get(name, ()), *kinds.get(name, ())}) for name in names}
        return Layout(dict(sorted(merged.items())), columns)

    def flat(self) -> dict[str, tuple[str, str]]:
        """(field, kind of column) by the column's name."""
        return {name: (owner, suffix) for owner, columns in self.columns.items() for suffix, name in columns.items()}

    def named(self, values: Values) -> dict[str, Any]:
        """A document's values by column."""
        return {self.columns[owner][suffix]: value for (owner, suffix), value in values.items()}


def document_values(ids: Iterable[str], metadata: Iterable[str]) -> Iterator[Values]:
    """Values of documents, by field and kind of column.

    Args:
        ids: Ids of the documents.
        metadata: Metadata of the documents, as JSON.

    Raises:
        DataError: A text that no database takes.
    """
    for id, text in zip(ids, metadata, strict=True):
        values = _texts_of([id], id)
        documents: Values = {(DOCUMENT, suffix): value for suffix, value in values.items()}
        if text != "{}":
            held: dict[tuple[str, Kind | None], list[Any]] = {}
            for name, kind, value in field_values(json.loads(text)):
                held.setdefault((_OWN_ID if name == DOCUMENT else name, kind), []).append(value)
            for (name, kind), several in held.items():
                documents |= {(name, suffix): value for suffix, value in _columns_of(kind, several, id).items()}
        yield documents


def corpus_kinds(metadata: Iterable[str]) -> dict[str, list[str]]:
    """Kinds by field of documents, as conditions name fields."""
    return {(_OWN_ID if name == DOCUMENT else name): sorted(kinds) for name, kinds in kinds_by_field(metadata).items()}


def _columns_of(kind: Kind | None, values: list[Any], id: str) -> dict[str, Any]:
    if kind is None:
        return {"o": True}
    if kind == "texts":
        return _texts_of(values, id)
    suffix = _SUFFIX[kind]
    if kind == "numbers":
        if all(map(is_exact, values)):
            values = [float(value) for value in values]
        else:
            suffix, values = "x", [Decimal(value) for value in values]
    return {suffix: values[0]} if len(values) == 1 else {f"{suffix}a": values}


def _texts_of(values: list[str], id: str) -> dict[str, Any]:
    for value in values:
        if not storable_text(value):
            raise DataError(
                f"document {id!r}: the text {value[:40]!r} of its metadata or id has a character that no database "
                "takes (NUL, or half of a surrogate pair)"
            )
    if any(len(value.encode()) > _SHORT for value in values):
        return {"tl": values}
    return {"t": values[0]} if len(values) == 1 else {"ta": values}


def storable_text(value: str) -> bool:
    """Whether databases take a text: one without NUL and halves of surrogate pairs."""
    return "\0" not in value and not any("\ud800" <= mark <= "\udfff" for mark in value)
