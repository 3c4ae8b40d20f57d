"""Questions that are one question: equal but for case, spaces and punctuation, or almost the same words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rag.candidates import Ints
from rag.text.words import words_of

__all__ = ["Pair", "groups_of", "normalized", "similar"]


class Pair(NamedTuple):
    """Two texts, by position, and the Jaccard similarity of their words; 1 for equal ones."""

    first: int
    second: int
    similarity: float


def normalized(text: str) -> str:
    """A text as it is compared: its words, normalized, one space between them."""
    return " ".join(words_of(text)) or text.strip()


def similar(texts: Sequence[str], *, near: float = 1.0) -> list[Pair]:
    """Pairs of texts that are equal once normalized, or share at least this part of their words. An empty text is like
    no other.

    Of equal texts each is paired with the first only. Near ones are found exactly, without comparing all pairs: two
    sets of words with Jaccard similarity t share one of the rarest words of each, of which so many have to be looked at
    as ``size - ceil(t size) + 1`` (prefix filter, Xiao et al. 2008).

    Args:
        texts: Questions.
        near: Least Jaccard similarity, above 0; at 1 only equal texts are found.
    """
    first: dict[str, int] = {}
    pairs = []
    for number, text in enumerate(map(normalized, texts)):
        if not text:
            continue
        earlier = first.setdefault(text, number)
        if earlier != number:
            pairs.append(Pair(earlier, number, 1.0))
    if near < 1 and len(first) > 1:
        places = list(first.values())
        pairs += [Pair(places[i], places[j], value) for i, j, value in _near(list(first), near)]
    return sorted(pairs)


def _near(texts: Sequence[str], least: float) -> list[Pair]:
    """Near pairs of normalized, different texts."""
    import scipy.sparse as sp

    words: dict[str, int] = {}
    rows = [sorted({words.setdefault(word, len(words)) for word in text.split()}) for text in texts]
    sizes = np.array([len(row) for row in rows], dtype=np.int64)
    columns = np.fromiter((word for row in rows for word in row), dtype=np.int64, count=int(sizes.sum()))
    rank = np.argsort(np.argsort(np.bincount(columns, minlength=len(words)), kind="stable"))  # rarest first
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    table = sp.csr_array((np.ones(len(columns), np.int32), rank[columns], indptr), shape=(len(texts), len(words)))
    table.sort_indices()
    position = np.arange(len(columns)) - np.repeat(indptr[:-1], sizes)
    looked_at = position < np.repeat(sizes - np.ceil(least * sizes - 1e-9) + 1, sizes)
    ends = np.concatenate([[0], np.cumsum(looked_at)])[indptr]
    prefix = sp.csr_array((table.data[looked_at], table.indices[looked_at], ends), shape=table.shape)
    pairs: list[Pair] = []
    step = 2048
    for start in range(0, len(texts), step):
        met = (prefix[start : start + step] @ prefix.T).tocoo()
        i, j = met.row.astype(np.int64) + start, met.col.astype(np.int64)
        later = i < j
        i, j = i[later], j[later]
        common = table[i].multiply(table[j]).sum(axis=1)
        value = common / (sizes[i] + sizes[j] - common)
        pairs += [Pair(int(i[n]), int(j[n]), round(float(value[n]), 6)) for n in np.flatnonzero(value >= least - 1e-9)]
    return pairs


def groups_of(n: int, pairs: Sequence[Pair]) -> Ints:
    """The group of each of n texts, int64 [n]: those that pairs connect, also by way of others."""
    import scipy.sparse as sp
    from scipy.sparse.csgraph import connected_components

    i = np.array([pair.first for pair in pairs], dtype=np.int64)
    j = np.array([pair.second for pair in pairs], dtype=np.int64)
    graph = sp.coo_array((np.ones(len(i), np.int8), (i, j)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
