"""Learn the weight of a token in its context, by a softmax over all passages."""

from __future__ import annotations

from typing import Any

import numpy as np

from rag.candidates import Bools, Floats, Ints, Vectors
from rag.embedders.sparse.token_pairs import TokenPairs
from rag.learning.adam import Adam

__all__ = ["TermTrainer", "worth"]

_STEPS = 10
"""Of an epoch, at least."""


def worth(vectors: Vectors, parameters: Floats) -> Floats:
    """``max(0, 1 + h u + b)`` of each pair, float32 [m]: 1 everywhere to begin with.

    Args:
        vectors: h of each, float32 [m, d].
        parameters: u, then b, float32 [d + 1].
    """
    return np.asarray(np.maximum(1 + vectors @ parameters[:-1] + parameters[-1], 0), dtype=np.float32)


class TermTrainer:
    """Adam on ``-log p(relevant)`` and the FLOPS of the weights (Paria et al. 2020).

    Args:
        pairs: Pairs of all passages and the training queries' tokens.
        base: Weight of each pair for a factor of 1, float32 [m].
        queries: Weights of tokens, CSR array float32 [n, tokens].
        relevant: Mask of relevant passages, CSR array of bool [n, passages], some in every row.
        sample: All pairs of some passages, for the FLOPS.
        sample_base: The same as ``base`` for the sample.
        learning_rate: Learning rate of Adam.
        batch_size: Queries per step.
        seed: Seed of the order of the queries.
    """

    def __init__(
        self,
        pairs: TokenPairs,
        base: Floats,
        queries: Any,
        relevant: Any,
        sample: TokenPairs,
        sample_base: Floats,
        *,
        learning_rate: float,
        batch_size: int,
        seed: int,
    ) -> None:
        self._pairs, self._base, self._queries, self._relevant = pairs, base, queries, relevant
        self._sample, self._sample_base = sample, sample_base
        self._vectors, self._sample_vectors = (source.vectors.astype(np.float32) for source in (pairs, sample))
        self._batch = batch_size
        self._random = np.random.default_rng(seed)
        self.parameters = np.zeros(pairs.vectors.shape[1] + 1, dtype=np.float32)
        self._adam = Adam([self.parameters], learning_rate=learning_rate)

    def epoch(self, flops: float) -> float:
        """Look at every query once, at few of them several times, until there were 10 steps; the mean loss on the way,
        the FLOPS aside.
        """
        losses = 0.0
        passes = -(-_STEPS // -(-self._queries.shape[0] // self._batch))
        order = np.concatenate([self._random.permutation(self._queries.shape[0]) for _ in range(passes)])
        n = len(order)
        for start in range(0, n, self._batch):
            rows = order[start : start + self._batch]
            losses += self._step(rows, flops) * len(rows)
        return float(losses / max(n, 1))

    def weights(self) -> Any:
        """Weights of the training queries' tokens in all passages, CSR array float32 [tokens, passages]."""
        return self._table(worth(self._vectors, self.parameters))

    def _table(self, worths: Floats) -> Any:
        import scipy.sparse

        shape = (self._queries.shape[1], len(self._pairs.lengths))
        return scipy.sparse.csr_array((self._base * worths, (self._pairs.tokens, self._pairs.texts)), shape=shape)

    def active(self) -> float:
        """Tokens of a passage that have a weight, on average."""
        texts = len(np.unique(self._sample.texts))
        return float(np.count_nonzero(worth(self._sample_vectors, self.parameters)) / max(texts, 1))

    def _step(self, rows: Ints, flops: float) -> float:
        queries = self._queries[rows]
        worths = worth(self._vectors, self.parameters)
        logits = np.asarray((queries @ self._table(worths)).toarray(), dtype=np.float32)
        loss, slope = _cross_entropy(logits, self._relevant[rows].toarray())
        tokens = np.unique(queries.indices)
        by_weight = np.asarray(queries[:, tokens].T @ slope, dtype=np.float32)  # [tokens, passages]
        column_of = np.full(self._queries.shape[1], -1)
        column_of[tokens] = np.arange(len(tokens))
        asked = np.flatnonzero((column_of[self._pairs.tokens] >= 0) & (worths > 0))
        by_worth = np.zeros_like(worths)
        by_worth[asked] = by_weight[column_of[self._pairs.tokens[asked]], self._pairs.texts[asked]] * self._base[asked]
        total = _slope(by_worth, self._vectors)
        self._adam.step([total + flops * self._flops_slope() if flops else total])
        return loss

    def _flops_slope(self) -> Floats:
        """Gradient of the sum over tokens of the square of their mean weight."""
        worths = worth(self._sample_vectors, self.parameters)
        n = max(len(np.unique(self._sample.texts)), 1)
        means = np.bincount(self._sample.tokens, weights=self._sample_base * worths) / n
        by_worth = 2 * means[self._sample.tokens] / n * self._sample_base
        return _slope(np.where(worths > 0, by_worth, 0).astype(np.float32), self._sample_vectors)


def _cross_entropy(logits: Floats, relevant: Bools) -> tuple[float, Floats]:
    """Mean of ``-log p`` over a query's relevant passages, by a softmax over all passages, averaged over queries; and
    its derivative by the logits, float32 [n, passages]. Every relevant passage counts: the best of them alone would be
    content with one that has all words of the query.
    """
    logits = logits - logits.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(logits).sum(axis=1, keepdims=True))
    wanted = relevant / np.maximum(relevant.sum(axis=1, keepdims=True), 1)
    loss = float(((log_total - logits) * wanted).sum(axis=1).mean())
    return loss, ((np.exp(logits - log_total) - wanted) / np.float32(len(logits))).astype(np.float32)


def _slope(by_worth: Floats, vectors: Vectors) -> Floats:
    """Gradient by u and b of a function with this gradient by each weight."""
    return np.append(by_worth @ vectors, by_worth.sum())
