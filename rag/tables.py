"""What several tables of candidates have in common: which documents, in which columns, and what a row's scores spread
over. Everything here is array work without a loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rag.candidates import PADDING, Bools, Candidates, Floats, Ints

__all__ = ["centered", "columns_of", "grouped", "in_list", "is_in", "product", "standardized", "summed"]

_DENSE = 32
"""Cells for each value up to which adding up in an array of all cells is quicker than sorting."""

_FLAT = 1e-9
"""A row whose scores spread over less than this share of their mean is one of equal scores."""


def columns_of(listed: Ints, wanted: Ints, rows: Ints | None = None) -> Ints:
    """The column at which each wanted document stands in a row of a table, int64, shape of ``wanted``; -1 where it does
    not, and where ``wanted`` is padding. The first of several.

    Args:
        listed: Documents of the table, int64 [n, k]; below 0 is padding.
        wanted: Documents, int64 [n, m]; or of any shape, with ``rows``.
        rows: The row of each, int64, that broadcasts with ``wanted``; None where its rows are those of the table.

    Example:
        >>> columns_of(np.array([[7, 3], [5, -1]]), np.array([[3, 4], [5, -1]]))
        array([[ 1, -1],
               [ 0, -1]])
    """
    if not listed.size:
        return np.full(wanted.shape, PADDING, dtype=np.int64)
    row = np.arange(len(listed))[:, None]
    span = int(max(listed.max(), wanted.max(initial=0))) + 2
    keys = (listed + (row * span + 1)).ravel()
    pairs = wanted + ((row if rows is None else rows) * span + 1)
    order = np.argsort(keys, kind="stable")
    cells = order[np.minimum(np.searchsorted(keys, pairs, sorter=order), len(keys) - 1)]
    return np.where((keys[cells] == pairs) & (wanted >= 0), cells % listed.shape[1], PADDING)


def is_in(documents: Ints, among: Ints) -> Bools:
    """Whether each document stands in the same row of ``among``: bool, shape of ``documents``; False for padding."""
    return columns_of(among, documents) >= 0


def in_list(table: Candidates, wanted: Ints) -> tuple[Floats, Ints]:
    """Score and rank of documents in a list, float32 and int64 [n, m]; NaN and -1 where they are not in it.

    Args:
        table: The list.
        wanted: Documents, int64 [n, m]; below 0 for none.
    """
    columns = columns_of(table.documents, wanted)
    if not table.scores.size:
        return np.full(wanted.shape, np.nan, dtype=np.float32), columns
    scores = np.take_along_axis(table.scores, np.maximum(columns, 0), 1)
    return np.where(columns >= 0, scores, np.float32(np.nan)).astype(np.float32, copy=False), columns


def grouped(rows: Ints, documents: Ints, *then: npt.NDArray[Any]) -> tuple[Ints, Ints]:
    """The order that brings the candidates of a flat list together by query and document, and where each group of one
    document starts in that order; int64 [m] and int64 [groups].

    Args:
        rows: The query of each candidate, int64 [m].
        documents: Its document, int64 [m].
        then: What a group is sorted by, the first key first; otherwise it keeps the order given.

    Example:
        >>> order, starts = grouped(np.array([0, 0, 0]), np.array([4, 2, 4]), -np.array([0.1, 0.5, 0.9]))
        >>> order.tolist(), starts.tolist()
        ([1, 2, 0], [0, 1])
    """
    order = np.lexsort((*reversed(then), documents, rows))
    row, document = rows[order], documents[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (row[1:] != row[:-1]) | (document[1:] != document[:-1])
    return order, np.flatnonzero(first)


def centered(scores: npt.NDArray[Any], mask: Bools) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Deviations of scores from the mean of their row, [n, k], 0 outside the mask; that mean and the standard
    deviation, [n, 1] each; all of the type of the scores.
    """
    full = bool(mask.all())
    inside = scores if full else np.where(mask, scores, scores.dtype.type(0))
    count = np.maximum(mask.sum(axis=1, keepdims=True, dtype=scores.dtype), scores.dtype.type(1))
    mean = inside.sum(axis=1, keepdims=True) / count
    deviations = inside - mean
    if not full:
        deviations *= mask
    spread = np.sqrt(np.einsum("ij,ij->i", deviations, deviations)[:, None] / count)
    return deviations, mean, spread


def standardized(scores: npt.NDArray[Any], mask: Bools) -> npt.NDArray[np.float64]:
    """Scores in standard deviations from the mean of their row, float64 [n, k]; 0 outside the mask and in rows whose
    scores are all equal.
    """
    deviations, mean, spread = centered(np.asarray(scores, dtype=np.float64), mask)
    flat = spread <= _FLAT * np.abs(mean)
    return np.where(flat, 0.0, deviations / np.where(flat, 1.0, spread))


def summed(cells: Ints, values: npt.NDArray[Any]) -> tuple[Ints, npt.NDArray[np.float64]]:
    """The cells whose values have a sum other than 0, ascending int64, and these sums, float64."""
    if not len(cells):
        return np.empty(0, dtype=np.int64), np.empty(0)
    least, span = int(cells.min()), int(cells.max() - cells.min()) + 1
    if span <= _DENSE * len(cells):
        sums = np.asarray(np.bincount(cells - least, values), dtype=np.float64)
        different = np.flatnonzero(sums).astype(np.int64, copy=False)
        return different + least, sums[different]
    different, inverse = np.unique(cells, return_inverse=True)
    sums = np.asarray(np.bincount(inverse, values), dtype=np.float64)
    return different[sums != 0], sums[sums != 0]


def product(
    rows: Ints, columns: Ints, weights: npt.NDArray[Any], table: Any, n_columns: int
) -> tuple[Ints, npt.NDArray[np.float64]]:
    """The product of a sparse matrix with another, as cells ``row * n_columns + column``, ascending, and their values:
    without the sparse matrices that a question asked alone takes longer to make than to multiply.

    Args:
        rows: Row of each entry of the first, int64 [m].
        columns: Its column, int64 [m].
        weights: Its value [m].
        table: The second, CSR array.
        n_columns: Columns of the second.

    Example:
        >>> import scipy.sparse as sp
        >>> second = sp.csr_array([[0.0, 2.0], [1.0, 3.0]])
        >>> cells, values = product(np.array([0, 1, 1]), np.array([1, 0, 1]), np.array([1, 10, 1]), second, 2)
        >>> cells.tolist(), values.tolist()
        ([0, 1, 2, 3], [1.0, 3.0, 1.0, 23.0])
    """
    starts, ends = table.indptr[columns], table.indptr[columns + 1]
    counts = ends - starts
    at = np.arange(counts.sum()) + np.repeat(starts - (np.cumsum(counts) - counts), counts)
    return summed(np.repeat(rows * n_columns, counts) + table.indices[at], np.repeat(weights, counts) * table.data[at])
