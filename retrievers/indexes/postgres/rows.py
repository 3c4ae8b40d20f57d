"""Passages as rows of a table: the values written, and a hash to verify them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np

from rag.candidates import Ints, Vectors
from rag.corpus.passages import Passages
from rag.errors import DataError
from rag.retrievers.indexes.postgres.conditions import TYPES
from rag.retrievers.indexes.postgres.records import Generation
from rag.retrievers.indexes.remote import RowMap
from rag.retrievers.indexes.row_fields import Layout, Values, corpus_kinds, document_values
from rag.store.spill import blocks, released

__all__ = ["BLOCK", "COPY_TYPES", "Held", "Storage", "extended", "row_hash", "rows_of"]

BLOCK = 4096
"""Rows whose vectors are made into bytes at a time."""

COPY_TYPES = {suffix: type.partition(" ")[0] for suffix, type in TYPES.items()}
"""Types of the kinds of columns, for COPY."""


@dataclass(frozen=True)
class Storage:
    """Storage type of vectors.

    Args:
        type: ``vector`` (float32) or ``halfvec`` (float16).
    """

    type: str

    @property
    def most(self) -> int:
        """Dimensions that a graph of pgvector takes."""
        return 2000 if self.type == "vector" else 4000

    @property
    def dtype(self) -> str:
        """Type of a value on the server."""
        return ">f4" if self.type == "vector" else ">f2"

    def check(self, vectors: Vectors) -> None:
        """Refuse vectors that the server does not take.

        Raises:
            DataError: Of too many dimensions, or with values that are too large or not finite.
        """
        if vectors.shape[1] > self.most:
            raise DataError(
                f"index 'pgvector': {self.type} is indexed up to {self.most} dimensions, the vectors have "
                f"{vectors.shape[1]}" + (": set storage to halfvec" if vectors.shape[1] <= 4000 else "")
            )
        largest = 65504.0 if self.type == "halfvec" else np.inf
        for _, block in blocks(vectors):
            if not np.isfinite(block).all() or np.abs(block).max(initial=0.0) > largest:
                raise DataError(
                    "index 'pgvector': vectors have NaN or infinite values"
                    + (", or some beyond 65504, which halfvec has not" if self.type == "halfvec" else "")
                )

    def packed(self, vectors: Vectors) -> list[bytes]:
        """Vectors as the server reads and sends them."""
        n, dimension = vectors.shape
        table = np.empty(n, dtype=[("d", ">i2"), ("zero", ">i2"), ("v", self.dtype, (dimension,))])
        table["d"], table["zero"], table["v"] = dimension, 0, vectors
        whole, width = table.tobytes(), table.dtype.itemsize
        return [whole[first : first + width] for first in range(0, len(whole), width)]

    def unpacked(self, packed: Sequence[bytes], dimension: int) -> Vectors:
        """The way back, float32 [n, dimension]."""
        table = np.frombuffer(b"".join(packed), dtype=[("head", ">i4"), ("v", self.dtype, (dimension,))])
        return table["v"].astype(np.float32)


@dataclass(frozen=True)
class Held:
    """Contents of this index, as far as this process keeps them.

    Args:
        generation: The generation that holds it.
        layout: Fields and columns.
        ids: The row of each passage, int64 [n]; -1 for none.
        hashes: Hash of each passage's row, uint8 [n, 16].
    """

    generation: Generation
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


def extended(layout: Layout, passages: Passages, documents: Ints) -> Layout:
    """The layout with room for documents.

    Args:
        layout: The previous layout.
        passages: Over the corpus.
        documents: Positions of documents, ascending.
    """
    for first in range(0, len(documents), BLOCK):
        metadata, values = _values(passages, documents[first : first + BLOCK])
        layout = layout.extended(corpus_kinds(metadata), values)
    return layout


def rows_of(
    layout: Layout, passages: Passages, positions: Ints, vectors: Vectors, at: Ints, storage: Storage
) -> Iterator[tuple[list[Any], bytes]]:
    """What is written of each passage beside its number and lifetime (the vector first, then the columns of the
    layout in order), and its hash.

    Args:
        layout: Layout of the table.
        passages: All.
        positions: Positions of the passages to write, int64 [m].
        vectors: Vectors of these passages and others, float32 [n, d].
        at: Where among them those of these passages are, int64 [m].
        storage: Storage type of vectors.
    """
    flat = list(layout.flat().values())
    for first in range(0, len(positions), BLOCK):
        documents, places = np.unique(passages.document[positions[first : first + BLOCK]], return_inverse=True)
        _, values = _values(passages, documents)
        fields = [([own.get(key) for key in flat], _text(layout.named(own))) for own in values]
        packed = storage.packed(vectors[at[first : first + BLOCK]])
        released(vectors)
        for position, vector in zip(places.tolist(), packed, strict=True):
            columns, text = fields[position]
            yield [vector, *columns], hashlib.blake2b(text + vector, digest_size=16).digest()


def _values(passages: Passages, documents: Ints) -> tuple[list[str], list[Values]]:
    """Metadata of documents, as JSON, and their values for columns."""
    metadata = passages.corpus.metadata_texts(documents)
    return metadata, list(document_values(passages.corpus.ids(documents), metadata))


def row_hash(columns: Mapping[str, Any], vector: bytes) -> bytes:
    """Hash of a row as it was read: of its columns that have a value, and of its vector."""
    return hashlib.blake2b(_text(columns) + vector, digest_size=16).digest()


def _text(columns: Mapping[str, Any]) -> bytes:
    there = {name: value for name, value in columns.items() if value is not None}
    return json.dumps(there, sort_keys=True, default=_plain).encode()


def _plain(value: Any) -> Any:
    assert isinstance(value, Decimal)
    return f"{value.normalize():f}"
