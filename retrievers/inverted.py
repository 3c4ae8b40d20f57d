"""Passages by term: exact search by the inner product of sparse vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

from rag.candidates import PADDING, Floats, Ints

__all__ = ["InvertedIndex", "strongest"]

_BLOCK = 1 << 17
"""Scores computed at a time, queries x passages: half a MiB of float32 stays in a processor's cache."""
_GROUP = 64
"""Columns of which only the largest is looked at while a bound is found."""
_LEAST = np.finfo(np.float32).smallest_subnormal


class InvertedIndex:
    """Finds the passages whose sparse vectors have the largest inner products with sparse queries: exactly.

    Only the postings of a query's terms are read: they are added up in an array of all passages, a block of queries at
    a time, in the order of the query's terms, as a product of sparse matrices would. A passage is found if it shares a
    term; weights are above 0.

    Args:
        postings: Weight of each term in each passage, CSR array [terms, passages] with sorted indices; its data is
            float32, or uint8 with ``scale``.
        prepare: Called with the terms that are about to be read, integers in any order: it may write their data then.
        scale: Value of a weight of 1, float32 [terms]; None for 1.

    Example:
        >>> import scipy.sparse
        >>> weights = scipy.sparse.csr_array([[0.0, 2.0, 0.0], [1.0, 0.5, 0.0]], dtype="float32")
        >>> query = scipy.sparse.csr_array([[1.0, 1.0]], dtype="float32")
        >>> InvertedIndex(weights).search(query, 10)
        (array([[1, 0]]), array([[2.5, 1. ]], dtype=float32))
    """

    def __init__(
        self, postings: Any, *, prepare: Callable[[Any], None] | None = None, scale: Floats | None = None
    ) -> None:
        self.n_passages = int(postings.shape[1])
        # What is mapped from a file is seen as a plain array: a slice of that is made in a tenth of the time.
        self._indptr, self._indices, self._data = map(np.asarray, (postings.indptr, postings.indices, postings.data))
        self._prepare = prepare
        self._scale = scale

    def search(self, queries: Any, k: int, allowed: Ints | slice | None = None) -> tuple[Ints, Floats]:
        """The best passages of each query that share a term with it.

        Args:
            queries: Weights of terms, CSR array float32 [n, terms].
            k: Passages wanted for each.
            allowed: Passages that may be found, ascending int64, or a slice; None for all.

        Returns:
            Passages int64 [n, k'] (-1 padding) and scores float32 [n, k'] (``-inf`` there), best first, ties by
            passage, k' <= k.
        """
        lists = []
        for rows, scores in self._scored(queries):
            row, column, values = strongest(scores if allowed is None else scores[:, allowed], k)
            lists.append((row + rows.start, column, values))
        if not lists:
            return np.empty((0, 0), dtype=np.int64), np.empty((0, 0), dtype=np.float32)
        row, column, values = map(np.concatenate, zip(*lists, strict=True))
        if isinstance(allowed, slice):
            column = column + allowed.start
        elif allowed is not None:
            column = allowed[column]
        counts = np.bincount(row, minlength=queries.shape[0])
        rank = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        shape = (queries.shape[0], int(counts.max(initial=0)))
        passages, best = np.full(shape, PADDING, dtype=np.int64), np.full(shape, -np.inf, dtype=np.float32)
        passages[row, rank], best[row, rank] = column, values
        return passages, best

    def scores_of(self, queries: Any, passages: Ints) -> Floats:
        """Scores of given passages, float32 [n, k]; 0 where no term is shared, and at padding.

        Args:
            queries: CSR array float32 [n, terms].
            passages: int64 [n, k], -1 padding.
        """
        sums = np.zeros(passages.shape, dtype=np.float32)
        for rows, scores in self._scored(queries):
            sums[rows] = np.take_along_axis(scores, np.maximum(passages[rows], 0), axis=1)
        sums[passages < 0] = 0
        return sums

    def shared(self, query: Any, passage: int) -> list[tuple[int, float]]:
        """Terms that a passage shares with a query, CSR array [1, terms], and what each adds to its score."""
        shared = []
        for term, weight in zip(query.indices.tolist(), query.data.tolist(), strict=True):
            span = slice(*self._indptr[term : term + 2].tolist())
            at = int(np.searchsorted(self._indices[span], passage))
            if at < span.stop - span.start and self._indices[span][at] == passage:
                worth = 1.0 if self._scale is None else float(self._scale[term])
                shared.append((term, weight * worth * float(self._data[span][at])))
        return shared

    def _scored(self, queries: Any) -> Iterator[tuple[slice, Floats]]:
        """Scores of all passages, a block of queries at a time, float32 [some, passages]: valid until the next."""
        if self._prepare is not None:
            self._prepare(queries.indices)
        add, n = _adder(), self.n_passages
        weights = queries.data.astype(np.float32, copy=False)
        if self._scale is not None:
            weights = weights * self._scale[queries.indices]
        starts, ends = self._indptr[queries.indices].tolist(), self._indptr[queries.indices + 1].tolist()
        bounds = queries.indptr.tolist()
        step = max(1, _BLOCK // max(n, 1))
        block = np.empty((min(step, queries.shape[0]), n), dtype=np.float32)
        for first in range(0, queries.shape[0], step):
            last = min(first + step, queries.shape[0])
            scores = block[: last - first]
            scores[:] = 0
            for row in range(first, last):
                for term in range(bounds[row], bounds[row + 1]):
                    span = slice(starts[term], ends[term])
                    add(scores[row - first], self._indices[span], self._data[span], weights[term : term + 1])
            yield slice(first, last), scores


@cache
def _adder() -> Callable[[Floats, Any, Any, Floats], None]:
    """Adds ``weight`` (of length 1) times ``data`` to ``scores`` at ``indices``, which differ from one another."""
    try:
        from scipy.sparse._sparsetools import csc_matvec
    except ImportError:  # it is scipy's own; without it this takes five times as long
        return _add

    def add(scores: Floats, indices: Any, data: Any, weight: Floats) -> None:
        ends = np.array([0, len(indices)], dtype=indices.dtype)
        csc_matvec(len(scores), 1, ends, indices, data.astype(np.float32, copy=False), weight, scores)

    return add


def _add(scores: Floats, indices: Any, data: Any, weight: Floats) -> None:
    scores[indices] += data * weight


def strongest(scores: Floats, k: int) -> tuple[Ints, Ints, Floats]:
    """The ``k`` largest scores above 0 of each row, ties by column, as flat lists.

    The largest of each group of columns give a bound that at least ``k`` scores reach; what reaches it is sorted.

    Args:
        scores: float32 [n, m].
        k: At most this many of each row.

    Returns:
        Rows ascending, columns, and scores, best first in each row.

    Example:
        >>> strongest(np.float32([[0.0, 2.0, 3.0], [1.0, 1.0, 1.0]]), 2)[1].tolist()
        [2, 1, 0, 1]
    """
    n, m = scores.shape
    if not n or not min(k, m):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    scores = np.ascontiguousarray(scores)
    size = max(1, min(_GROUP, m // (4 * k)))
    tops = scores if size == 1 else scores[:, : m // size * size].reshape(n, size, -1).max(axis=1)
    least = np.full(n, _LEAST)
    if tops.shape[1] > k:
        least = np.maximum(least, np.partition(tops, tops.shape[1] - k, axis=1)[:, -k])
    flat = np.flatnonzero(scores >= least[:, None])
    rows, columns = (np.zeros_like(flat), flat) if n == 1 else np.divmod(flat, m)
    values = scores.ravel()[flat]
    rows, columns, values = _few(rows, columns, values, k, n)
    order = np.argsort(-values, kind="stable") if n == 1 else np.lexsort((-values, rows))
    counts = np.bincount(rows, minlength=n)
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)  # the rows stay where they are
    selected = order[rank < k]
    return rows[selected], columns[selected], values[selected]


def _few(rows: Ints, columns: Ints, values: Floats, k: int, n: int) -> tuple[Ints, Ints, Floats]:
    """Rows in which far more than ``k`` reach the bound, for most of them tie, brought down to ``k``."""
    counts = np.bincount(rows, minlength=n)
    many = np.flatnonzero(counts > 4 * k)
    if not len(many):
        return rows, columns, values
    keep = np.ones(len(rows), dtype=bool)
    ends = np.cumsum(counts)
    for row in many:
        span = slice(ends[row] - counts[row], ends[row])
        values_here = values[span]
        cut = np.partition(values_here, len(values_here) - k)[-k]
        above = values_here > cut
        above[np.flatnonzero(values_here == cut)[: k - np.count_nonzero(above)]] = True
        keep[span] = above
    return rows[keep], columns[keep], values[keep]
