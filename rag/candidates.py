"""The table passed from step to step: candidates of a batch of queries, and how they are sorted.

Everything here is vectorized over the batch; nothing loops over hits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["PADDING", "Bools", "Candidates", "Floats", "Ints", "Vectors", "rank", "top_k_of_scores"]

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Vectors = npt.NDArray[np.float32]
"""Embeddings, one row a text: float32 [n, d]."""

PADDING = -1
"""Position that means "no candidate here"."""

_NO_DOCUMENT = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, repr=False)
class Candidates:
    """Candidates of ``n`` queries, at most ``k`` each, best first, ties broken by position.

    Args:
        documents: Positions in the corpus, int64 [n, k]; -1 is padding, always at the end of a row.
        scores: float32 [n, k], higher is better; ``-inf`` at padding.
        passages: The best passage of each document, as a position among the passages,
            int64 [n, k]; -1 at padding.
    """

    documents: Ints
    scores: Floats
    passages: Ints

    def __post_init__(self) -> None:
        if not self.documents.shape == self.scores.shape == self.passages.shape or self.documents.ndim != 2:
            raise ValueError(
                f"documents {self.documents.shape}, scores {self.scores.shape} and passages "
                f"{self.passages.shape} must share one shape [n_queries, k]"
            )

    @classmethod
    def empty(cls, n_queries: int) -> Candidates:
        nothing = np.empty((n_queries, 0), dtype=np.int64)
        return cls(nothing, np.empty((n_queries, 0), dtype=np.float32), nothing)

    @classmethod
    def from_scores(cls, positions: Ints, scores: Any, passages: Ints, *, top_k: int | None = None) -> Candidates:
        """Sort rows, padding last, and cut to ``top_k``. A position below 0 is padding, whatever its score."""
        if scores.dtype == np.float32 and _in_order(positions, scores):
            # In order already, as an index gives them: nothing to do. A question asked alone feels every array made.
            return cls(positions[:, :top_k], scores[:, :top_k], passages[:, :top_k])
        scores = np.where(positions >= 0, scores, -np.inf).astype(np.float32, copy=False)
        order = rank(positions, scores)[:, :top_k]
        take = np.take_along_axis
        valid = take(positions, order, 1)
        width = int((valid >= 0).sum(axis=1).max(initial=0))
        return cls(
            np.where(valid >= 0, valid, PADDING)[:, :width],
            take(scores, order, 1)[:, :width],
            np.where(valid >= 0, take(passages, order, 1), PADDING)[:, :width],
        )

    @classmethod
    def stacked(cls, tables: Sequence[Candidates]) -> Candidates:
        """The rows of several tables, one below the other."""
        if len(tables) <= 1:
            return tables[0] if tables else cls.empty(0)
        width = max(table.documents.shape[1] for table in tables)

        def padded(array: Any, fill: float) -> Any:
            return np.pad(array, ((0, 0), (0, width - array.shape[1])), constant_values=fill)

        return cls(
            np.concatenate([padded(table.documents, PADDING) for table in tables]),
            np.concatenate([padded(table.scores, -np.inf) for table in tables]),
            np.concatenate([padded(table.passages, PADDING) for table in tables]),
        )

    @classmethod
    def from_rows(
        cls, n: int, rows: Ints, positions: Ints, scores: Any, passages: Ints, *, top_k: int | None = None
    ) -> Candidates:
        """A table of ``n`` queries from a flat list of candidates, int64 or float [m] each; ``rows`` ascend."""
        counts = np.bincount(rows, minlength=n)
        column = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        shape = (n, int(counts.max(initial=0)))
        table_positions, table_passages = np.full((2, *shape), PADDING, dtype=np.int64)
        table_scores = np.full(shape, -np.inf)
        table_positions[rows, column] = positions
        table_passages[rows, column] = passages
        table_scores[rows, column] = scores
        return cls.from_scores(table_positions, table_scores, table_passages, top_k=top_k)

    def __repr__(self) -> str:
        n, k = self.documents.shape
        return f"Candidates of {n:,} queries, at most {k:,} each, {int(self.counts.sum()):,} in all"

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Whether there is a candidate, bool [n, k]."""
        return self.documents >= 0

    @property
    def counts(self) -> Ints:
        """Candidates per query, int64 [n]."""
        return np.asarray(self.mask.sum(axis=1), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.documents)

    def rows(self, rows: Ints | slice) -> Candidates:
        """The candidates of these queries."""
        return Candidates(self.documents[rows], self.scores[rows], self.passages[rows])

    def spread(self, rows: Ints, n: int) -> Candidates:
        """A table of ``n`` queries, of which these are the ``rows`` and the others have no candidate."""
        width = self.documents.shape[1]
        positions, passages = np.full((2, n, width), PADDING, dtype=np.int64)
        scores = np.full((n, width), -np.inf, dtype=np.float32)
        positions[rows], scores[rows], passages[rows] = self.documents, self.scores, self.passages
        return Candidates(positions, scores, passages)

    def where(self, mine: Bools, others: Candidates) -> Candidates:
        """The rows of this table where ``mine``, bool [n], is true, and those of another elsewhere."""
        both = Candidates.stacked([self, others])
        return both.rows(np.arange(len(self)) + np.where(mine, 0, len(self)))

    def head(self, k: int) -> Candidates:
        """The best ``k`` of every query."""
        return Candidates(self.documents[:, :k], self.scores[:, :k], self.passages[:, :k])

    def cut(self, counts: Sequence[int]) -> Candidates:
        """The best few of every query, for each as many as its count says."""
        wide = self.head(max(counts, default=0))
        beyond = np.arange(wide.documents.shape[1]) >= np.asarray(counts, dtype=np.int64)[:, None]
        if not beyond.any():
            return wide
        return Candidates(
            np.where(beyond, PADDING, wide.documents),
            np.where(beyond, np.float32(-np.inf), wide.scores),
            np.where(beyond, PADDING, wide.passages),
        )

    def filled(self, width: int, score: float) -> Candidates:
        """Rows padded to ``width`` with nonexistent documents of this score: the list for scaling scores, where all
        documents outside it are known to have that score. Must not be returned as a result.
        """
        added = max(width - self.documents.shape[1], 0)
        wide = [
            np.pad(table, ((0, 0), (0, added)), constant_values=PADDING) for table in (self.documents, self.passages)
        ]
        empty = wide[0] < 0
        scores = np.pad(self.scores, ((0, 0), (0, added)))
        fill = np.float32(score)
        return Candidates(np.where(empty, _NO_DOCUMENT, wide[0]), np.where(empty, fill, scores), wide[1])

    def rescored(self, scores: Floats, *, top_k: int | None = None) -> Candidates:
        """The same candidates under new scores (``-inf`` drops one), sorted again and cut."""
        positions = np.where(np.isneginf(scores), PADDING, self.documents)
        return Candidates.from_scores(positions, scores, self.passages, top_k=top_k)

    def best_per_document(self, top_k: int) -> Candidates:
        """Keep the best-scored row of each document (several passages of one document may be candidates), cut."""
        if not self.documents.size:
            return self
        # Rows are best first, so the first of each (row, document) is the best: a stable sort by document finds it.
        by_document = np.argsort(self.documents, axis=1, kind="stable")
        ordered = np.take_along_axis(self.documents, by_document, 1)
        again = np.zeros_like(ordered, dtype=bool)
        again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
        duplicate = np.empty_like(again)
        np.put_along_axis(duplicate, by_document, again, 1)
        positions = np.where(duplicate, PADDING, self.documents)
        return Candidates.from_scores(positions, self.scores, self.passages, top_k=top_k)


def _in_order(positions: Ints, scores: Floats) -> bool:
    """Whether rows are best first, ties by position, without padding."""
    falling, equal = scores[:, 1:] < scores[:, :-1], scores[:, 1:] == scores[:, :-1]
    rising = positions[:, 1:] > positions[:, :-1]
    return bool((positions >= 0).all() and (falling | (equal & rising)).all())


def rank(positions: Ints, scores: Floats) -> Ints:
    """Order of each row, best first: by score, ties by position, padding last. int64 [n, k]."""
    ties = np.where(positions >= 0, positions, np.iinfo(np.int64).max)
    return np.asarray(np.lexsort((ties, -scores), axis=1), dtype=np.int64)


def top_k_of_scores(scores: Floats, top_k: int) -> tuple[Ints, Floats]:
    """Best ``top_k`` columns of each row of a dense score matrix.

    Args:
        scores: float32 [n, m]; ``-inf`` marks columns that are not candidates.
        top_k: Maximum number of columns.

    Returns:
        Columns int64 [n, k] (-1 padding) and scores float32 [n, k], best first, ties broken by column, also at the cut.
    """
    n, m = scores.shape
    k = min(top_k, m)
    if k == 0:
        return np.empty((n, 0), dtype=np.int64), np.empty((n, 0), dtype=np.float32)
    if k < m:
        # argpartition picks any of the columns that tie at the cut; the lowest ones are wanted.
        columns = np.argpartition(scores, m - k, axis=1)[:, m - k :]
        cut = np.take_along_axis(scores, columns, 1).min(axis=1, keepdims=True)
        tied = np.flatnonzero((scores == cut).sum(axis=1) > (np.take_along_axis(scores, columns, 1) == cut).sum(axis=1))
        for row in tied:  # only rows whose cut goes through a tie
            above = np.flatnonzero(scores[row] > cut[row])
            columns[row] = np.concatenate([above, np.flatnonzero(scores[row] == cut[row])[: k - len(above)]])
    else:
        columns = np.broadcast_to(np.arange(m), (n, m))
    values = np.take_along_axis(scores, columns, 1)
    columns = np.where(np.isneginf(values), PADDING, columns).astype(np.int64, copy=False)
    order = rank(columns, values)
    return np.take_along_axis(columns, order, 1), np.take_along_axis(values, order, 1)
