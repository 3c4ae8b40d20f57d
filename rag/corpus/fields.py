"""The metadata of a corpus by column, and the documents that pass a condition on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from rag.candidates import Bools
from rag.conditions import ORDERS, Condition, Mask, condition_key, values_asked
from rag.corpus.field import Field, Kind
from rag.corpus.field_kinds import no_such_field
from rag.metadata import instant
from rag.remarks import Remark

__all__ = ["Field", "Fields", "Kind", "field_values", "kinds_by_field"]

_REMEMBERED = 256
"""Masks kept: a byte per document each."""


class Fields:
    """All fields of a corpus.

    Args:
        metadata: Of every document, as JSON.
        ids: Gives the ids of all documents, for conditions on ``id``.
        alive: Which documents were not deleted, bool [n_documents]; None when none was.
        known: By name, the kinds of fields that documents had that are there no more.
    """

    def __init__(
        self,
        metadata: Iterable[str],
        ids: Callable[[], list[str]] = list,
        alive: Bools | None = None,
        known: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        columns: dict[str, tuple[dict[Kind, list[tuple[int, Any]]], list[int]]] = {
            name: ({}, []) for name in known or {}
        }
        document = -1
        for document, text in enumerate(metadata):
            if text != "{}":
                for name, kind, value in field_values(json.loads(text)):
                    field = columns.setdefault(name, ({}, []))
                    if kind is None:
                        field[1].append(document)
                    else:
                        field[0].setdefault(kind, []).append((document, value))
        self.n_documents = document + 1
        self._fields = {
            name: Field(name, self.n_documents, *lists, known=(known or {}).get(name, ()))
            for name, lists in columns.items()
        }
        self._ids, self._alive = ids, alive
        self._masks = lru_cache(maxsize=_REMEMBERED)(self._mask)
        self._remarks = lru_cache(maxsize=_REMEMBERED)(self._remarked)

    def __iter__(self) -> Iterator[Field]:
        return iter(self._fields.values())

    def field(self, name: str) -> Field:
        """A field by name; ``id`` is the documents' ids, ``metadata.id`` a field of that name.

        Raises:
            DataError: No document has it.
        """
        if name == "id":
            if not hasattr(self, "_id"):
                self._id = Field("id", self.n_documents, {"texts": list(enumerate(self._ids()))}, [])
            return self._id
        if name == "metadata.id" and name not in self._fields:
            name = "id"
        if name not in self._fields:
            raise no_such_field(name, self._fields)
        return self._fields[name]

    def mask(self, condition: Condition) -> Mask:
        """The documents that pass a condition, bool [n_documents]; read-only, and remembered.

        Raises:
            ConfigError: It is not a condition.
            DataError: A field that no document has, or of another kind.
        """
        return self._masks(condition_key(condition))

    def remarks(self, condition: Condition) -> tuple[Remark, ...]:
        """What is odd about a condition: values that no document has, each with the nearest that one has.

        Raises:
            ConfigError: It is not a condition.
            DataError: A field that no document has, or of another kind.
        """
        return self._remarks(condition_key(condition))

    def _mask(self, key: str) -> Mask:
        mask = _matching(json.loads(key), self)
        mask.flags.writeable = False
        return mask

    def _remarked(self, key: str) -> tuple[Remark, ...]:
        remarks = []
        for name, value in values_asked(json.loads(key)):
            field = self.field(name)
            if not field.has(value, self._alive):
                near = field.nearest(value)
                hint = "" if near is None or near == value else f"; the nearest value is {near!r}"
                remarks.append(Remark("filter_value_unknown", f"filter: no document has {name} = {value!r}{hint}"))
        return tuple(remarks)


def _matching(condition: Condition, fields: Fields) -> Mask:
    """The documents that pass a condition of plain values (see :func:`check_condition`), bool [n_documents].

    Raises:
        DataError: No document has a field it names, or a field holds values of another kind.
    """
    mask = np.ones(fields.n_documents, dtype=bool)
    for name, value in condition.items():
        if name == "and":
            for part in value:
                mask &= _matching(part, fields)
        elif name == "or":
            passing = np.zeros(fields.n_documents, dtype=bool)
            for part in value:  # one mask at a time: there may be thousands, of a byte a document each
                passing |= _matching(part, fields)
            mask &= passing
        elif name == "not":
            mask &= ~_matching(value, fields)
        else:
            field = fields.field(name)
            for test, wanted in value.items() if isinstance(value, Mapping) else (("eq", value),):
                mask &= _passing(field, test, wanted)
    return mask


def _passing(field: Field, test: str, wanted: Any) -> Mask:
    if test == "exists":
        return field.present if wanted else ~field.present
    if test == "eq":
        return field.equal([wanted])
    if test == "ne":
        return ~field.equal([wanted])
    if test == "in":
        return field.equal(wanted)
    if test == "nin":
        return ~field.equal(wanted)
    if test in ("prefix", "contains"):
        return field.starting(wanted) if test == "prefix" else field.containing(wanted)
    return field.ordered(ORDERS[test], wanted)


def kinds_by_field(metadata: Iterable[str]) -> dict[str, dict[str, int]]:
    """By field and kind of value, the first of these documents that has it.

    Args:
        metadata: Of every document, as JSON.
    """
    fields: dict[str, dict[str, int]] = {}
    for document, text in enumerate(metadata):
        if text != "{}":
            values = list(field_values(json.loads(text)))
            dates = {(name, value) for name, kind, value in values if kind == "dates"}
            for name, kind, value in values:
                if kind is not None and not (kind == "texts" and (name, instant(value)) in dates):
                    fields.setdefault(name, {}).setdefault(kind, document)
    return fields


def field_values(metadata: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Kind | None, Any]]:
    """(field, kind, value) of all values of a document's metadata; kind None for what cannot be compared."""
    for key, held in metadata.items():
        name = prefix + key
        if isinstance(held, Mapping):
            yield from field_values(held, f"{name}.")
            continue
        if held is None:
            continue  # as if it were not there
        if isinstance(held, list) and not held:
            yield name, None, None
        for value in held if isinstance(held, list) else (held,):
            if isinstance(value, bool):
                yield name, "truth values", value
            elif isinstance(value, (int, float)) and value == value:
                yield name, "numbers", value
            elif isinstance(value, str):
                yield name, "texts", value
                if (moment := instant(value)) is not None:
                    yield name, "dates", moment
            else:
                yield name, None, None
