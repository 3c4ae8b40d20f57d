"""Queries whose scores have no common scale, made so that the right one is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rag import Candidates, Corpus, Document, FitContext, Query, QueryBatch, Training
from rag.corpus.passages import Passages
from rag.fitting import Upstream
from tests.fakes import TableEmbedder

DIMENSION = 8


@dataclass
class World:
    """Lists of ``k`` candidates: the true logit of each, from which relevance is drawn, and a score that is the logit
    shifted and scaled as the query's embedding says.
    """

    batch: QueryBatch
    candidates: Candidates
    relevant: np.ndarray
    logits: np.ndarray
    embedder: TableEmbedder

    @classmethod
    def make(cls, n: int = 400, k: int = 30, seed: int = 0, unit: float = 0.05, base: float = -2.0) -> World:
        rng = np.random.default_rng(seed)
        vectors = rng.normal(size=(n, DIMENSION)).astype(np.float32)
        logits = -np.sort(-rng.normal(base, 2.0, size=(n, k)), axis=1)
        relevant = rng.random((n, k)) < 1 / (1 + np.exp(-logits))
        shift = 3.0 * vectors[:, :1] / np.linalg.norm(vectors, axis=1, keepdims=True) * DIMENSION**0.5
        scale = np.exp(0.3 * np.tanh(vectors[:, 1:2]))
        scores = (unit * (logits - shift) * scale).astype(np.float32)
        positions = np.tile(np.arange(k), (n, 1))
        embedder = TableEmbedder(size=DIMENSION)
        embedder.rows = vectors
        queries = [Query(f"q{number}", str(number)) for number in range(n)]
        return cls(QueryBatch(queries), Candidates(positions, scores, positions), relevant, logits, embedder)

    def context(self, *, judged: bool = True, seed: int = 0) -> FitContext:
        """What a stage behind these lists is fitted with."""
        k = self.relevant.shape[1]
        corpus = Corpus.from_documents(Document(f"d{number}", f"text {number}") for number in range(k))
        judgments = {
            query.id: {f"d{position}": 1 for position in np.flatnonzero(row).tolist()} if judged else {}
            for query, row in zip(self.batch.queries, self.relevant, strict=True)
        }
        context = FitContext(corpus, Passages.whole(corpus), Training(self.batch.queries, judgments), seed=seed)
        context.following(Upstream(lambda batch: self.candidates, None))
        return context


def candidates_of(rows: list[list[float]]) -> Candidates:
    """A table of lists of scores, sorted."""
    width = max(map(len, rows), default=0)
    positions = np.array([[*range(len(row)), *[-1] * (width - len(row))] for row in rows], dtype=np.int64)
    scores = np.array([[*row, *[-np.inf] * (width - len(row))] for row in rows], dtype=np.float32)
    positions, scores = positions.reshape(len(rows), width), scores.reshape(len(rows), width)
    return Candidates.from_scores(positions, scores, positions)
