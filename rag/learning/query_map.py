"""A linear map of query vectors, learned from relevant passages, whose vectors stay unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rag.candidates import PADDING, Bools, Candidates, Floats, Ints, Vectors, top_k_of_scores
from rag.learning.adam import Adam

__all__ = ["MapTrainer", "Pool", "loss_and_slope", "moved", "ranked"]

_TINY = 1e-8
_TOGETHER = 256
"""Number of queries scored against the whole pool at a time."""


def moved(vectors: Vectors, weights: Floats) -> Vectors:
    """Compute ``normalize(q + q W)`` with the original length of each query, float32 [n, d]; zero vectors stay zero.

    Args:
        vectors: Query vectors, float32 [n, d].
        weights: W, float32 [d, d].
    """
    shifted = vectors + vectors @ weights
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(shifted * (length / np.maximum(np.linalg.norm(shifted, axis=1, keepdims=True), _TINY)))


@dataclass(frozen=True)
class Pool:
    """Passages for learning a map of queries.

    Args:
        passages: Positions of the passages, int64 [p], ascending.
        documents: Document of each passage, int64 [p], ascending.
        vectors: Vectors of length 1, float32 [p, d].
    """

    passages: Ints
    documents: Ints
    vectors: Vectors


def loss_and_slope(logits: Floats, relevant: Bools, negatives: int | None) -> tuple[float, Floats]:
    """``-log`` of the probability that a softmax gives to all relevant passages together: the mean over queries, and
    its derivative by the logits, float32 [n, p].

    Args:
        logits: Logits, float32 [n, p]; ``-inf`` for passages that a query may not find.
        relevant: Whether each passage is relevant, bool [n, p], with some in every row.
        negatives: Number of other passages in the softmax besides the relevant ones, those with the highest logits;
            None takes all.
    """
    logits = logits - logits.max(axis=1, keepdims=True)
    odds = np.exp(logits)
    right = np.where(relevant, odds, 0)
    wrong = odds - right
    if negatives is not None and negatives < logits.shape[1]:
        cut = np.partition(wrong, -negatives, axis=1)[:, -negatives]
        wrong = np.where(wrong >= cut[:, None], wrong, 0)
    n_right = np.maximum(right.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    total = n_right + wrong.sum(axis=1, keepdims=True)
    slope = (right + wrong) / total - right / n_right
    return float(np.log(total / n_right).mean()), (slope / np.float32(len(logits))).astype(np.float32)


class MapTrainer:
    """Learns a map, from the identity, epoch by epoch.

    Args:
        queries: Query vectors, float32 [n, d].
        relevant: Whether each passage of the pool is relevant, scipy CSR array of bool [n, p], with some in every row.
        barred: Whether a query may not find each passage, as CSR array; None without restrictions.
        pool: The passages.
        negatives: Argument of :func:`loss_and_slope`.
        learning_rate: Learning rate of Adam.
        scale: Factor of the cosines in the softmax.
        batch_size: Queries per step.
        seed: Seed of the order of the queries.
    """

    def __init__(
        self,
        queries: Vectors,
        relevant: Any,
        barred: Any,
        pool: Pool,
        *,
        negatives: int | None,
        learning_rate: float,
        scale: float,
        batch_size: int,
        seed: int,
    ) -> None:
        self._queries = queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), _TINY)
        self._relevant, self._barred, self._pool = relevant, barred, pool
        self._negatives, self._scale, self._batch = negatives, np.float32(scale), batch_size
        self._random = np.random.default_rng(seed)
        self.weights = np.zeros((queries.shape[1],) * 2, dtype=np.float32)
        self._adam = Adam([self.weights], learning_rate=learning_rate)

    def epoch(self) -> float:
        """Train on every query once; returns the mean loss."""
        losses = 0.0
        order = self._random.permutation(len(self._queries))
        for start in range(0, len(order), self._batch):
            rows = order[start : start + self._batch]
            losses += self._step(rows) * len(rows)
        return losses / max(len(order), 1)

    def _step(self, rows: Ints) -> float:
        queries = self._queries[rows]
        shifted = queries + queries @ self.weights
        length = np.maximum(np.linalg.norm(shifted, axis=1, keepdims=True), _TINY)
        unit = shifted / length
        logits = self._scale * (unit @ self._pool.vectors.T)
        if self._barred is not None:
            logits = np.where(self._barred[rows].toarray(), np.float32(-np.inf), logits)
        loss, slope = loss_and_slope(logits, self._relevant[rows].toarray(), self._negatives)
        by_unit = self._scale * (slope @ self._pool.vectors)
        by_shifted = (by_unit - unit * (unit * by_unit).sum(axis=1, keepdims=True)) / length
        self._adam.step([queries.T @ by_shifted])
        return loss


def ranked(vectors: Vectors, pool: Pool, barred: Any, depth: int) -> Candidates:
    """The documents of a pool nearest to each query by their best passage, exact.

    Args:
        vectors: Query vectors, float32 [n, d].
        pool: The passages.
        barred: As in :class:`MapTrainer`.
        depth: Number of documents per query.
    """
    documents, starts = np.unique(pool.documents, return_index=True)
    positions = np.empty((len(vectors), min(depth, len(documents))), dtype=np.int64)
    scores = np.empty(positions.shape, dtype=np.float32)
    for first in range(0, len(vectors), _TOGETHER):
        rows = np.arange(first, min(first + _TOGETHER, len(vectors)))
        products = vectors[rows] @ pool.vectors.T
        if barred is not None:
            products = np.where(barred[rows].toarray(), np.float32(-np.inf), products)
        columns, best = top_k_of_scores(np.maximum.reduceat(products, starts, axis=1), depth)
        positions[rows], scores[rows] = np.where(columns >= 0, documents[columns], PADDING), best
    return Candidates.from_scores(positions, scores, positions)
