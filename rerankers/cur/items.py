"""The items a query may choose from, and the best of them under a weight vector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rag.candidates import PADDING, Floats, Ints, Vectors, rank, top_k_of_scores
from rag.tables import is_in

__all__ = ["Everything", "Extra", "Items", "Listed", "Mask", "gathered"]

Extra = Callable[[Vectors], Floats]
"""Something added to the scores of a block of items: given vectors [b, d], or [q, b, d] where every query has its own,
gives float32 [q, b]."""

Mask = npt.NDArray[np.bool_]

_BLOCK = 1 << 16
"""Items whose scores are looked at together: 8 MiB of float32 for 32 queries."""


class Items(Protocol):
    """Items by number; -1 means no item."""

    @property
    def vectors(self) -> Vectors:
        """Vectors of all items, float32 [n, d]."""

    @property
    def offsets(self) -> Floats | None:
        """Added to the scores of all items, float32 [n]."""

    def best(self, weights: Vectors, bonus: Floats, taken: Ints, k: int, extra: Extra | None = None) -> Ints:
        """The best ``k`` items of each query that are not taken, int64 [q, k], -1 where there are no more.

        Args:
            weights: float32 [q, d].
            bonus: Bonus of the first stage's candidates, float32 [q, n_listed].
            taken: Items left out, int64 [q, m], -1 padding.
            k: Number of items.
            extra: Added to the scores.
        """


@dataclass(frozen=True)
class Everything:
    """All items are open to all queries.

    Args:
        vectors: float32 [n, d]; may be mapped.
        offsets: Added to every score, float32 [n]; None adds nothing.
        listed: The first stage's candidates, int64 [q, n_listed], -1 padding.
        allowed: Items that may be chosen at all, bool [n]; None allows all.
    """

    vectors: Vectors
    offsets: Floats | None
    listed: Ints
    allowed: Mask | None = None

    def best(self, weights: Vectors, bonus: Floats, taken: Ints, k: int, extra: Extra | None = None) -> Ints:
        nearest = np.empty((len(weights), 0), dtype=np.int64)
        values = np.empty((len(weights), 0), dtype=np.float32)
        for first in range(0, len(self.vectors), _BLOCK):
            block = self.vectors[first : first + _BLOCK]
            scores = weights @ block.T
            if self.offsets is not None:
                scores += self.offsets[first : first + _BLOCK]
            if extra is not None:
                scores += extra(block)
            rows, columns = np.nonzero((self.listed >= first) & (self.listed < first + len(block)))
            scores[rows, self.listed[rows, columns] - first] += bonus[rows, columns]
            rows, columns = np.nonzero((taken >= first) & (taken < first + len(block)))
            scores[rows, taken[rows, columns] - first] = -np.inf
            if self.allowed is not None:
                scores[:, ~self.allowed[first : first + _BLOCK]] = -np.inf
            nearest, values = _merged(nearest, values, scores, first, k)
        return nearest if nearest.shape[1] == k else _padded(nearest, k)


@dataclass(frozen=True)
class Listed:
    """Each query has its own list: the first stage's candidates.

    Args:
        vectors: Vectors of all items, float32 [n, d].
        offsets: Offsets of all items, float32 [n]; None adds nothing.
        listed: The items of each query, int64 [q, n_listed], -1 padding.
    """

    vectors: Vectors
    offsets: Floats | None
    listed: Ints

    @cached_property
    def _own(self) -> Vectors:
        return gathered(self.vectors, self.listed)

    def best(self, weights: Vectors, bonus: Floats, taken: Ints, k: int, extra: Extra | None = None) -> Ints:
        scores = (self._own @ weights[..., None])[..., 0] + bonus
        if self.offsets is not None:
            scores += np.where(self.listed >= 0, self.offsets[self.listed], 0)
        if extra is not None:
            scores += extra(self._own)
        scores[(self.listed < 0) | is_in(self.listed, taken)] = -np.inf
        order = rank(np.where(np.isneginf(scores), PADDING, self.listed), scores)[:, :k]
        ordered = np.take_along_axis(self.listed, order, 1)
        ordered[np.isneginf(np.take_along_axis(scores, order, 1))] = PADDING
        return _padded(ordered, k)


def gathered(vectors: Vectors, ids: Ints) -> Vectors:
    """Vectors of items [q, b, d]; zeros where there is no item."""
    rows = vectors[np.maximum(ids, 0)]
    rows[ids < 0] = 0.0
    return rows


def _merged(merged: Ints, values: Floats, scores: Floats, first: int, k: int) -> tuple[Ints, Floats]:
    """The best of what was found in the blocks before and of a new block, which starts at item ``first``."""
    if values.shape[1] < k or np.isneginf(values[:, -1:]).any():
        columns, top = top_k_of_scores(scores, k)
        ids = np.where(columns >= 0, columns + first, PADDING)
    else:
        # Few of a later block beat the worst of the best so far; earlier items win ties.
        # Of a flat array, np.nonzero is ten times quicker.
        rows, columns = np.divmod(np.flatnonzero(scores > values[:, -1:]), scores.shape[1])
        if not len(rows):
            return merged, values
        counts = np.bincount(rows, minlength=len(scores))
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        ids = np.full((len(scores), int(counts.max())), PADDING, dtype=np.int64)
        top = np.full(ids.shape, -np.inf, dtype=np.float32)
        ids[rows, within], top[rows, within] = columns + first, scores[rows, columns]
    ids, top = np.concatenate([merged, ids], axis=1), np.concatenate([values, top], axis=1)
    order = rank(ids, top)[:, :k]
    return np.take_along_axis(ids, order, 1), np.take_along_axis(top, order, 1)


def _padded(items: Ints, k: int) -> Ints:
    return np.pad(items, ((0, 0), (0, k - items.shape[1])), constant_values=PADDING)
