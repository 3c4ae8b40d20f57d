"""Passages as rows of a table in PostgreSQL."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rag.candidates import Ints, Vectors
from rag.corpus.passages import Passages
from rag.errors import DataError
from rag.retrievers.indexes.postgres.conditions import TYPES
from rag.retrievers.indexes.remote.fields import Layout
from rag.retrievers.indexes.remote.rows import BLOCK, blocks_of, fields_of, row_text
from rag.store.spill import blocks, released

__all__ = ["COPY_TYPES", "MOST_COLUMNS", "Storage", "rows_of"]

MOST_COLUMNS = 400
"""Columns that a table may have for fields."""

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
    for first, block in blocks_of(positions):
        values, places = fields_of(passages, block)
        fields = [([own.get(key) for key in flat], row_text(layout.named(own))) for own in values]
        packed = storage.packed(vectors[at[first : first + BLOCK]])
        released(vectors)
        for position, vector in zip(places, packed, strict=True):
            columns, text = fields[position]
            yield [vector, *columns], hashlib.blake2b(text + vector, digest_size=16).digest()
