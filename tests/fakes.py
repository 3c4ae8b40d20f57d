"""Small components that behave as their contracts say, without models: words hashed to vectors."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from rag.batch import QueryBatch
from rag.candidates import Floats, Ints, Vectors
from rag.embedders.base import TokenEmbedder, TokenVectors
from rag.fitting import FitContext
from rag.rerankers.base import Scorer
from rag.rerankers.cur.factors import Factors


@functools.cache
def word_vector(word: str, dimension: int) -> Vectors:
    """A unit vector that hangs on the word alone."""
    seed = int.from_bytes(hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()[:8], "little")
    vector = np.random.default_rng(seed).normal(size=dimension).astype(np.float32)
    return vector / np.linalg.norm(vector)


class WordEmbedder(TokenEmbedder):
    """A text is the sum of its words' vectors, scaled to length 1; no words, no vector.

    Args:
        size: Length of the vectors.
    """

    type = "fake_words"

    def __init__(self, *, size: Annotated[int, Field(ge=1)] = 16) -> None:
        self.size = size

    @property
    def dimension(self) -> int:
        return self.size

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        rows = np.zeros((len(texts), self.size), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                row += word_vector(word, self.size)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

    def embed_documents(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        return self.embed_queries(texts)

    def embed_query_tokens(self, texts: Sequence[str]) -> TokenVectors:
        words = [text.lower().split() for text in texts]
        rows = [word_vector(word, self.size) for text_words in words for word in text_words]
        vectors = np.stack(rows) if rows else np.empty((0, self.size), dtype=np.float32)
        return TokenVectors(vectors, np.cumsum([0, *map(len, words)]).astype(np.int64))

    def embed_document_tokens(
        self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None
    ) -> tuple[TokenVectors, Vectors]:
        tokens = self.embed_query_tokens(texts)
        return TokenVectors(tokens.vectors.astype(np.float16), tokens.ends), self.embed_documents(texts)


class TableEmbedder(WordEmbedder):
    """Gives prepared vectors: a text is the number of its row.

    Args:
        size: Length of the vectors.
    """

    type = "fake_table"
    rows: Vectors

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self.rows[[int(text) for text in texts]]


class CountingScorer(Scorer):
    """Scores by a formula, and remembers what it was asked.

    Args:
        sign: 1 or -1.
    """

    type = "fake_counting"

    def __init__(self, *, sign: int = 1) -> None:
        self.sign = sign
        self.asked: list[tuple[list[int], list[int]]] = []

    def score_pairs(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        self.asked.append((rows.tolist(), passages.tolist()))
        return np.asarray(self.sign * ((passages * 7 + rows * 3) % 11), dtype=np.float32)


class BrokenScorer(CountingScorer):
    """Gives whatever :attr:`answer` says.

    Args:
        sign: 1 or -1.
    """

    type = "fake_broken"
    answer: Callable[[int], Floats]

    def score_pairs(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        return self.answer(len(rows))


class TableScorer(CountingScorer):
    """Looks scores up in :attr:`table`: the row is the query's text, the column the passage.

    Args:
        sign: 1 or -1.
    """

    type = "fake_table"
    table: Floats

    def score_pairs(self, batch: QueryBatch, rows: Ints, passages: Ints) -> Floats:
        self.asked.append(([int(batch.texts[row]) for row in rows.tolist()], passages.tolist()))
        return self.sign * self.table[[int(batch.texts[row]) for row in rows.tolist()], passages].astype(np.float32)


class TableFactors(Factors):
    """Given vectors and offsets.

    Args:
        name: Tells one from another.
    """

    type = "fake_table"
    table: Vectors
    levels: Floats | None = None

    def __init__(self, *, name: str = "") -> None:
        self.name = name

    def make(self, context: FitContext, scorer: Scorer) -> tuple[Vectors, Floats | None]:
        return self.table, self.levels
