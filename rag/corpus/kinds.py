"""What kinds of values metadata fields hold: text, numbers, truth values, lists, mappings."""

from __future__ import annotations

from typing import Any

import numpy as np

from rag.candidates import Ints
from rag.corpus.corpus import Corpus
from rag.errors import DataError

__all__ = ["check_kinds", "kind_of"]

_BLOCK = 2048


def kind_of(value: Any) -> str | None:
    """The kind of a value, or None for none at all."""
    if value is None:
        return None
    for kind, types in (("bool", bool), ("number", (int, float)), ("text", str), ("list", list)):
        if isinstance(value, types):
            return kind
    return "mapping"


def check_kinds(old: Corpus, living: Ints, given: Corpus, rows: Ints) -> None:
    """Refuse documents with another kind of value in a field that had one kind only.

    Args:
        old: The documents there are.
        living: Positions of those that stay as they are.
        given: Documents that come.
        rows: Which of them.

    Raises:
        DataError: Naming the field, both kinds and the first document.
    """
    wanted = _fields(given, rows)
    if not wanted:
        return
    known: dict[str, set[str]] = {}
    for name, kind, _ in _values(old, living):
        if name in wanted:
            known.setdefault(name, set()).add(kind)
    for name, found in wanted.items():
        kinds = known.get(name, set())
        for kind, id in found.items():
            if len(kinds) == 1 and kind not in kinds:
                raise DataError(
                    f"the metadata field '{name}' holds a {kind} in document '{id}', but a {next(iter(kinds))} in all "
                    "documents of the index that have it: nothing was changed"
                )


def _fields(corpus: Corpus, rows: Ints) -> dict[str, dict[str, str]]:
    """By field and kind, the first document with it."""
    fields: dict[str, dict[str, str]] = {}
    for name, kind, id in _values(corpus, rows):
        fields.setdefault(name, {}).setdefault(kind, id)
    return fields


def _values(corpus: Corpus, rows: Ints) -> Any:
    for first in range(0, len(rows), _BLOCK):
        for document in corpus.documents(np.asarray(rows[first : first + _BLOCK])):
            for name, value in document.metadata.items():
                kind = kind_of(value)
                if kind is not None:
                    yield name, kind, document.id
