"""Late interaction: for each token of a query, the best cosine among a passage's tokens; their mean is the score."""

from __future__ import annotations

from typing import Any

import numpy as np

from rag.candidates import PADDING, Floats, Ints, Vectors
from rag.embedders.base import TokenVectors
from rag.embedders.token_table import TokenTable, rows_of

__all__ = ["NOTHING", "best_by_max_similarity", "max_similarity"]

NOTHING = np.float32(-1.0)
"""Score of a passage without a token: as far away as can be."""

_BLOCK = 1 << 19
"""Numbers of token vectors held at a time: 2 MiB of float32 stay near the processor, and in memory that it has."""
_PRODUCTS = 8
"""Their products with queries, as a multiple of that."""


def max_similarity(queries: TokenVectors, tokens: TokenTable, rows: Ints, passages: Ints) -> Floats:
    """Scores of pairs, float32 [n]; NaN for a query without a token.

    Args:
        queries: Token vectors of the queries, float32.
        tokens: Token vectors of all passages.
        rows: Query of each pair, int64 [n], ascending.
        passages: Passage of each pair, int64 [n].
    """
    lengths = tokens.ends[passages + 1] - tokens.ends[passages]
    scores = np.empty(len(rows), dtype=np.float32)
    # One product per query and block of its passages: queries differ in their tokens, passages are gathered.
    limit = max(1, _BLOCK // tokens.dimension)
    first = 0
    while first < len(rows):
        row = int(rows[first])
        last = int(np.searchsorted(rows, row, side="right"))
        last = min(last, first + max(1, int(np.searchsorted(np.cumsum(lengths[first:last]), limit, side="right"))))
        query = queries.vectors[queries.ends[row] : queries.ends[row + 1]]
        ends, take = rows_of(tokens.ends, passages[first:last])
        scores[first:last] = _many(query, np.array([0, len(query)]), tokens.vectors(take), ends)[0]
        first = last
    return scores


def best_by_max_similarity(
    queries: TokenVectors, rows: Ints, tokens: TokenTable, k: int, allowed: Ints | slice | None
) -> tuple[Ints, Floats]:
    """The best passages of queries among all that are allowed, exactly: int64 [n, k'] and scores float32 [n, k'], best
    first, ties by position.

    Args:
        queries: Token vectors of a batch, float32.
        rows: Query of each pair, int64 [n].
        tokens: Token vectors of all passages.
        k: Passages wanted.
        allowed: Passages that may be returned, ascending, or a slice; None for all.
    """
    among = allowed if isinstance(allowed, np.ndarray) else np.arange(len(tokens))[allowed or slice(None)]
    asked, own = _stacked(queries, rows)
    keys, scores = np.empty((len(rows), 0), dtype=np.int64), np.empty((len(rows), 0), dtype=np.float32)
    new_keys: list[Ints] = []
    new_scores: list[Floats] = []
    for block in _blocks(tokens.ends, among, max(1, _BLOCK // max(len(asked) // _PRODUCTS, tokens.dimension))):
        ends, vectors = _gathered(tokens, block)
        new_keys.append(block)
        new_scores.append(_many(asked, own, vectors, ends))
        if sum(map(len, new_keys)) > 4 * k:
            keys, scores = _best(keys, scores, new_keys, new_scores, k)
            new_keys, new_scores = [], []
    keys, scores = _best(keys, scores, new_keys, new_scores, k)
    silent = np.diff(own) == 0
    keys[silent], scores[silent] = PADDING, -np.inf
    return keys, scores


def _best(keys: Ints, scores: Floats, new_keys: list[Ints], new_scores: list[Floats], k: int) -> tuple[Ints, Floats]:
    """The best k of a list and of blocks behind it. Ties stay in the order of positions: sorting is stable."""
    if new_keys:
        block = np.concatenate(new_keys)
        keys = np.concatenate([keys, np.broadcast_to(block, (len(keys), len(block)))], axis=1)
        scores = np.concatenate([scores, *new_scores], axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(keys, order, 1), np.take_along_axis(scores, order, 1)


def _gathered(tokens: TokenTable, passages: Ints) -> tuple[Ints, Vectors]:
    """Tokens of passages, ascending: where each passage's end, and their vectors; in one piece where they lie so."""
    if int(passages[-1]) - int(passages[0]) + 1 == len(passages):
        ends = tokens.ends[passages[0] : passages[-1] + 2]
        return ends - ends[0], tokens.vectors(slice(int(ends[0]), int(ends[-1])))
    ends, take = rows_of(tokens.ends, passages)
    return ends, tokens.vectors(take)


def _stacked(queries: TokenVectors, rows: Ints) -> tuple[Any, Ints]:
    """Tokens of some queries one below the other, and where each query's begin and end."""
    ends, take = rows_of(queries.ends, rows)
    return queries.vectors[take].astype(np.float32, copy=False), ends


def _blocks(ends: Ints, among: Ints, tokens: int) -> Any:
    """Passages in blocks of at most so many tokens, or one passage."""
    total = np.cumsum(ends[among + 1] - ends[among])
    first = 0
    while first < len(among):
        done = int(total[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(total, done + tokens, side="right")))
        yield among[first:last]
        first = last


def _many(asked: Any, own: Ints, vectors: Any, ends: Ints) -> Floats:
    """Scores of queries that lie one below the other with every passage of a block, float32 [queries, passages]; NaN
    for a query without a token.
    """
    lengths = np.diff(ends)
    has_tokens = lengths > 0
    with_tokens = np.diff(own) > 0
    scores = np.where(with_tokens[:, None], NOTHING, np.float32(np.nan)) * np.ones(len(lengths), dtype=np.float32)
    if has_tokens.any() and with_tokens.any():
        best = np.maximum.reduceat(asked @ vectors.T, ends[:-1][has_tokens], axis=1)
        means = np.add.reduceat(best, own[:-1][with_tokens], axis=0) / np.diff(own)[with_tokens][:, None]
        scores[np.ix_(with_tokens, has_tokens)] = means
    return scores
