"""What a row holds beside its fields: a vector, or a text that the server ranks by BM25."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from rag.candidates import Floats, Ints, Vectors
from rag.corpus.passages import Passages
from rag.errors import DataError
from rag.retrievers.indexes.milvus.columns import LONGEST
from rag.store.spill import blocks

__all__ = ["Content", "TextContent", "VectorContent"]

_MOST_DIMENSIONS = 32_768


class Content(ABC):
    """What is searched."""

    column: str
    """The column that rows are written with."""

    searched: str
    """The column that is searched."""

    metric: str

    @abstractmethod
    def define(self, schema: Any, index: Any, dimension: int) -> None:
        """Add its columns to a schema, and its index to index parameters, both of pymilvus."""

    @abstractmethod
    def check(self, contents: Any) -> int:
        """Refuse what Milvus does not take; gives the dimension of vectors, 0 for texts.

        Raises:
            DataError: There is such.
        """

    @abstractmethod
    def values(self, passages: Passages, positions: Ints, contents: Any, at: Ints) -> list[Any]:
        """What rows are written with.

        Args:
            passages: All.
            positions: Positions of the passages to write, int64 [m].
            contents: Vectors of these passages and others, float32 [n, d]; not read for texts.
            at: Where among them those of these passages are, int64 [m].
        """

    @abstractmethod
    def packed(self, value: Any) -> bytes:
        """A value, as written or as read, for the hash."""

    def scores(self, distances: Floats) -> Floats:
        """Scores, larger for better rows, of what the server calls distances."""
        return distances

    @abstractmethod
    def parameters(self, k: int) -> dict[str, Any]:
        """Parameters of a search for k rows."""


class VectorContent(Content):
    """Vectors in a graph (HNSW), compared by inner product.

    Args:
        m: Links of the graph.
        ef_construction: Candidates kept while it is built.
        ef_search: Candidates kept while it is searched.
    """

    column = searched = "v"
    metric = "IP"

    def __init__(self, *, m: int, ef_construction: int, ef_search: int) -> None:
        self.m, self.ef_construction, self.ef_search = m, ef_construction, ef_search

    def define(self, schema: Any, index: Any, dimension: int) -> None:
        from pymilvus import DataType

        schema.add_field(self.column, DataType.FLOAT_VECTOR, dim=dimension)
        shape = {"M": self.m, "efConstruction": self.ef_construction}
        index.add_index(self.column, index_type="HNSW", metric_type=self.metric, params=shape)

    def check(self, contents: Vectors) -> int:
        dimension = int(contents.shape[1])
        if not 2 <= dimension <= _MOST_DIMENSIONS:
            raise DataError(f"index 'milvus': takes 2 to {_MOST_DIMENSIONS} dimensions, the vectors have {dimension}")
        for _, block in blocks(contents):
            if not np.isfinite(block).all():
                raise DataError("index 'milvus': vectors have NaN or infinite values")
        return dimension

    def values(self, passages: Passages, positions: Ints, contents: Vectors, at: Ints) -> list[Any]:
        return list(np.ascontiguousarray(contents[at], dtype=np.float32))

    def packed(self, value: Any) -> bytes:
        return np.asarray(value, dtype=np.float32).tobytes()

    def parameters(self, k: int) -> dict[str, Any]:
        return {"ef": max(self.ef_search, k)}


class TextContent(Content):
    """Texts that the server cuts into words and ranks by BM25.

    Args:
        analyzer: How it cuts them, as Milvus has it.
        k1: How much repeating a word counts.
        b: Penalty on long texts.
    """

    column = "text"
    searched = "words"
    metric = "BM25"

    def __init__(self, *, analyzer: dict[str, Any], k1: float, b: float) -> None:
        self.analyzer, self.k1, self.b = analyzer, k1, b

    def define(self, schema: Any, index: Any, dimension: int) -> None:
        from pymilvus import DataType, Function, FunctionType

        schema.add_field(
            self.column,
            DataType.VARCHAR,
            max_length=LONGEST,
            enable_analyzer=True,
            analyzer_params=self.analyzer,
        )
        schema.add_field(self.searched, DataType.SPARSE_FLOAT_VECTOR)
        names = {"input_field_names": [self.column], "output_field_names": [self.searched]}
        schema.add_function(Function(name="bm25", function_type=FunctionType.BM25, **names))
        weights = {"bm25_k1": self.k1, "bm25_b": self.b, "inverted_index_algo": "DAAT_MAXSCORE"}
        index.add_index(self.searched, index_type="SPARSE_INVERTED_INDEX", metric_type=self.metric, params=weights)

    def check(self, contents: Any) -> int:
        return 0

    def values(self, passages: Passages, positions: Ints, contents: Any, at: Ints) -> list[Any]:
        texts = passages.texts(positions)
        for position, text in zip(positions.tolist(), texts, strict=True):
            size = len(text.encode())
            if size > LONGEST:
                document = passages.corpus.ids([int(passages.document[position])])[0]
                raise DataError(
                    f"retriever 'milvus_bm25': a passage of the document '{document}' has {size} bytes, Milvus takes "
                    f"{LONGEST}: cut documents with a chunker"
                )
        return texts

    def packed(self, value: Any) -> bytes:
        return str(value).encode()

    def scores(self, distances: Floats) -> Floats:
        return np.abs(distances)  # milvus-lite gives them below zero

    def parameters(self, k: int) -> dict[str, Any]:
        return {}
