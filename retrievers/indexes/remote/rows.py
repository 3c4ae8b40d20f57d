"""Passages as rows of a server's table: their numbers, fields and hashes, and what a change adds and removes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np

from rag.candidates import PADDING, Ints
from rag.corpus.passages import Passages
from rag.retrievers.indexes.remote.fields import Layout, Values, corpus_kinds, document_values
from rag.retrievers.indexes.remote.lists import RowMap

__all__ = ["BLOCK", "Change", "Held", "change_of", "empty_rows", "extended", "fields_of", "findable", "row_hash"]

G = TypeVar("G")

BLOCK = 4096
"""Rows that are made at a time."""


@dataclass(frozen=True)
class Held(Generic[G]):
    """Contents of this index, as far as this process keeps them.

    Args:
        generation: The generation that holds it.
        layout: Fields and columns.
        ids: The row of each passage, int64 [n]; -1 for none.
        hashes: Hash of each passage's row, uint8 [n, 16].
    """

    generation: G
    layout: Layout
    ids: Ints
    hashes: Any

    @cached_property
    def rows(self) -> RowMap:
        """Map from rows to passages."""
        return RowMap(self.ids)

    @staticmethod
    def digest(ids: Ints, hashes: Any) -> str:
        """Hash of all rows."""
        inside = np.flatnonzero(ids >= 0)
        order = inside[np.argsort(ids[inside], kind="stable")]
        return hashlib.blake2b(ids[order].tobytes() + hashes[order].tobytes(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Change:
    """What the next generation adds and removes.

    Args:
        ids: The row of each passage so far, int64 [n]; -1 where it has none, or gets a new one.
        hashes: Hash of each passage's row, uint8 [n, 16].
        moved: Passages that stay and get a row with other fields, int64.
        moved_from: The rows they had.
        added: Passages that came, int64.
        gone: Rows that are no more.
    """

    ids: Ints
    hashes: Any
    moved: Ints
    moved_from: Ints
    added: Ints
    gone: Ints

    @property
    def positions(self) -> Ints:
        """Passages whose rows are to be written: those that are moved, then those that are added."""
        return np.concatenate([self.moved, self.added])


def change_of(held: Held[Any], old: Passages, new: Passages, kept: Ints, *, relabeled: bool) -> Change:
    """How a table comes to hold other passages; arguments as of
    :meth:`rag.retrievers.indexes.remote.HoldsRows.change`.
    """
    ids, hashes = empty_rows(len(new))
    ids[: len(kept)], hashes[: len(kept)] = held.ids[kept], held.hashes[kept]
    inside = np.ones(len(new), dtype=bool)
    if new.findable is not None:
        inside[:] = False
        inside[new.findable] = True
    ids[~inside] = PADDING
    moved = _relabeled(old, new, kept, ids) if relabeled else np.empty(0, dtype=np.int64)
    moved_from = ids[moved].copy()
    ids[moved] = PADDING
    gone = np.setdiff1d(held.ids[held.ids >= 0], ids[ids >= 0])
    added = len(kept) + np.flatnonzero(inside[len(kept) :])
    return Change(ids, hashes, moved, moved_from, added, gone)


def _relabeled(old: Passages, new: Passages, positions: Ints, ids: Ints) -> Ints:
    """Positions of passages that stay, of documents whose metadata has changed."""
    staying = np.flatnonzero(ids[: len(positions)] >= 0)
    before = old.corpus.metadata_texts(old.document[positions[staying]])
    after = new.corpus.metadata_texts(new.document[staying])
    return staying[[first != second for first, second in zip(before, after, strict=True)]]


def empty_rows(n: int) -> tuple[Ints, Any]:
    """Row numbers and hashes of passages that have no rows."""
    return np.full(n, PADDING, dtype=np.int64), np.zeros((n, 16), dtype=np.uint8)


def findable(passages: Passages) -> Ints:
    """Positions of passages that may be found."""
    return np.arange(len(passages)) if passages.findable is None else passages.findable


def extended(layout: Layout, passages: Passages, positions: Ints, most: int) -> Layout:
    """The layout with room for passages' documents.

    Args:
        layout: The previous layout.
        passages: Over the corpus.
        positions: Of the passages.
        most: Columns that a table may have.

    Raises:
        DataError: There are more fields than a table has room for.
    """
    documents = np.unique(passages.document[positions])
    for first in range(0, len(documents), BLOCK):
        metadata, values = _values(passages, documents[first : first + BLOCK])
        layout = layout.extended(corpus_kinds(metadata), values, most)
    return layout


def fields_of(passages: Passages, positions: Ints) -> tuple[list[Values], list[int]]:
    """Values of the documents of some passages, each document's once, and for each passage which are its own."""
    documents, places = np.unique(passages.document[positions], return_inverse=True)
    return _values(passages, documents)[1], places.tolist()


def _values(passages: Passages, documents: Ints) -> tuple[list[str], list[Values]]:
    """Metadata of documents, as JSON, and their values for columns."""
    metadata = passages.corpus.metadata_texts(documents)
    return metadata, list(document_values(passages.corpus.ids(documents), metadata))


def row_hash(columns: Mapping[str, Any], content: bytes) -> bytes:
    """Hash of a row: of its columns that have a value, and of its vector or text."""
    return hashlib.blake2b(row_text(columns) + content, digest_size=16).digest()


def row_text(columns: Mapping[str, Any]) -> bytes:
    """The columns of a row that have a value, as they are hashed."""
    there = {name: value for name, value in columns.items() if value is not None}
    return json.dumps(there, sort_keys=True, default=_plain).encode()


def _plain(value: Any) -> Any:
    assert isinstance(value, Decimal)
    text = f"{value:f}"  # not normalize(), which rounds to 28 digits
    return text.rstrip("0").rstrip(".") if "." in text else text


def blocks_of(positions: Ints) -> Iterator[tuple[int, Ints]]:
    """Positions in blocks, each with where it begins."""
    for first in range(0, len(positions), BLOCK):
        yield first, positions[first : first + BLOCK]
