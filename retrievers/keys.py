"""From keys to documents: passages are matched, and their documents are returned, each once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.candidates import PADDING, Bools, Candidates, Floats, Ints
from rag.corpus.passages import Passages

if TYPE_CHECKING:
    from rag.batch import QueryBatch

__all__ = ["best_documents", "best_documents_where"]

Search = Callable[[Any, int, Any], tuple[Ints, Floats]]

_MOST_ASKED = 1 << 14
"""Passages asked of a server for one query."""


def best_documents(search: Search, passages: Passages, top_k: int, batch: QueryBatch) -> Candidates:
    """The best ``top_k`` documents of each query by their best passage.

    More passages than documents are fetched, mapped to documents and de-duplicated; queries that are left with fewer
    than ``top_k`` documents are asked again for twice as many passages, until they have them or nothing is left.

    Args:
        search: Called with row numbers (or a slice) of queries, k, and the passages they may find as in
            :class:`~rag.batch.Group`; gives passages int64 [rows, k'] (-1 padding) and scores float32 [rows, k'], best
            first, k' <= k.
        passages: The passages that keys are positions in.
        top_k: Documents wanted.
        batch: The queries.

    Raises:
        DataError: A query's filter names a field that no document has, or another kind of value than it holds.
    """
    candidates = Candidates.empty(len(batch))
    for rows, allowed in batch.groups(passages):
        if allowed is not None and not _count(allowed):
            continue
        table = _best(search, passages, top_k, rows, allowed)
        candidates = table if isinstance(rows, slice) else _replace_rows(candidates, rows, table)
    return candidates


def best_documents_where(search: Search, passages: Passages, top_k: int, batch: QueryBatch) -> Candidates:
    """The same by something that holds the documents' fields itself: it is given conditions, not positions.

    Args:
        search: Called with row numbers (or a slice) of queries, k, and the condition of plain values or None. A list
            shorter than k says that there are no more that pass.
        passages: The passages that keys are positions in.
        top_k: Documents wanted.
        batch: The queries.

    Raises:
        DataError: A query's filter names a field that no document has, or another kind of value than it holds.
    """
    n = len(passages)
    candidates = Candidates.empty(len(batch))
    for rows, condition in batch.conditions():
        if passages.one_per_document:
            keys, scores = search(rows, min(top_k, n), condition)
            table = Candidates.from_scores(keys, scores, keys)
        else:
            average = -(-n // len(passages.corpus))
            k = min(top_k * min(2 * average, passages.most_per_document), n)
            keys, scores = search(rows, k, condition)
            table = _documents(keys, scores, passages, top_k)
            more = _full(keys, k)
            while k < min(n, _MOST_ASKED) and len(short := np.flatnonzero((table.counts < top_k) & more)):
                k = min(2 * k, n)
                keys, scores = search(short if isinstance(rows, slice) else rows[short], k, condition)
                table = _replace_rows(table, short, _documents(keys, scores, passages, top_k))
                more[short] = _full(keys, k)
        candidates = table if isinstance(rows, slice) else _replace_rows(candidates, rows, table)
    return candidates


def _full(keys: Ints, k: int) -> Bools:
    """Which lists have k keys, so that there may be more."""
    return np.asarray((keys != PADDING).sum(axis=1) >= k)


def _best(search: Search, passages: Passages, top_k: int, rows: Any, allowed: Any) -> Candidates:
    """:func:`best_documents` of queries that may find the same."""
    n = len(passages) if allowed is None else _count(allowed)
    if passages.one_per_document:
        keys, scores = search(rows, min(top_k, n), allowed)
        return Candidates.from_scores(keys, scores, keys)
    n_documents = len(passages.corpus) if allowed is None else len(np.unique(passages.document[allowed]))
    needed = min(top_k, n_documents)
    average = -(-n // n_documents)
    k = min(top_k * min(2 * average, passages.most_per_document), n)
    candidates = _documents(*search(rows, k, allowed), passages, top_k)
    while k < n:
        short = np.flatnonzero(candidates.counts < needed)
        if not len(short):
            break
        k = min(2 * k, n)
        keys, scores = search(short if isinstance(rows, slice) else rows[short], k, allowed)
        again = _documents(keys, scores, passages, top_k)
        candidates = _replace_rows(candidates, short, again)
        if (keys[:, -1:] == PADDING).all():  # the index has no more
            break
    return candidates


def _count(allowed: Ints | slice) -> int:
    return allowed.stop - allowed.start if isinstance(allowed, slice) else len(allowed)


def _documents(keys: Ints, scores: Floats, passages: Passages, top_k: int) -> Candidates:
    owners = np.where(keys >= 0, passages.document[keys], PADDING)
    return Candidates.from_scores(owners, scores, keys).best_per_document(top_k)


def _replace_rows(table: Candidates, rows: Ints, new: Candidates) -> Candidates:
    width = max(table.documents.shape[1], new.documents.shape[1])

    def merged(old: Any, fresh: Any, fill: float) -> Any:
        wide = np.full((len(table), width), fill, dtype=old.dtype)
        wide[:, : old.shape[1]] = old
        wide[rows] = fill
        wide[rows, : fresh.shape[1]] = fresh
        return wide

    return Candidates(
        merged(table.documents, new.documents, PADDING),
        merged(table.scores, new.scores, -np.inf),
        merged(table.passages, new.passages, PADDING),
    )
